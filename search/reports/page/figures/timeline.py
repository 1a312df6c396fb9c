"""Timeline: who trained what from when to when, what was taken over, and when nobody was at work."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import plotly.graph_objects as go

from search.history.attempts import LOST
from search.reports.page.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, styled, text
from search.reports.page.view import Work
from search.view.wording import duration

ENDS = {
    "complete": GREEN,
    "pruned": SKY,
    "diverged": PURPLE,
    "failed": RED,
    "raised": RED,
    LOST: ORANGE,
    "released": GREY,
    "at work": BLUE,
}
"""Colour by how an attempt ended."""
TOLD = {"raised": "ended by an error", LOST: "fell silent", "released": "left half-trained"}
ROW_PIXELS, FRAME_PIXELS, MOST_PIXELS = 24, 110, 900
MOST_NAMED, LONGEST_NAME = 30, 22
"""Rows that are all named; of more, plotly names some."""
SILENCE_SECONDS, SILENCE_SHARE = 60.0, 0.02
"""Nobody at work for this long, and for this share of the whole, is an outage."""


def taken_over(work: Sequence[Work]) -> list[Work]:
    """Attempts at what another worker had left half-trained, or had fallen silent at."""
    return [
        later
        for earlier, later in pairwise(work)
        if (earlier.held_out, earlier.attempt.number) == (later.held_out, later.attempt.number)
        and earlier.attempt.end in (LOST, "raised", "released")
    ]


def outages(work: Sequence[Work]) -> list[tuple[float, float]]:
    """When nobody was at work between the first attempt and the last; seconds since 1970."""
    spans = sorted((piece.attempt.began_at, _end(piece, work)) for piece in work)
    if not spans:
        return []
    least = max(SILENCE_SECONDS, SILENCE_SHARE * (max(end for _, end in spans) - spans[0][0]))
    gaps, reached = [], spans[0][1]
    for began, ended in spans[1:]:
        if began - reached > least:
            gaps.append((reached, began))
        reached = max(reached, ended)
    return gaps


def draw(work: Sequence[Work]) -> go.Figure:
    """A row a worker, a bar an attempt, coloured by how it ended; triangles where one was taken over."""
    owners = sorted({piece.attempt.owner for piece in work})
    figure = go.Figure()
    for end, colour in ENDS.items():
        if those := [piece for piece in work if (piece.attempt.end or "at work") == end]:
            _bars(figure, those, TOLD.get(end, end), colour, work)
    if again := taken_over(work):
        figure.add_scatter(
            x=[_time(attempt.attempt.began_at) for attempt in again],
            y=[text(attempt.attempt.owner) for attempt in again],
            mode="markers",
            marker={
                "symbol": "triangle-right",
                "size": 13,
                "color": "#ffffff",
                "line": {"color": "#000", "width": 1},
            },
            name="taken over",
            text=[f"{text(attempt.what)} taken over" for attempt in again],
            hoverinfo="text",
        )
    for began, ended in outages(work):
        figure.add_vrect(_time(began), _time(ended), fillcolor=GREY, opacity=0.3, line_width=0)
    held_out = [piece.attempt.began_at for piece in work if piece.held_out]
    if held_out and not all(piece.held_out for piece in work):
        figure.add_vline(_time(min(held_out)), line={"color": GREY, "dash": "dash", "width": 1})
    height = min(MOST_PIXELS, ROW_PIXELS * len(owners) + FRAME_PIXELS)
    styled(figure, "time (UTC)", "", height)
    figure.update_xaxes(type="date")
    rows = {text(owner): text(_short(owner)) for owner in reversed(owners)}
    figure.update_yaxes(type="category", categoryarray=list(rows), ticks="")
    if len(rows) <= MOST_NAMED:
        figure.update_yaxes(tickvals=list(rows), ticktext=list(rows.values()))
    return figure.update_layout(barmode="overlay", showlegend=True, bargap=0.25)


def _bars(figure: go.Figure, those: Sequence[Work], name: str, colour: str, work: Sequence[Work]) -> None:
    lengths = [max(0.0, _end(piece, work) - piece.attempt.began_at) for piece in those]
    figure.add_bar(
        orientation="h",
        base=[_time(piece.attempt.began_at) for piece in those],
        x=[1_000.0 * seconds for seconds in lengths],
        y=[text(piece.attempt.owner) for piece in those],
        name=name,
        marker={"color": colour, "line": {"color": "#ffffff", "width": 0.5}},
        text=[f"{text(e.what)}: {name} after {duration(s)}" for e, s in zip(those, lengths, strict=True)],
        textposition="none",
        hoverinfo="text",
    )


def _short(owner: str) -> str:
    """Of a long name its beginning and its end, with the process: on a phone the bars need the room."""
    return owner if len(owner) <= LONGEST_NAME else f"{owner[: LONGEST_NAME - 10]}…{owner[-9:]}"


def _end(piece: Work, work: Sequence[Work]) -> float:
    """Of an attempt that is not known to have ended: the last moment of which anything is known."""
    if piece.attempt.ended_at is not None:
        return max(piece.attempt.ended_at, piece.attempt.began_at)
    return max(other.attempt.ended_at or other.attempt.began_at for other in work)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
