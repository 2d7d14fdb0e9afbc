"""Plots as inline SVG, for pages that need no other file: no script, readable in print, the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, product
from typing import Any

import matplotlib
from matplotlib.figure import Figure

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#444444", "#a5aa99", "#80ba5a")
"""Okabe and Ito's colours and a few more: told apart by colour-blind readers; repeated with dashes beyond ten."""

_NAMESPACES = re.compile(r' xmlns(?::\w+)?="[^"]*"|(?<= )xlink:(?=href=)')
"""Inside a page of HTML an SVG needs none, and a page without an address is seen to need no other file."""


def styles() -> Iterator[tuple[str, str]]:
    """Yield dashes and colour of one series after the other, without end."""
    return cycle(product(("-", "--"), PALETTE))


@contextmanager
def plot(data: object) -> Iterator[tuple[Any, list[str]]]:
    """Open the axes of a plot.

    Args:
        data: What is plotted. Its `repr` seeds the ids inside the SVG, so that plots of other data have others.

    Yields:
        The axes of matplotlib, and a list that holds the plot as one SVG element once the context is left.
    """
    svg: list[str] = []
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": repr(data), "font.size": 8}):
        figure = Figure(figsize=(4.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(axis="y", color="#e2e2e2")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        yield axes, svg
        if axes.get_legend_handles_labels()[1]:
            figure.legend(loc="outside lower center", ncols=3, frameon=False)
        page = io.StringIO()
        figure.savefig(page, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawing = page.getvalue()
    svg.append(_NAMESPACES.sub("", drawing[drawing.index("<svg") :]))
