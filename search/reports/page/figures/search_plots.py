"""Search plots: Optuna's own plots of a search, in the page's style."""

import re
from collections.abc import Mapping, Sequence

import optuna
import optuna.visualization as visualization
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from search.reports.page.figures import trials
from search.reports.page.figures.style import (
    ALGORITHMS,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    OUTLINE,
    PURPLE,
    RED,
    SCALE,
    styled,
    text,
    thinned,
    whole_ticks,
)
from search.view.views import StudyView

SCORE = "score in the search (mean return)"
MOST_POINTS, MOST_CONTOUR, MOST_LINES, MOST_CURVES = 500, 300, 300, 80
"""Trials in a slice, in the contour, in parallel coordinates, and curves of evaluations."""


def draw_history(studies: Sequence[tuple[str, optuna.Study]]) -> go.Figure:
    """Scores by number, and the best so far; of several searches each in its colour."""
    figure, highest = go.Figure(), 0
    for (name, study), colour in zip(studies, ALGORITHMS, strict=False):
        numbers = [trials.number_of(trial) for trial in study.get_trials(deepcopy=False)]
        highest = max(highest, *numbers)
        drawn = visualization.plot_optimization_history(study, target_name=SCORE)
        for trace in drawn.data:
            best = "lines" in (trace.mode or "")
            prefix = f"{text(name)}, " if len(studies) > 1 else ""
            trace.update(
                x=[numbers[place] for place in trace.x],
                name=f"{prefix}best so far" if best else f"{prefix}complete trials",
                marker={"color": colour, "size": 7, "line": OUTLINE},
                line={"color": colour, "width": 2, "shape": "hv"},
                hovertemplate="trial %{x}: %{y:,.1f}",
            )
            figure.add_trace(trace)
    return styled(figure, "trial", SCORE).update_xaxes(whole_ticks([0, highest]))


def draw_slice(study: optuna.Study, parameter: str) -> go.Figure:
    """Score by one parameter's value; later trials are lighter."""
    figure = visualization.plot_slice(trials.some(study, MOST_POINTS), params=[parameter], target_name=SCORE)
    figure.update_traces(
        marker={"colorscale": SCALE, "reversescale": False, "line": OUTLINE, "size": 7, "showscale": False},
        hovertemplate="%{x}: %{y:,.1f}",
    )
    for trace in figure.data:
        trace.x = [value.strip("'") if isinstance(value, str) else value for value in trace.x]
    styled(figure, "", "score", 230).update_xaxes(whole_ticks([x for trace in figure.data for x in trace.x]))
    return figure.update_layout(showlegend=False)


def draw_parallel(study: optuna.Study) -> go.Figure:
    """A line a trial through its score and its parameters' values; the higher its score, the lighter."""
    figure = visualization.plot_parallel_coordinate(trials.some(study, MOST_LINES), target_name="score")
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    shares = [min(1.0, max(0.0, float(trace.y[0]))) for trace in lines]
    for trace, share, colour in zip(lines, shares, sample_colorscale(SCALE, shares), strict=True):
        best = share == 1.0
        trace.update(line={"color": colour, "width": 3 if best else 1.4}, opacity=0.9 if best else 0.75)
    figure.update_traces(selector={"mode": "markers"}, marker={"colorscale": SCALE, "reversescale": False})
    names = sorted({name for trial in trials.complete(study) for name in trial.params})
    styled(figure, "", "", 420).update_xaxes(
        ticktext=["score", *(name.replace(".", ".<br>") for name in names)]
    )
    for value in figure.layout.annotations:
        if re.fullmatch(r"-?[\d.]+e\+\d+", value.text):
            value.text = f"{float(value.text):,.0f}"  # 2,280 where Optuna says 2.28e+03
    return figure.update_layout(margin={"l": 48, "r": 30, "t": 30, "b": 40}, showlegend=False)


def draw_contour(study: optuna.Study, importances: Mapping[str, float]) -> go.Figure | None:
    """Score over the two parameters that matter most and that enough trials have; None where there are no two."""
    least = trials.complete(study)
    for pair in _pairs(sorted(importances, key=importances.__getitem__, reverse=True)):
        having = [trial for trial in least if set(pair) <= trial.params.keys()]
        varied = all(len({trial.params[name] for trial in having}) > 1 for name in pair)
        if len(having) >= max(5, len(least) // 2) and varied:
            return _contour(trials.some(study, MOST_CONTOUR), pair)
    return None


def _contour(study: optuna.Study, pair: Sequence[str]) -> go.Figure:
    figure = visualization.plot_contour(study, params=list(pair), target_name="score")
    figure.update_traces(selector={"type": "contour"}, colorscale=SCALE, reversescale=False)
    figure.update_traces(
        selector={"type": "scatter"}, marker={"color": "#ffffff", "size": 6, "line": OUTLINE}
    )
    x, y = (figure.layout[axis].title.text for axis in ("xaxis", "yaxis"))
    return styled(figure, x, y, 420).update_layout(showlegend=False)


def _pairs(ranked: Sequence[str]) -> list[tuple[str, str]]:
    """The most important with the second, then with the third, and so on down."""
    return [(first, second) for at, first in enumerate(ranked) for second in ranked[at + 1 :]]


def draw_evaluations(study: optuna.Study, view: StudyView) -> go.Figure:
    """Evaluations by step, coloured by what became of the trial; the best and the defaults stand out."""
    marked = {trial.number: colour for trial, colour in ((view.default, ORANGE), (view.best, BLUE)) if trial}
    chosen = _representative(view, marked)
    evaluated = trials.evaluated(study, chosen)
    drawn = visualization.plot_intermediate_values(evaluated)
    numbers = [trials.number_of(trial) for trial in evaluated.get_trials(deepcopy=False)]
    states, told = {trial.number: trial.state for trial in view.trials}, set[str]()
    figure = go.Figure()
    for trace, number in zip(drawn.data, numbers, strict=True):
        special, state = number in marked, states[number]
        name = _name(view, number) if special else state
        trace.update(
            name=name,
            legendgroup=name,
            showlegend=name not in told,
            mode="lines+markers",
            line={"color": marked.get(number, COLOURS.get(state, GREY)), "width": 3 if special else 1},
            marker={"size": 6 if special else 3, "maxdisplayed": 0},
            opacity=1.0 if special else 0.55,
            hovertemplate=f"trial {number}, step %{{x:,}}: %{{y:,.1f}}",
        )
        told.add(name)
        figure.add_trace(trace)
    return styled(figure, "environment steps", "mean return of an evaluation", 360)


COLOURS = {"complete": GREEN, "pruned": GREY, "diverged": PURPLE, "failed": RED, "running": "#56b4e9"}


def _name(view: StudyView, number: int) -> str:
    if view.best is not None and number == view.best.number:
        return f"best, trial {number}"
    return f"defaults, trial {number}"


def _representative(view: StudyView, marked: Mapping[int, str]) -> list[int]:
    """Numbers of the trials whose curves are drawn, those that stand out last and so on top."""
    ranked = sorted(
        (trial for trial in view.trials if trial.curve and trial.params and trial.number not in marked),
        key=lambda trial: (trial.score or 0.0, trial.number),
    )
    kept = [ranked[at].number for at in thinned(len(ranked), MOST_CURVES)]
    return [*kept, *marked]
