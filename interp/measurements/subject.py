"""The subject of a measurement: a model and windows, chosen by settings and loaded on first use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from interp.errors import InterpError
from interp.internal.ablation.choices import Group
from interp.measurements.settings import Several, option, settings
from interp.sizes import in_bytes

if TYPE_CHECKING:
    import numpy as np
    from transformer_lens.model_bridge import TransformerBridge

    from interp.data.tally import Tally
    from interp.data.windows import Windows
    from interp.statistical.extraction import Extraction

Dtype = Literal["float32", "bfloat16", "float16"]
BatchSize = Annotated[int, Field(ge=1, le=2**31 - 1)]


def _size(given: str) -> str:
    in_bytes(given)
    return given


MemoryBudget = Annotated[str, BeforeValidator(str), AfterValidator(_size)]


@settings
class ModelChoice:
    """The model's number format, device, revision, batch size and memory."""

    dtype: Dtype = option("number format of the model", default="float32")
    device: str | None = option("cpu, cuda, cuda:1 ...; by default the GPU if there is one", default=None)
    revision: str | None = option("branch, tag or commit on the hub, such as step1000", default=None)
    batch_size: BatchSize | None = option("windows per forward pass", default=None)
    memory_budget: MemoryBudget | None = option(
        "approximate memory for activations, such as 512MiB or 2GiB; batches shrink to fit",
        default=None,
    )


class NothingToMeasure(InterpError, ValueError):
    """There is nothing to measure on this model and these windows, for example because nothing is memorized."""


CORPUS = "corpus: parquet, JSON lines, CSV or text file, folder of such files, stored dataset or hub id"


@settings
class Columns:
    """Columns and split of a corpus."""

    text_column: str = option("column of the text in another corpus; a.b is field b of column a", default="text")
    document_column: str | None = option("column of the document's id in another corpus", default=None)
    domain_column: str | None = option("column of the domain in another corpus", default=None)
    split: str | None = option("split of another corpus; by default train, or the only one", default=None)


@settings
class WindowsChoice(Columns):
    """The windows."""

    sets: Several[str] | None = option(
        "windows of the shipped corpus: held_out, background, planted-1 ... planted-256", default=None, name="--set"
    )
    per_set: int | None = option("maximal number of windows of each set in each domain", default=None, ge=1)
    corpus: str | None = option(f"another {CORPUS}", default=None)
    max_windows: int = option("maximal number of windows of another corpus", default=1_000, ge=1)
    prefix_len: int = option("tokens of the prefix; the rest of a window is its continuation", default=32, ge=1)
    seed: int = option("seed of every random choice", default=0, ge=0, le=2**32 - 1)

    @model_validator(mode="after")
    def _one_text(self) -> WindowsChoice:
        if self.sets is not None and self.corpus is not None:
            raise ValueError("--set selects from the shipped corpus, but another corpus was given; give one of them")
        return self

    @property
    def columns(self) -> dict[str, str | None]:
        """Columns and split as arguments of ``read_windows``."""
        return {field.name: getattr(self, field.name) for field in fields(Columns)}


@contextmanager
def no_loading_bar() -> Iterator[None]:
    """Without the progress bar of transformers, which would mix with a command's output."""
    import transformers

    shown = transformers.logging.is_progress_bar_enabled()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.logging.enable_progress_bar()


