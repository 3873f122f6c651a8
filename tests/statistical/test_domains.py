from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from interp.figures.domains import draw_domain_rates, draw_domain_shares, draw_structural_share
from interp.statistical.domains import domains
from interp.statistical.rates import ScoresError
from interp.stats.estimates import wilson


@pytest.fixture
def scores() -> pd.DataFrame:
    """Model a: 3 of 4 code, 1 of 4 prose, 0 of 2 legal windows memorized; model b none."""
    a = pd.DataFrame(
        {
            "model": "a",
            "domain": ["code"] * 4 + ["prose"] * 4 + ["legal"] * 2,
            "memorized": [1, 1, 1, 0, 1, 0, 0, 0, 0, 0],
            "document": [f"d{i}" for i in range(10)],
        }
    )
    return pd.concat([a, a.assign(model="b", memorized=0)], ignore_index=True)


def test_rates_and_shares_by_hand(scores: pd.DataFrame) -> None:
    frame = domains(scores).to_frame().set_index(["quantity", "model", "domain"]).sort_index()["value"]
    assert frame["rate", "a"].to_dict() == {"code": 3 / 4, "legal": 0.0, "prose": 1 / 4}
    assert frame["share", "a"].to_dict() == {"code": 3 / 4, "legal": 0.0, "prose": 1 / 4}
    assert frame["share of windows", "a"].to_dict() == {"code": 0.4, "legal": 0.2, "prose": 0.4}
    assert frame["structural share", "a"].to_dict() == {"structural": 3 / 4}
    assert frame["structural share of windows", "a"].to_dict() == {"structural": 0.6}


def test_a_share_rests_on_the_memorized_windows(scores: pd.DataFrame) -> None:
    shares = domains(scores).shares.to_frame().set_index(["model", "domain"])
    assert shares.loc[("a", "code"), ["value", "n", "n_documents"]].tolist() == [3 / 4, 4, 4]
    assert shares.loc[("a", "code"), ["low", "high"]].tolist() == [0, 1], "four documents give no interval"
    again = [scores.assign(document=scores["document"] + copy) for copy in "12"]
    twice = domains(pd.concat(again)).shares.to_frame().set_index(["model", "domain"])
    expected = wilson(6, 8)
    assert twice.loc[("a", "code"), ["low", "high", "n"]].tolist() == [expected.low, expected.high, 8]


def test_nothing_memorized_is_not_measured_rather_than_zero(scores: pd.DataFrame) -> None:
    frame = domains(scores).to_frame().set_index(["quantity", "model", "domain"]).sort_index()["value"]
    assert frame["share", "b"].isna().all()
    assert frame["structural share", "b"].isna().all()
    assert (frame["rate", "b"] == 0).all()


def test_columns_of_others_are_mapped(scores: pd.DataFrame) -> None:
    theirs = scores.rename(columns={"domain": "pile_set"}).replace(
        {"pile_set": {"code": "Github", "prose": "Books3", "legal": "FreeLaw"}}
    )
    names = {"Github": "code", "Books3": "prose", "FreeLaw": "legal"}
    mapped = domains(theirs, column="pile_set", names=names)
    assert mapped.to_frame().equals(domains(scores).to_frame())
    with pytest.raises(ScoresError, match=r"\['FreeLaw'\], which `names` does not name"):
        domains(theirs, column="pile_set", names={"Github": "code", "Books3": "prose"})
    with pytest.raises(ScoresError, match="no window is of the structural domains"):
        domains(theirs, column="pile_set")


def test_windows_that_were_not_measured_are_left_out(scores: pd.DataFrame) -> None:
    missing = scores.assign(memorized=scores["memorized"].astype(float).where(scores["document"] != "d0"))
    frame = domains(missing).to_frame().set_index(["quantity", "model", "domain"]).sort_index()["value"]
    assert frame["rate", "a", "code"] == 2 / 3
    assert frame["share of windows", "a", "code"] == 3 / 9


def test_figures_show_the_floor(scores: pd.DataFrame) -> None:
    table = domains(scores).to_frame()
    assert len(draw_domain_rates(table).data) == 3
    assert sorted(s.x0 for s in draw_domain_shares(table).layout.shapes) == [0.2, 0.4]
    fig = draw_structural_share(table)
    assert fig.layout.shapes[0].x0 == 0.6
    assert np.isnan(fig.data[1].x[0])
