"""The studies of this repository can be read, and their plans are what their claims need."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp.models.registry import registry, small_models
from interp.study.config import read_study
from interp.study.plan import plan, units

STUDIES = Path(__file__).parents[2] / "experiments"
CLAIMS = sorted(path.name for path in STUDIES.glob("*.yaml"))


@pytest.mark.parametrize("name", CLAIMS)
def test_a_study_is_read_and_asks_something_of_every_model(name: str) -> None:
    study = read_study(STUDIES / name)
    assert study.question
    of_models = {unit.model.name for unit in units(study, None)}
    small = {spec.name for spec in small_models()}
    assert of_models == (set(registry()) - small if name == "paper.yaml" else small)


def test_every_claim_that_is_made_is_a_study() -> None:
    made = (STUDIES.parent / "Makefile").read_text().split("CLAIMS := ")[1].split("\n\n")[0]
    assert {f"{claim}.yaml" for claim in made.replace("\\", "").split()} | {"demo.yaml", "paper.yaml"} == set(CLAIMS)


def test_claims_that_rest_on_the_same_measurement_share_its_units() -> None:
    for one, other, measurement in (("scaling", "domains", "extract"), ("head_ablation", "head_comparison", "ablate")):
        keys = [
            [p.key for p in plan(read_study(STUDIES / f"{name}.yaml"), only=[measurement, "olmo2*"])]
            for name in (one, other)
        ]
        assert keys[0] == keys[1]
        assert None not in keys[0]


def test_the_papers_study_says_what_is_lacking() -> None:
    planned = plan(read_study(STUDIES / "paper.yaml"))
    assert len(planned) == 7 * 20
    assert all(one.key is None and one.lacking for one in planned)
