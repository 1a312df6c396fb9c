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


def draw(comparison: ComparisonView, file: Path) -> Path:
    """Points with interquartile mean and interval on the left, curves on the right."""
    figure = Figure(figsize=(10.0, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    _draw_values(left, comparison)
    _draw_curves(right, comparison)
    steps, seeds = count(comparison.env_steps, "step"), count(len(comparison.seeds), "held-out seed")
    figure.suptitle(
        f"{comparison.name}: {comparison.task}, {count(comparison.trials, 'trial')} each, {steps}, {seeds}"
    )
    figure.savefig(file)
    return file


def _draw_values(axes: Axes, comparison: ComparisonView) -> None:
    """Defaults hollow, the tuned setting beside them filled."""
    for place, algorithm in enumerate(comparison.algorithms):
        colour = COLOURS[place % len(COLOURS)]
        if algorithm.untuned is not None:
            _draw_setting(axes, algorithm.untuned, place - 0.18, colour, filled=False)
        if algorithm.tuned is not None:
            _draw_setting(axes, algorithm.tuned, place + 0.18, colour, filled=True)
    axes.set_xticks(
        range(len(comparison.algorithms)), [algorithm.name for algorithm in comparison.algorithms]
    )
    axes.set_xlim(-0.6, len(comparison.algorithms) - 0.4)
    axes.set_ylabel("mean return of the last evaluations")
    axes.set_title("defaults (hollow) and tuned (filled), a point a seed", fontsize="medium")
    _tidy(axes)


def _draw_setting(axes: Axes, setting: SettingView, at: float, colour: str, filled: bool) -> None:
    values = [value for _, value in sorted(setting.candidate.values.items()) if value is not None]
    places = [at + (n - (len(values) - 1) / 2) * SPREAD for n in range(len(values))]
    axes.scatter(places, values, s=22, color=colour if filled else "none", edgecolors=colour, alpha=0.75)
    known = setting.candidate.estimate
    if known is None:
        return
    axes.hlines(known.point, at - 0.15, at + 0.15, color=colour, linewidth=2.5)
    if known.low is not None and known.high is not None:
        axes.vlines(at, known.low, known.high, color=colour, linewidth=1.2)


def _draw_curves(axes: Axes, comparison: ComparisonView) -> None:
    """Interquartile mean over seeds at each evaluation; the band reaches from the lowest to the highest seed."""
    for place, algorithm in enumerate(comparison.algorithms):
        curves = [] if algorithm.tuned is None else _curves(algorithm.tuned)
        if not curves:
            continue
        steps = sorted(set.intersection(*(set(curve) for curve in curves)))
        values = np.asarray([[curve[step] for step in steps] for curve in curves])
        colour = COLOURS[place % len(COLOURS)]
        middle = [interquartile_mean(column) for column in values.T.tolist()]
        axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.13, linewidth=0)
        axes.plot(steps, middle, color=colour, linewidth=2, marker=".", label=algorithm.name)
    if comparison.level is not None:
        axes.axhline(comparison.level, color="#9aa0a6", linewidth=1, linestyle="--")
    axes.set_xlabel("environment steps")
    axes.set_title("tuned settings: interquartile mean, all seeds within the band", fontsize="medium")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    _tidy(axes)


def _curves(setting: SettingView) -> Sequence[dict[int, float]]:
    """Return by step of every training with an evaluation."""
    trained = setting.candidate.trainings.values()
    return [dict(zip(t.curve_steps, t.curve, strict=True)) for t in trained if t.curve]


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
