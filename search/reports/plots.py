"""Plots: the learning curves and a video of the best trial, as artifacts of its run and of the study's."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from search.errors import CannotDraw
from search.reports.renderer import can_draw
from search.reports.video import render_video
from search.view.views import StudyView, TrialView
from search.view.wording import count
from tracking.errors import TrackingError
from tracking.tracker import Tracker

log = logging.getLogger(__name__)

FOLDER = "pictures"
CURVES = "learning_curve.png"
VIDEO = "rollout.gif"
BEST_COLOUR, DEFAULT_COLOUR, OTHER_COLOUR = "#2563a8", "#b3661e", "#c8ccd0"


def keep_pictures(study: StudyView, tracker: Tracker, run_id: str) -> None:
    """Store what can be drawn; a warning in the log names what cannot."""
    best = study.best
    if best is None:
        return
    runs = [run_id] + ([best.run_id] if best.run_id else [])
    with tempfile.TemporaryDirectory(prefix="omad-pictures-") as temporary:
        folder = Path(temporary)
        try:
            pictures = {f"{FOLDER}/{CURVES}": draw_curves(study, folder / CURVES)}
            if made := _render_video(study.task, best, tracker, folder):
                pictures[f"{FOLDER}/{VIDEO}"] = made
            for run in runs:
                tracker.upload(run, pictures)
        except TrackingError as error:
            log.warning("no pictures: %s", error)


def _render_video(task: str, best: TrialView, tracker: Tracker, folder: Path) -> Path | None:
    """A video of the best trial's policy, if it can be drawn here."""
    uri = tracker.model_of(best.run_id) if best.run_id and can_draw(task) else None
    if uri is None:
        return None
    try:
        render_video(tracker.download_model(uri, folder / "model"), folder / VIDEO)
    except CannotDraw as error:
        log.warning("no video of trial %d: %s", best.number, error)
        return None
    return folder / VIDEO


def draw_curves(study: StudyView, file: Path) -> Path:
    """Mean return by environment step: the best trial, the defaults, and all others in grey."""
    figure = Figure(figsize=(7.2, 4.0), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    best, default = study.best, study.default
    for trial in study.trials:
        if trial.curve and trial is not best and trial is not default:
            axes.plot(*_points(trial), color=OTHER_COLOUR, linewidth=1, marker=".")
    for special, name, colour in ((default, "defaults", DEFAULT_COLOUR), (best, "best", BEST_COLOUR)):
        if special is not None and special.curve:
            axes.plot(
                *_points(special),
                color=colour,
                linewidth=2,
                marker=".",
                label=f"{name}, trial {special.number}",
            )
    axes.set_xlabel("environment steps")
    axes.set_ylabel("mean return")
    axes.set_title(f"{study.name}: {count(len(study.trials), 'trial')}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    figure.savefig(file)
    return file


def _points(trial: TrialView) -> tuple[Sequence[float], Sequence[float]]:
    """Evaluations come at even distances, the last one at `curve_step`."""
    count = len(trial.curve)
    return [trial.curve_step * n / count for n in range(1, count + 1)], list(trial.curve)
