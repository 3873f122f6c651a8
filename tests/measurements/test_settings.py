"""Settings are checked when they are made, and a command has an option for each field."""

from __future__ import annotations

from dataclasses import fields

import pytest
import typer

from interp.commands.options import options
from interp.comparisons.registry import OF_HEADS, OF_SCORES
from interp.measurements.ablate import AblateSettings
from interp.measurements.registry import INTERNAL, STATISTICAL
from interp.measurements.settings import SettingsError, make
from interp.measurements.subject import ModelChoice, WindowsChoice

DESCRIBED = (*STATISTICAL, *INTERNAL, *OF_SCORES, *OF_HEADS)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"methods": "nope"}, "'zero', 'mean', 'resample' or 'peer_mean'"),
        ({"screen": 2}, "less than or equal to 1"),
        ({"unknown": 1}, "unknown"),
        ({"at_most": 0}, "greater than or equal to 1"),
        ({"methods": ["zero", "mean", "zero"]}, "'zero' is given twice"),
        ({"groups": ["matched", "matched"]}, "'matched' is given twice"),
        ({"screen": 0.2, "heads": "0.0"}, "takes no --heads"),
        ({"screen": 0.2, "estimate": True, "by_window": True}, "takes no --estimate or --by-window"),
    ],
)
def test_wrong_settings_are_refused_with_what_is_allowed(given: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        make(AblateSettings, given)


def test_windows_are_of_one_text() -> None:
    with pytest.raises(SettingsError, match="give one of them"):
        make(WindowsChoice, {"sets": "planted-64", "corpus": "corpus.jsonl"})


def test_a_single_name_is_a_sequence_of_one() -> None:
    assert make(AblateSettings, {"methods": "mean"}).methods == ("mean",)
    assert make(AblateSettings, {"methods": ["mean", "zero"]}).methods == ("mean", "zero")


@pytest.mark.parametrize("kind", [described.settings for described in DESCRIBED] + [ModelChoice, WindowsChoice])
def test_every_field_is_an_option_with_help(kind: type) -> None:
    made = {option.name: option for option in options(kind)}
    assert list(made) == [field.name for field in fields(kind)]
    for option in made.values():
        (told,) = option.annotation.__metadata__
        assert isinstance(told, typer.models.OptionInfo)
        assert told.help


@pytest.mark.parametrize("described", DESCRIBED, ids=lambda described: described.name)
def test_every_description_says_what_it_measures(described) -> None:
    assert described.help.endswith(".")
    assert "dataclass" not in described.help


def test_names_are_not_used_twice() -> None:
    names = [described.name for described in DESCRIBED]
    assert len(names) == len(set(names))
