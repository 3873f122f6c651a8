"""An example of a study file with a comment on every setting, made from the descriptions."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from interp.measurements.measurement import Measurement
from interp.study.config import COMPARISONS, MEASUREMENTS, StudyModel, StudyWindows

_HEAD = """\
# A study: models x windows x measurements with their settings x seeds.
#   interp run THIS-FILE --dry-run    prints what would be measured
#   interp run THIS-FILE              measures the missing units; stop it at any moment
#   interp report THIS-FILE           makes a page of the results

title: Two small models
question: |
  Which windows have two small models of one family memorized, and which heads carry them?

# Folder of the results, relative to this file.
store: study-store

# Seeds of every random choice.
seeds: [0]
"""


def example() -> str:
    """The text of a study file that can be run unchanged."""
    return "\n".join(
        [
            _HEAD,
            "# Names (`interp models`), hub ids or directories. Further settings of a model:",
            *_options(StudyModel, indent="#   "),
            "models:",
            "  - pythia-small-0.2m",
            "  - name: pythia-small-0.5m",
            "    batch_size: 64",
            "",
            "# Windows, by names of your own. Their settings:",
            *(line for line in _options(StudyWindows, indent="#   ") if not line.startswith("#   seed:")),
            "windows:",
            "  planted:",
            "    sets: [held_out, planted-64, planted-256]",
            "    per_set: 4",
            "",
            "# Measurements: names, or a name with settings. A measurement may occur several times, with",
            "# other settings and another `label`; `windows` and `models` restrict it to some of those above.",
            "measurements:",
            "  - extract",
            "  - measure: ablate",
            "    windows: planted",
            "    settings:",
            "      methods: [zero]",
            "      by_window: true",
            *(line for measurement in MEASUREMENTS.values() for line in _described(measurement)),
            "",
            "# Comparisons of the tables of all models.",
            "comparisons:",
            "  - compare: dose-response",
            *(f"  # - {name}: {comparison.help.splitlines()[0]}" for name, comparison in COMPARISONS.items()),
            "",
            "# For --engine slurm: parameters of submitit.",
            "# slurm: {slurm_partition: gpu, timeout_min: 600, gpus_per_node: 1, mem_gb: 64}",
            "",
        ]
    )


def _described(measurement: Measurement[Any]) -> list[str]:
    head = f"  # - measure: {measurement.name}    # {measurement.help.splitlines()[0]}"
    options = _options(measurement.settings, indent="  #     ")
    return [head, *(["  #   settings:"] if options else []), *options]


def _options(settings: type, *, indent: str) -> list[str]:
    """A line for each field, with its default and help."""
    lines = []
    for field in fields(settings):
        told = field.default
        if not isinstance(told, FieldInfo):
            continue
        default = told.default
        shown = "..." if default in (PydanticUndefined, MISSING) else _yaml(default)
        lines.append(f"{indent}{field.name}: {shown}    # {told.description}")
    return lines


def _yaml(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_yaml, value))}]"
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, float)
        else f"{value}"
    )
