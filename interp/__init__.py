"""How language models memorize: statistics and mechanisms, over the same loaded models.

>>> import interp
>>> model = interp.load_model("pythia-small-1.2m")
>>> windows = interp.planted_windows(sets=["planted-256", "held_out"], per_set=16)
>>> interp.extract(model, windows).to_frame()
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp.data.sources import read_windows, stream_windows
    from interp.data.tally import Tally
    from interp.data.windows import Windows
    from interp.errors import InterpError
    from interp.explore.explorer import explore
    from interp.explore.tables import explore_tables
    from interp.internal.ablation.cumulative import cumulative_ablation
    from interp.internal.ablation.gradient import estimate_heads
    from interp.internal.ablation.heads import ablate_heads
    from interp.internal.ablation.replacement import Ablation
    from interp.internal.ablation.screening import screen_heads
    from interp.internal.ablation.sets import ablate_sets
    from interp.internal.comparison.agreement import agreement
    from interp.internal.comparison.attention_targets import attention_targets
    from interp.internal.comparison.overlap import overlap
    from interp.internal.comparison.profiles import concentration, importance_profile
    from interp.internal.comparison.similarity import family_similarity
    from interp.internal.lens.logit_attribution import logit_attribution
    from interp.internal.lens.logit_lens import logit_lens
    from interp.internal.lens.tuned_lens import train_tuned_lens, tuned_lens
    from interp.internal.noise.residual import perturb
    from interp.internal.noise.substitution import substitute, substitute_sets
    from interp.models.loading import load_model, load_tokenizer
    from interp.models.registry import find, small_models
    from interp.planted.corpus import planted_windows
    from interp.results import read_provenance, read_table, write_result
    from interp.statistical.compression import compress
    from interp.statistical.depth import depth
    from interp.statistical.domains import domains
    from interp.statistical.dose_response import dose_response
    from interp.statistical.extraction import extract
    from interp.statistical.flags import memorized_flags, write_flags
    from interp.statistical.frequency import frequency
    from interp.statistical.matching import match
    from interp.statistical.numerics import numerics
    from interp.statistical.prediction import predict
    from interp.statistical.prefix import prefix_log_prob
    from interp.statistical.rates import rates, score_histogram
    from interp.statistical.scaling import family_ratios, scaling, transitions
    from interp.statistical.scores import read_scores

_HOMES = {
    "InterpError": "interp.errors",
    "Tally": "interp.data.tally",
    "Windows": "interp.data.windows",
    "Ablation": "interp.internal.ablation.replacement",
    "ablate_heads": "interp.internal.ablation.heads",
    "ablate_sets": "interp.internal.ablation.sets",
    "agreement": "interp.internal.comparison.agreement",
    "attention_targets": "interp.internal.comparison.attention_targets",
    "compress": "interp.statistical.compression",
    "concentration": "interp.internal.comparison.profiles",
    "cumulative_ablation": "interp.internal.ablation.cumulative",
    "depth": "interp.statistical.depth",
    "domains": "interp.statistical.domains",
    "dose_response": "interp.statistical.dose_response",
    "estimate_heads": "interp.internal.ablation.gradient",
    "explore": "interp.explore.explorer",
    "explore_tables": "interp.explore.tables",
    "extract": "interp.statistical.extraction",
    "family_ratios": "interp.statistical.scaling",
    "family_similarity": "interp.internal.comparison.similarity",
    "find": "interp.models.registry",
    "frequency": "interp.statistical.frequency",
    "importance_profile": "interp.internal.comparison.profiles",
    "load_model": "interp.models.loading",
    "load_tokenizer": "interp.models.loading",
    "logit_attribution": "interp.internal.lens.logit_attribution",
    "logit_lens": "interp.internal.lens.logit_lens",
    "match": "interp.statistical.matching",
    "memorized_flags": "interp.statistical.flags",
    "numerics": "interp.statistical.numerics",
    "overlap": "interp.internal.comparison.overlap",
    "perturb": "interp.internal.noise.residual",
    "planted_windows": "interp.planted.corpus",
    "predict": "interp.statistical.prediction",
    "prefix_log_prob": "interp.statistical.prefix",
    "rates": "interp.statistical.rates",
    "read_provenance": "interp.results",
    "read_scores": "interp.statistical.scores",
    "read_table": "interp.results",
    "read_windows": "interp.data.sources",
    "scaling": "interp.statistical.scaling",
    "score_histogram": "interp.statistical.rates",
    "screen_heads": "interp.internal.ablation.screening",
    "small_models": "interp.models.registry",
    "stream_windows": "interp.data.sources",
    "substitute": "interp.internal.noise.substitution",
    "substitute_sets": "interp.internal.noise.substitution",
    "train_tuned_lens": "interp.internal.lens.tuned_lens",
    "transitions": "interp.statistical.scaling",
    "tuned_lens": "interp.internal.lens.tuned_lens",
    "write_flags": "interp.statistical.flags",
    "write_result": "interp.results",
}

__all__ = [
    "Ablation",
    "InterpError",
    "Tally",
    "Windows",
    "ablate_heads",
    "ablate_sets",
    "agreement",
    "attention_targets",
    "compress",
    "concentration",
    "cumulative_ablation",
    "depth",
    "domains",
    "dose_response",
    "estimate_heads",
    "explore",
    "explore_tables",
    "extract",
    "family_ratios",
    "family_similarity",
    "find",
    "frequency",
    "importance_profile",
    "load_model",
    "load_tokenizer",
    "logit_attribution",
    "logit_lens",
    "match",
    "memorized_flags",
    "numerics",
    "overlap",
    "perturb",
    "planted_windows",
    "predict",
    "prefix_log_prob",
    "rates",
    "read_provenance",
    "read_scores",
    "read_table",
    "read_windows",
    "scaling",
    "score_histogram",
    "screen_heads",
    "small_models",
    "stream_windows",
    "substitute",
    "substitute_sets",
    "train_tuned_lens",
    "transitions",
    "tuned_lens",
    "write_flags",
    "write_result",
]


def __getattr__(name: str) -> Any:
    # Names are loaded on first use: torch and transformers take seconds, and `interp --help` needs neither.
    if name == "__version__":
        from importlib.metadata import version

        return version("interp")
    if name not in _HOMES:
        raise AttributeError(f"module 'interp' has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


if "IPython" in sys.modules:
    # A notebook shows a head ablation as a map.
    from interp.explore.display import register

    register()
