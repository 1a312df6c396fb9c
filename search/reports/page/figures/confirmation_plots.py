"""Confirmation plots: every held-out training as a point, and learning curves with a band over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from search.reports.page.curves import SeedCurves
from search.reports.page.figures.style import clear, styled, text
from search.view.confirmation import CandidateView
from search.view.wording import score

ROW_PIXELS, FRAME_PIXELS = 64, 90
SPREAD = 0.07
"""Distance of neighbouring seeds' points, in rows."""


@dataclass(frozen=True)
class PointRow:
    """A setting's values, under a name and in a colour."""

    name: str
    candidate: CandidateView
    colour: str


def draw_points(rows: Sequence[PointRow]) -> go.Figure:
    """A row a setting: a point a seed, a bar at the interquartile mean, its 95 % interval as a line."""
    figure = go.Figure()
    for place, row in enumerate(rows):
        _draw_row(figure, len(rows) - 1 - place, row)
    styled(figure, "mean return of the last evaluations", "", ROW_PIXELS * len(rows) + FRAME_PIXELS)
    names = [text(row.name) for row in reversed(rows)]
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=names,
        range=[-0.6, len(rows) - 0.4],
        showgrid=False,
        ticks="",
    )
    figure.update_xaxes(range=_reach(rows))
    return figure.update_layout(showlegend=False)


def _reach(rows: Sequence[PointRow]) -> list[float] | None:
    """From the lowest end to the highest, with a margin."""
    ends = [value for row in rows for value in row.candidate.values.values() if value is not None]
    known = [row.candidate.estimate for row in rows if row.candidate.estimate is not None]
    ends += [end for each in known for end in (each.low, each.high) if end is not None]
    margin = 0.04 * (max(ends) - min(ends)) if ends else 0.0
    return [min(ends) - margin, max(ends) + margin] if margin else None


def _draw_row(figure: go.Figure, at: float, row: PointRow) -> None:
    values = [(seed, value) for seed, value in sorted(row.candidate.values.items()) if value is not None]
    if not values:
        return
    known = row.candidate.estimate
    if known is not None and known.low is not None and known.high is not None:
        _line(figure, [known.low, known.high], [at, at], row.colour, 5, 0.35, "95 % interval over seeds")
    if known is not None:
        _line(figure, [known.point] * 2, [at - 0.27, at + 0.27], row.colour, 4, 1.0, "interquartile mean")
    middle = (len(values) - 1) / 2
    figure.add_scatter(
        x=[value for _, value in values],
        y=[at + (n - middle) * SPREAD for n in range(len(values))],
        mode="markers",
        marker={"color": row.colour, "size": 10, "line": {"color": "#ffffff", "width": 1}},
        text=[f"held-out {seed}: {score(value)}" for seed, value in values],
        hoverinfo="text",
        name=text(row.name),
    )


def _line(
    figure: go.Figure,
    x: Sequence[float],
    y: Sequence[float],
    colour: str,
    width: int,
    share: float,
    what: str,
) -> None:
    ends = score(x[0]) if x[0] == x[-1] else f"{score(x[0])} to {score(x[-1])}"
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": clear(colour, share), "width": width},
        text=f"{what}: {ends}",
        hoverinfo="text",
    )


def draw_curves(curves: Sequence[tuple[SeedCurves, str]], level: float | None = None) -> go.Figure:
    """Lines in their colours, each in its band from the lowest to the highest seed."""
    figure = go.Figure()
    for curve, colour in curves:
        if curve.seeds > 1:
            figure.add_scatter(
                x=[*curve.steps, *reversed(curve.steps)],
                y=[*curve.high, *reversed(curve.low)],
                mode="lines",
                fill="toself",
                fillcolor=clear(colour, 0.18),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=text(curve.name),
            )
    for curve, colour in curves:
        figure.add_scatter(
            x=curve.steps,
            y=curve.middle,
            mode="lines+markers" if len(curve.steps) <= 60 else "lines",
            line={"color": colour, "width": 2.5, "dash": "dot" if curve.default else "solid"},
            marker={"size": 6},
            name=text(curve.name),
            legendgroup=text(curve.name),
            hovertemplate="step %{x:,}: %{y:,.1f}",
        )
    if level is not None:
        figure.add_hline(level, line={"color": "#8a9099", "width": 1, "dash": "dash"})
    styled(figure, "environment steps", "mean return of an evaluation", 360)
    return figure.update_layout(showlegend=True)