class Subject:
    """A model and windows, loaded on first use, and the extraction of the windows."""

    def __init__(
        self,
        name: str,
        model: ModelChoice | None = None,
        windows: WindowsChoice | None = None,
        *,
        progress: bool = False,
        part: slice | None = None,
        beside: Subject | None = None,
    ) -> None:
        """Choose a model and windows.

        Args:
            name: name of the model.
            model: how the model runs.
            windows: which windows.
            progress: whether to show bars.
            part: positions of the windows to use. Default: all.
            beside: a subject with the same model, which is then loaded only once.
        """
        self.name, self.choice, self.chosen = name, model or ModelChoice(), windows or WindowsChoice()
        self.seed = self.chosen.seed
        self.progress = progress
        """Whether to show bars."""
        self.tally: Tally | None = None
        """Notes on what was left out of another corpus; known once the windows are read."""
        self.part, self._beside = part, beside

    @property
    def how(self) -> dict[str, Any]:
        """Arguments of measuring functions for batch size, memory and progress bar."""
        # Every function has its own default batch size.
        own = {} if self.choice.batch_size is None else {"batch_size": self.choice.batch_size}
        return {**own, "memory_budget": self.choice.memory_budget, "progress": self.progress}

    @cached_property
    def model(self) -> TransformerBridge:
        """The model, loaded on first use."""
        from interp.models.loading import load_model
        from interp.statistical.numerics import DTYPES

        if self._beside is not None:
            return self._beside.model
        choice = self.choice
        with no_loading_bar():
            return load_model(self.name, dtype=DTYPES[choice.dtype], device=choice.device, revision=choice.revision)

    @cached_property
    def labels(self) -> dict[str, Any]:
        """The columns that identify this model's rows."""
        from interp.models.registry import known

        facts: dict[str, Any] = {}
        spec = known(self.name)
        if spec is None:  # the family is unknown: the user can add the columns
            facts["n_params"] = sum(p.numel() for p in self.model.original_model.parameters())
        else:
            facts |= {"family": spec.family, "size": spec.size, "n_params": spec.n_params}
        return {"model": self.name, **facts, "model_revision": getattr(self.model.cfg, "model_revision", "")}

    @cached_property
    def windows(self) -> Windows:
        """The windows, read on first use."""
        return self.cut(self.chosen.prefix_len, 64 - self.chosen.prefix_len)

    def cut(self, prefix_len: int, further_len: int) -> Windows:
        """Windows with a prefix and ``further_len`` tokens after it."""
        import numpy as np

        whole = self._cut(prefix_len, further_len)
        return whole if self.part is None else whole.select(np.arange(*self.part.indices(len(whole))))

    def _cut(self, prefix_len: int, further_len: int) -> Windows:
        from interp.data.sources import read_windows
        from interp.data.tally import Tally
        from interp.models.loading import load_tokenizer
        from interp.planted.corpus import planted_windows

        chosen = self.chosen
        if chosen.corpus is None:
            planted = planted_windows(sets=chosen.sets, per_set=chosen.per_set, seed=chosen.seed)
            return planted if prefix_len == planted.prefix_len else replace(planted, prefix_len=prefix_len)
        self.tally = Tally()
        return read_windows(
            chosen.corpus,
            load_tokenizer(self.name, revision=self.choice.revision),
            max_windows=chosen.max_windows,
            **chosen.columns,
            prefix_len=prefix_len,
            continuation_len=further_len,
            short_documents="skip",
            tally=self.tally,
            progress=self.progress,
        )

    @cached_property
    def extraction(self) -> Extraction:
        """The extraction of the windows by the model."""
        from interp.statistical.extraction import extract

        return extract(self.model, self.windows, log_prob=False, **self.how)

    @cached_property
    def groups(self) -> dict[str, np.ndarray]:
        """Masks of the memorized, unmemorized and matched windows."""
        return self.grouped_near(None)

    def grouped_near(self, near: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
        """``groups`` with controls that are near in other covariates. Without matched windows if none can be found."""
        from interp.planted.corpus import planted_windows
        from interp.statistical.groups import log_token_frequency, matched_groups
        from interp.statistical.matching import MatchingError
        from interp.stats.curves import memorization_groups

        if near is None and self.chosen.corpus is None:
            # For the shipped corpus, tokens are counted in the whole corpus.
            near = {"log_frequency": log_token_frequency(self.windows, planted_windows())}
        try:
            return matched_groups(self.extraction, near=near)[0]
        except MatchingError as error:
            warnings.warn(f"not matched: {error}", stacklevel=2)
            groups = memorization_groups(self.extraction.score)
            return {name: mask for name, mask in groups.items() if mask.any()} or {
                "all windows": self.extraction.score >= 0
            }

    def of_group(self, group: Group, *, at_most: int | None = None) -> Windows:
        """The windows of a group, or ``at_most`` of them, drawn with the seed.

        Raises:
            NothingToMeasure: the group is empty.
        """
        from interp.seeds import drawn

        score = self.extraction.score
        # Only matched windows need a search.
        masks = {"memorized": score == 1, "unmemorized": score == 0}
        mask = masks[group] if group in masks else self.groups.get(group, score < 0)
        if not mask.any():
            raise NothingToMeasure(
                f"{self.name} has memorized none of {len(self.windows)} windows: there is nothing to measure"
                if group == "memorized"
                else f"{self.name} has no {group} windows among {len(self.windows)}: there is nothing to measure"
            )
        return self.windows.select(drawn(mask, at_most, seed=self.seed))

    def grouped(self, *, at_most: int | None = None) -> tuple[Windows, dict[str, np.ndarray]]:
        """The windows of all groups (at most ``at_most`` of each), and the masks of the groups over them."""
        import numpy as np

        from interp.seeds import drawn

        chosen = [drawn(mask, at_most, seed=self.seed) for mask in self.groups.values()]
        inside = np.unique(np.concatenate(chosen))
        return self.windows.select(inside), {name: mask[inside] for name, mask in self.groups.items()}

    def reference(self, of: str, *, per_set: int = 32) -> Windows:
        """Windows of other text: a set of the shipped corpus, or a corpus read with the subject's settings.

        Args:
            of: name of the set, or location of the corpus.
            per_set: maximal number of windows of the set in each domain.
        """
        from interp.planted.corpus import manifest

        if of in set(manifest()["set"]):
            other = replace(self.chosen, sets=(of,), per_set=per_set, corpus=None)
        else:
            other = replace(self.chosen, sets=None, corpus=of)
        return Subject(self.name, self.choice, other, progress=self.progress).windows
