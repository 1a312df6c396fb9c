"""Figure: every held-out training of a comparison as a point, and the learning curves of the tuned settings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from omad_core.results.statistics import interquartile_mean
from search.comparison.view import ComparisonView, SettingView
from search.view.wording import count

COLOURS = ("#2563a8", "#b3661e", "#2e7d32", "#8e3a8e", "#b3261e", "#4d4d4d", "#0e7c86", "#a38b00")
"""By algorithm, in the order of the comparison."""
SPREAD = 0.05
"""Distance of neighbouring seeds' points, in algorithms."""


def draw(seen: ComparisonView, file: Path) -> Path:
    """Points with interquartile mean and interval on the left, curves on the right."""
    figure = Figure(figsize=(10.0, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    _draw_values(left, seen)
    _draw_curves(right, seen)
    steps, seeds = count(seen.env_steps, "step"), count(len(seen.seeds), "held-out seed")
    figure.suptitle(f"{seen.name}: {seen.task}, {count(seen.trials, 'trial')} each, {steps}, {seeds}")
    figure.savefig(file)
    return file


def _draw_values(axes: Axes, seen: ComparisonView) -> None:
    """Defaults hollow, the tuned setting beside them filled."""
    for place, each in enumerate(seen.algorithms):
        colour = COLOURS[place % len(COLOURS)]
        if each.untuned is not None:
            _draw_setting(axes, each.untuned, place - 0.18, colour, filled=False)
        if each.tuned is not None:
            _draw_setting(axes, each.tuned, place + 0.18, colour, filled=True)
    axes.set_xticks(range(len(seen.algorithms)), [each.name for each in seen.algorithms])
    axes.set_xlim(-0.6, len(seen.algorithms) - 0.4)
    axes.set_ylabel("mean return of the last evaluations")
    axes.set_title("defaults (hollow) and tuned (filled), a point a seed", fontsize="medium")
    _tidy(axes)


def _draw_setting(axes: Axes, each: SettingView, at: float, colour: str, filled: bool) -> None:
    values = [value for _, value in sorted(each.candidate.values.items()) if value is not None]
    places = [at + (n - (len(values) - 1) / 2) * SPREAD for n in range(len(values))]
    axes.scatter(places, values, s=22, color=colour if filled else "none", edgecolors=colour, alpha=0.75)
    known = each.candidate.estimate
    if known is None:
        return
    axes.hlines(known.point, at - 0.15, at + 0.15, color=colour, linewidth=2.5)
    if known.low is not None and known.high is not None:
        axes.vlines(at, known.low, known.high, color=colour, linewidth=1.2)


def _draw_curves(axes: Axes, seen: ComparisonView) -> None:
    """Interquartile mean over seeds at each evaluation; the band reaches from the lowest to the highest seed."""
    for place, each in enumerate(seen.algorithms):
        curves = [] if each.tuned is None else _curves(each.tuned)
        if not curves:
            continue
        steps = sorted(set.intersection(*(set(curve) for curve in curves)))
        values = np.asarray([[curve[step] for step in steps] for curve in curves])
        colour = COLOURS[place % len(COLOURS)]
        middle = [interquartile_mean(column) for column in values.T.tolist()]
        axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.13, linewidth=0)
        axes.plot(steps, middle, color=colour, linewidth=2, marker=".", label=each.name)
    if seen.level is not None:
        axes.axhline(seen.level, color="#9aa0a6", linewidth=1, linestyle="--")
    axes.set_xlabel("environment steps")
    axes.set_title("tuned settings: interquartile mean, all seeds within the band", fontsize="medium")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    _tidy(axes)


def _curves(each: SettingView) -> Sequence[dict[int, float]]:
    """Return by step of every training with an evaluation."""
    trained = each.candidate.trainings.values()
    return [dict(zip(t.curve_steps, t.curve, strict=True)) for t in trained if t.curve]


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
