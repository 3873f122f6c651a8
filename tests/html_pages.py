"""What stands on a written page, without plotly's own script, in which any word and number can be found."""

import base64
import json
import re

import numpy as np


def without_scripts(page):
    """Markup and text alone."""
    return re.sub(r"<(script|style)\b[^>]*>.*?</\1>", "", page, flags=re.DOTALL)


def drawn(page):
    """Traces and layout of each figure of a page, by the name of its place."""
    decoder, found = json.JSONDecoder(), {}
    for call in re.finditer(r'Plotly\.newPlot\(\s*"([^"]+)",\s*', page):
        data, end = decoder.raw_decode(page, call.end())
        found[call[1]] = data, decoder.raw_decode(page, re.compile(r",\s*").match(page, end).end())[0]
    return found


def numbers(values):
    """An array of a trace as numpy has it; plotly writes long ones in base64."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
    return np.asarray(values if values is not None else [])


def said(layout):
    """Every annotation of a figure, its caption among them, with lines joined."""
    return " ".join(a.get("text", "") for a in layout.get("annotations", [])).replace("<br>", " ")


def n_drawn(data):
    """Finite numbers that the traces of a figure draw: flows, colours, or heights, which lie on x where y has names."""
    count = 0
    for trace in data:
        held = [trace["link"]["value"]] if trace["type"] == "sankey" else [trace.get(axis) for axis in "zyx"]
        finite = [
            [x for x in numbers(one).ravel().tolist() if isinstance(x, (int, float)) and abs(x) < np.inf]
            for one in held
        ]
        count += next((len(found) for found in finite if found), 0)
    return count
