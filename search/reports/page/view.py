"""View: what a study's page shows, read once: the page and `report --json` have their numbers from it."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Any

import optuna

from omad_core.results.statistics import Summary
from search.confirmation.pair import pair
from search.history import attempts
from search.history.attempts import Attempt
from search.reports.final_report import figures
from search.reports.page import curves
from search.reports.page.curves import SeedCurves
from search.reports.page.figures import trials
from search.slots.studies import StudyHandle
from search.storage.reader import Reader
from search.study.study_spec import StudySpec
from search.view import confirmation, status
from search.view.confirmation import as_document
from search.view.report_view import ReportView
from search.view.trial_history import times
from search.view.views import StudyView

FEWEST_COMPLETE = 10
"""Complete trials below which nothing is said of parameters."""


@dataclass(frozen=True)
class Work:
    """A worker at a trial of the search, or at a held-out training."""

    what: str
    """Such as `trial 7`, `held-out 1 of defaults`."""
    held_out: bool
    attempt: Attempt


@dataclass(frozen=True)
class StudyPage:
    """All that a study's page shows."""

    spec: StudySpec
    report: ReportView
    drawn: optuna.Study
    """The search in memory, for Optuna's plots."""
    curves: Sequence[SeedCurves] = ()
    work: Sequence[Work] = ()
    """By slot and token; guessed from the trials' own times where the storage has no rows of attempts."""
    attempts_known: bool = True
    """Whether `work` is from rows of attempts."""
    importances: Mapping[str, float] = field(default_factory=dict)
    """Share of each parameter by PED-ANOVA; none below ten complete trials."""
    importances_rough: bool = False
    """Whether some parameter was in too few trials for its share to say much."""

    @property
    def study(self) -> StudyView:
        """The search."""
        return self.report.study

    @property
    def enough(self) -> bool:
        """Whether there are trials enough to say something of parameters."""
        return len(trials.complete(self.drawn)) >= FEWEST_COMPLETE


def read(
    store: Reader, handle: StudyHandle, tracking: str = "", final: ReportView | None = None
) -> StudyPage:
    """A study's page as it stands; `final`: with the returns on fresh episodes, where those are known.

    Raises StorageUnavailable, StudyDeleted.
    """
    spec = StudySpec.from_json(handle.spec)
    with store.snapshot() as moment, status.gc_paused():
        study = status.read(moment, handle, tracking)
        held_out = confirmation.read(moment, handle, tracking)
        both = [study, held_out.study] if held_out else [study]
        claims = [attempts.read(moment, each.study_id) for each in pair(moment, handle)]
        known = {} if any(claims) else times(moment, handle.study_id)
    drawn = trials.in_memory(study, spec.space)
    page = StudyPage(
        spec,
        replace(final or ReportView(study), study=study, confirmation=held_out),
        drawn,
        curves.confirmed(held_out) if held_out else curves.searched(study),
        [work for view, mine in zip(both, claims, strict=False) for work in _work(view, mine)],
        any(claims),
    )
    if not page.attempts_known:
        page = replace(page, work=_guessed(study, known))
    if not page.enough:
        return page
    importances, rough = _importances(drawn)
    return replace(page, importances=importances, importances_rough=rough)


def with_returns(page: StudyPage, returns: Mapping[str, Summary]) -> StudyPage:
    """With returns on fresh episodes: of `best`, `default` and `random`."""
    best, default, random = (returns.get(name) for name in ("best", "default", "random"))
    return replace(page, report=replace(page.report, best=best, default=default, random=random))


def _work(study: StudyView, done: Sequence[Attempt]) -> list[Work]:
    called = dict(enumerate(trial.name for trial in study.trials))
    return [Work(called.get(each.number, f"slot {each.number}"), bool(study.parent), each) for each in done]


def _guessed(study: StudyView, times: Mapping[int, tuple[float, float | None]]) -> list[Work]:
    """From when Optuna's trials began and ended, under the worker that was last at each."""
    return [
        Work(
            trial.name,
            False,
            Attempt(place, 1, trial.worker, *times[trial.number], trial.state if trial.ended else None),
        )
        for place, trial in enumerate(study.trials)
        if trial.number in times and trial.state != "waiting"
    ]


def _importances(drawn: optuna.Study) -> tuple[Mapping[str, float], bool]:
    """The shares, and whether Optuna warns of one: a parameter that hangs on another's value may be in few trials."""
    if len({trial.value for trial in trials.complete(drawn)}) < 2:
        return {}, False
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        shares = optuna.importance.get_param_importances(drawn)
    return shares, any("inaccurate" in str(each.message) for each in warned)


def document(page: StudyPage) -> dict[str, Any]:
    """The page's numbers as plain data."""
    study, report = page.study, page.report
    returns = {name: figures(getattr(report, name)) for name in ("best", "default", "random")}
    return {
        "study": study.name,
        "task": study.task,
        "trials": {state: study.count(state) for state in ("complete", "pruned", "diverged", "failed")}
        | {"all": len(study.trials)},
        "elapsed_seconds": study.elapsed_seconds,
        "confirmation": as_document(report.confirmation) if report.confirmation else None,
        "best": study.best,
        "default": study.default,
        "returns_on_fresh_episodes": returns,
        "curves": list(page.curves),
        "importances": {unescape(name): share for name, share in page.importances.items()},
        "failures": list(study.without_result),
        "attempts": list(page.work),
    }
