"""Results: what a study found, on episodes that no trial has seen; best, defaults and random play on the same."""

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omad_core.assessment import Assessment, assess, assess_random
from omad_core.policy import Policy
from omad_core.statistics import summarise
from search.records.model_card import Facts, model_card
from search.records.picturing import keep_pictures
from search.records.report_text import markdown
from search.slots.view import ReportView, Returns, StudyView, TrialView
from search.spec.spec import StudySpec
from tracking.errors import TrackingError
from tracking.tracker import Tracker

log = logging.getLogger(__name__)

FINAL_SEED = 1_000_003
"""Seed of the final episodes; training seeds are study seed * 1000 + n, and draw from other streams."""
REPORT = "report.json"
READABLE = "report.md"


def model_of(trial: TrialView | None, tracker: Tracker, folder: Path) -> Policy | None:
    """The published policy of a trial, fetched below `folder`; None where it has none."""
    if trial is None or trial.run_id is None:
        return None
    uri = tracker.model_of(trial.run_id)
    return None if uri is None else Policy.load(tracker.download_model(uri, folder / f"trial-{trial.number}"))


def report(study: StudyView, spec: StudySpec, tracker: Tracker) -> ReportView:
    """The study with its final evaluation; models that cannot be fetched are left out, and the log says so."""
    found: dict[str, Returns | None] = {}
    episodes, seed = spec.final_episodes, FINAL_SEED + spec.seed
    with tempfile.TemporaryDirectory(prefix="omad-report-") as temporary:
        for name, trial in (("best", study.best), ("default", study.default)):
            try:
                policy = model_of(trial, tracker, Path(temporary) / name)
            except TrackingError as error:
                log.warning("the %s model cannot be fetched: %s", name, error)
                policy = None
            found[name] = returns(assess(policy, episodes, seed)) if policy is not None else None
    found["random"] = returns(assess_random(spec.task, spec.config.env, episodes, seed))
    return ReportView(study, found["best"], found["default"], found["random"])


def returns(assessment: Assessment) -> Returns:
    """Mean and interval of an assessment."""
    summary = summarise(assessment.returns)
    return Returns(summary.mean, summary.low, summary.high, summary.count)


def store(seen: ReportView, spec: StudySpec, tracker: Tracker, run_id: str) -> None:
    """Keep the report with the study's run, end that, and put the returns on the champion's card."""
    best = seen.study.best
    document: Mapping[str, Any] = {
        "best_trial": best.number if best else None,
        "params": dict(best.params) if best else {},
        **{
            name: vars(value) if (value := getattr(seen, name)) else None
            for name in ("best", "default", "random")
        },
    }
    with tempfile.TemporaryDirectory() as temporary:
        file, text = Path(temporary) / REPORT, Path(temporary) / READABLE
        file.write_text(json.dumps(document, indent=1))
        text.write_text(markdown(seen))
        tracker.upload(run_id, {REPORT: file, READABLE: text})
    keep_pictures(seen.study, tracker, run_id)
    _tell_returns(seen, spec, tracker)
    tags = {"omad.best_trial": str(best.number)} if best else {}
    if seen.best is not None:
        tags["omad.best_return"] = f"{seen.best.mean:.1f} [{seen.best.low:.1f}, {seen.best.high:.1f}]"
    tracker.set_tags(run_id, tags)
    tracker.end_run(run_id, "finished")


def _tell_returns(seen: ReportView, spec: StudySpec, tracker: Tracker) -> None:
    """The champion's card with its return on fresh episodes, in the place of the one without."""
    best = seen.study.best
    uri = tracker.model_of(best.run_id) if best and best.run_id else None
    if best is None or uri is None or seen.best is None:
        return
    facts = Facts(spec, best.number, best.params, best.score or 0.0, best.step, seen.best)
    with tempfile.TemporaryDirectory(prefix="omad-card-") as folder:
        policy = Policy.load(tracker.download_model(uri, Path(folder)))
    tracker.register_champion(uri, f"omad-{spec.name}", model_card(facts, uri, policy))
