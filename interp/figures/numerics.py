"""Figure of numerics: what changes with the number format and the batch, by model."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from interp.figures.rates import error_bars
from interp.figures.style import REFERENCE_COLOUR, apply_style

_PANELS = {
    "flip_rate": "M = 1 flips",
    "other_text": "any other token",
    "near_ties": "a near tie",
}
_COLOURS = {"float32": REFERENCE_COLOUR, "bfloat16": "#D55E00", "float16": "#0072B2"}
_SYMBOLS = ("circle", "circle-open", "diamond", "diamond-open")


def draw_numerics(table: pd.DataFrame, *, reference: str, caption: str = "") -> go.Figure:
    """Share of windows whose flag flips, whose text differs and that have a near tie, with 95 % intervals, by model.

    Args:
        table: rows of ``Numerics.to_frame()`` with the column ``model``.
        reference: what every setting is compared with, for the axis: "float32 in batches of 64", for instance.
        caption: what is seen.
    """
    sizes = sorted(table["batch_size"].unique(), reverse=True)
    fig = make_subplots(
        rows=1, cols=len(_PANELS), shared_yaxes=True, subplot_titles=list(_PANELS.values()), horizontal_spacing=0.04
    )
    for column, share in enumerate(_PANELS, start=1):
        for (dtype, size), rows in table.groupby(["dtype", "batch_size"], sort=False):
            bounds = {"value": rows[share], "low": rows[f"{share}_low"], "high": rows[f"{share}_high"]}
            fig.add_scatter(
                x=rows[share],
                y=rows["model"],
                error_x=error_bars(pd.DataFrame(bounds)),
                mode="markers",
                orientation="h",  # settings of one model stand below one another
                marker={
                    "size": 7,
                    "color": _COLOURS[str(dtype)],
                    "symbol": _SYMBOLS[sizes.index(size) % len(_SYMBOLS)],
                },
                customdata=rows[["n", "gained", "lost"]],
                hovertemplate="%{x:.2%} of %{customdata[0]} windows; flags: +%{customdata[1]}, -%{customdata[2]}",
                offsetgroup=f"{dtype} {size}",
                legendgroup=f"{dtype} {size}",
                name=f"{dtype}, batches of {size}",
                showlegend=column == 1,
                row=1,
                col=column,
            )
    fig.add_vline(x=0, line={"color": REFERENCE_COLOUR, "dash": "dot", "width": 1})
    fig.update_layout(scattermode="group", scattergap=0.25, height=160 + 44 * table["model"].nunique())
    fig.update_yaxes(autorange="reversed").update_xaxes(tickformat=".0%", rangemode="tozero")
    fig.update_xaxes(tickformat=".1%", col=1)
    apply_style(fig, title="Number format and batch size", caption=caption, intervals=table).update_layout(margin_t=80)
    return fig.update_xaxes(title_text=f"share of windows, against {reference}", col=2)
