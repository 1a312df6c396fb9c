"""Final report: the best trial, the defaults and random play, evaluated on the same fresh episodes."""

import json
import logging
import math
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from omad_core.errors import OmadError
from omad_core.policy import Policy
from omad_core.results.assessment import Assessment, Progress, assess, assess_random
from omad_core.results.statistics import Summary, summarise
from search.recording.model_card import Facts, model_card
from search.reports.markdown import markdown
from search.reports.plots import keep_pictures
from search.study.study_spec import StudySpec
from search.view.confirmation import as_document, confirmed_lines, confirmed_tags
from search.view.report_view import ReportView
from search.view.views import StudyView, TrialView
from search.view.wording import count
from tracking.errors import TrackingError
from tracking.tracker import RunInfo, Tracker

log = logging.getLogger(__name__)

FINAL_SEED = 1_000_003
"""Seed of the final episodes; training seeds are study seed * 1000 + n, and draw from other streams."""
REPORT = "report.json"
READABLE = "report.md"


class ProgressDisplay(Protocol):
    """Shows how far a long evaluation is."""

    def begin(self, stage: str) -> None:
        """Show that a part begins."""
        ...

    def progress(self, text: str) -> None:
        """Show how far it is; called often."""
        ...


def model_of(trial: TrialView | None, tracker: Tracker, folder: Path) -> Policy | None:
    """The published policy of a trial, fetched below `folder`; None where it has none."""
    if trial is None or trial.run_id is None:
        return None
    uri = tracker.model_of(trial.run_id)
    return None if uri is None else Policy.load(tracker.download_model(uri, folder / f"trial-{trial.number}"))


def report(study: StudyView, spec: StudySpec, tracker: Tracker, wait: ProgressDisplay) -> ReportView:
    """The study with its final evaluation, its progress shown by `wait`.

    Models that cannot be fetched are left out, and the log says so.
    """
    returns: dict[str, Summary | None] = {}
    episodes, seed = spec.final_episodes, FINAL_SEED + spec.seed
    with tempfile.TemporaryDirectory(prefix="omad-report-") as temporary:
        for name, trial in (("best", study.best), ("default", study.default)):
            if name == "default" and trial is not None and trial == study.best:
                returns[name] = returns["best"]  # nothing better was found: it is the same model
                continue
            try:
                policy = model_of(trial, tracker, Path(temporary) / name)
            except TrackingError as error:
                log.warning("the %s model cannot be fetched: %s", name, error)
                policy = None
            if policy is None:
                returns[name] = None
                continue
            wait.begin(f"evaluating the {name} model on {count(episodes, 'episode')}")
            played = partial(assess, policy, episodes, seed, progress=_shown(wait, episodes))
            returns[name] = _measure(name, played)
    wait.begin(f"evaluating random play on {count(episodes, 'episode')}")
    random = partial(
        assess_random, spec.task, spec.config.env, episodes, seed, progress=_shown(wait, episodes)
    )
    returns["random"] = _measure("random", random)
    return ReportView(study, returns["best"], returns["default"], returns["random"])


def _shown(wait: ProgressDisplay, episodes: int) -> Progress:
    def show(ended: int, steps: int) -> None:
        wait.progress(f"{ended} of {episodes} ended, {steps:,} steps")

    return show


def _measure(name: str, measure: Callable[[], Assessment]) -> Summary | None:
    """Returns on the final episodes; None, with the reason logged, where an environment fails or one is not finite."""
    try:
        measured = summarise(measure().returns)
    except OmadError as error:
        log.warning("the final evaluation (%s) failed: %s", name, error)
        return None
    if not math.isfinite(measured.mean):
        log.warning("the final evaluation (%s) has no result: its mean return is %s", name, measured.mean)
        return None
    return measured


def figures(returns: Summary | None) -> Mapping[str, float] | None:
    """Mean return and its interval, as the stored report has them."""
    if returns is None:
        return None
    return {
        "mean": returns.mean,
        "low": returns.low,
        "high": returns.high,
        "episodes": returns.count,
    }


def store(report_view: ReportView, spec: StudySpec, tracker: Tracker, parent: RunInfo) -> None:
    """Store the report in the study's run, end that, and put the returns on the champion's card.

    `parent`: the study's run, opened anew where it was deleted.
    """
    run_id = tracker.open_run(parent)
    best = report_view.study.best
    document: Mapping[str, Any] = {
        "best_trial": best.number if best else None,
        "params": dict(best.params) if best else {},
        "confirmation": as_document(report_view.confirmation) if report_view.confirmation else None,
        "score_in_the_search": best.score if best else None,
        **{name: figures(getattr(report_view, name)) for name in ("best", "default", "random")},
    }
    with tempfile.TemporaryDirectory() as temporary:
        file, text = Path(temporary) / REPORT, Path(temporary) / READABLE
        file.write_text(json.dumps(document, indent=1))
        text.write_text(markdown(report_view))
        tracker.upload(run_id, {REPORT: file, READABLE: text})
    keep_pictures(report_view.study, tracker, run_id)
    _show_returns(report_view, spec, tracker)
    tags = {"omad.best_trial": str(best.number)} if best else {}
    if report_view.best is not None:
        tags["omad.best_return"] = (
            f"{report_view.best.mean:.1f} [{report_view.best.low:.1f}, {report_view.best.high:.1f}]"
        )
    if report_view.confirmation is not None:
        tags |= confirmed_tags(report_view.confirmation)
    tracker.set_tags(run_id, tags)
    if best is None:
        tracker.end_run(run_id, "failed", "no trial completed")
    else:
        tracker.end_run(run_id, "finished")


def _show_returns(report_view: ReportView, spec: StudySpec, tracker: Tracker) -> None:
    """The champion's card with its return on fresh episodes, in the place of the one without."""
    best = report_view.study.best
    uri = tracker.model_of(best.run_id) if best and best.run_id else None
    if best is None or uri is None or report_view.best is None:
        return
    confirmed = confirmed_lines(report_view.confirmation) if report_view.confirmation else []
    facts = Facts(spec, best.number, best.params, best.score or 0.0, best.step, report_view.best, confirmed)
    with tempfile.TemporaryDirectory(prefix="omad-card-") as folder:
        policy = Policy.load(tracker.download_model(uri, Path(folder)))
    tracker.register_champion(uri, f"omad-{spec.name}", model_card(facts, uri, policy))
