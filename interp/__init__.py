"""How language models memorize: statistics and mechanisms, over the same loaded models.

>>> import interp
>>> model = interp.load_model("pythia-small-1.2m")
>>> windows = interp.planted_windows(sets=["planted-256", "held_out"], per_set=16)
>>> interp.extract(model, windows).to_frame()
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp.data.corpus import planted_windows
    from interp.data.sources import read_windows, stream_windows
    from interp.data.tally import Tally
    from interp.data.windows import Windows
    from interp.internal.ablation import ablate_heads
    from interp.internal.lens import logit_lens
    from interp.internal.noise import perturb
    from interp.models.loading import load_model
    from interp.models.registry import find, small_models
    from interp.statistical.extraction import extract

__version__ = importlib.metadata.version("interp")

_HOMES = {
    "Tally": "interp.data.tally",
    "Windows": "interp.data.windows",
    "ablate_heads": "interp.internal.ablation",
    "extract": "interp.statistical.extraction",
    "find": "interp.models.registry",
    "load_model": "interp.models.loading",
    "logit_lens": "interp.internal.lens",
    "perturb": "interp.internal.noise",
    "planted_windows": "interp.data.corpus",
    "read_windows": "interp.data.sources",
    "small_models": "interp.models.registry",
    "stream_windows": "interp.data.sources",
}

__all__ = [
    "Tally",
    "Windows",
    "ablate_heads",
    "extract",
    "find",
    "load_model",
    "logit_lens",
    "perturb",
    "planted_windows",
    "read_windows",
    "small_models",
    "stream_windows",
]


def __getattr__(name: str) -> Any:
    # Loaded on first use: torch and transformers take seconds, and `interp --help` needs neither.
    if name not in _HOMES:
        raise AttributeError(f"module 'interp' has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
    return getattr(importlib.import_module(_HOMES[name]), name)
