"""Style: fonts, colours and axes that all plots of a page have. Lines and letters get their colours from its CSS."""

import html
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#2186c9",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#8a9099",
)
"""Okabe and Ito's, told apart by colour-blind eyes; the blue lighter than theirs, to be seen on dark ground too."""
ALGORITHMS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)
SCALE = ["#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"]
"""Viridis without its darkest part, which dark ground would swallow."""
OUTLINE = {"color": "rgba(128,134,142,0.9)", "width": 0.8}
LONGEST = 40
MOST_WHOLE = 8
"""Whole numbers of an axis that are each named; of more, plotly names some."""


def text(anything: Any) -> str:
    """A value for a plot, which takes markup: short, and without any."""
    plain = " ".join(str(anything).split())
    return html.escape(plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…", quote=False)


def clear(colour: str, share: float) -> str:
    """A `#rrggbb` colour that lets through what is behind it."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def styled(figure: go.Figure, x: str, y: str, height: int = 340) -> go.Figure:
    """The figure with titles of its axes, no title of its own, and room for labels on any screen."""
    figure.update_layout(
        title=None,
        width=None,
        height=height,
        autosize=True,
        template="none",
        font={"family": FONT, "size": 12},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 56, "r": 14, "t": 12, "b": 46},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left", "title": None},
        hoverlabel={"font": {"family": FONT, "size": 12}, "namelength": -1},
        hovermode="closest",
    )
    axis = {
        "automargin": True,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "exponentformat": "power",
    }
    figure.update_xaxes(title=x, **axis)
    figure.update_yaxes(title=y, **axis)
    for logarithmic in (*figure.select_xaxes({"type": "log"}), *figure.select_yaxes({"type": "log"})):
        logarithmic.update(tickformat="~g", nticks=3)  # 0.0002, as tables have it, and not a small 2
    return figure


def whole_ticks(values: Sequence[Any]) -> dict[str, Any]:
    """What an axis of these values needs so that no tick stands between two whole numbers."""
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values) or not all(float(number).is_integer() for number in numbers):
        return {}
    return {"dtick": 1} if numbers and max(numbers) - min(numbers) <= MOST_WHOLE else {}


def thinned(count: int, most: int) -> Sequence[int]:
    """Places of at most so many of a row of things, evenly spaced, the first and the last among them."""
    if count <= most:
        return range(count)
    return sorted({round(n * (count - 1) / (most - 1)) for n in range(most)})
