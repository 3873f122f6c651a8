"""What an ablation is asked to do: the settings that the sweep, its reference, joint sets and the estimate share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from transformer_lens.model_bridge import TransformerBridge

from interp.brief import Brief
from interp.data.windows import Windows
from interp.internal.ablation.choices import MeanOver, Method, Metric
from interp.internal.ablation.replacement import AblationError, HeadOutputs, Replacement, prepare_replacement
from interp.models.identity import check_windows
from interp.results import Provenance


@dataclass(frozen=True, repr=False, eq=False)
class AblationRequest(Brief):
    """Settings of one measurement; their meaning is that of ``interp.internal.ablation.heads.ablate_heads``."""

    method: Method
    metrics: Sequence[Metric] | None
    """None where nothing is chosen: the estimate is of the log-probability alone."""
    reference: Windows | None
    mean_over: MeanOver
    batch_size: int
    seed: int

    def check(self, model: TransformerBridge, windows: Windows) -> None:
        """Refuse what can be refused before anything is computed.

        Raises:
            WindowError: windows that the model cannot take.
            AblationError: an unknown metric, or none at all.
        """
        check_windows(model, windows)
        if self.metrics is not None and (not self.metrics or set(self.metrics) - set(get_args(Metric))):
            raise AblationError(f"metrics {list(self.metrics)!r}: choose at least one of {', '.join(get_args(Metric))}")

    def replacement(self, model: TransformerBridge, windows: Windows, head_outputs: HeadOutputs) -> Replacement:
        """What stands in for an ablated head; see ``prepare_replacement``, also for what it refuses."""
        return prepare_replacement(
            model,
            windows,
            method=self.method,
            head_outputs=head_outputs,
            reference=self.reference,
            mean_over=self.mean_over,
            batch_size=self.batch_size,
            seed=self.seed,
        )

    def provenance(self, measurement: str, model: TransformerBridge, windows: Windows, **more: object) -> Provenance:
        """Provenance with these settings, and with those that the measurement alone has."""
        reference = self.reference
        return Provenance.of(
            measurement,
            model,
            windows,
            method=self.method,
            **({} if self.metrics is None else {"metrics": list(self.metrics)}),
            reference=None if reference is None else reference.described,
            mean_over=self.mean_over if self.method == "mean" else None,
            seed=self.seed,
            batch_size=self.batch_size,
            **more,
        )
