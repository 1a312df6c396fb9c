"""What a study says of itself in Optuna's tables, where a user of optuna-dashboard looks: study user attributes."""

from collections.abc import Mapping

from search.slots.studies import StudyHandle
from search.storage.store import Store
from search.view.confirmation import ConfirmationView
from search.view.report_view import ReportView

SINGLE = (
    "each trial is one training; `candidate` is a trial of {}, so its best trial is just its luckiest seed"
)


def of_search(report: ReportView) -> dict[str, str]:
    """Attributes of a search that has ended: its best trial, what held on held-out seeds, its model."""
    best, confirmation = report.study.best, report.confirmation
    if best is None:
        return {"best": "no trial completed"}
    said = {
        "best": f"trial {best.number}; its score in the search flatters, as the best of many noisy values"
    }
    if confirmation is not None:
        said |= {"confirmed": confirmation.sentence, "confirmation": f"study {confirmation.study.name}"}
    return said | {"model": f"models:/omad-{report.study.name}@champion"}


def of_confirmation(confirmation: ConfirmationView) -> dict[str, str]:
    """Attributes of a confirmation: first what it showed, as the dashboard shows five; what its trials are."""
    values = {
        candidate.name: f"{candidate.estimate.point:.4g} over {len(candidate.values)} held-out seeds"
        for candidate in confirmation.candidates
        if candidate.estimate
    }
    search = confirmation.study.parent
    said = {"confirmed": f"{search}: {confirmation.sentence}", "about": SINGLE.format(search)}
    return {**said, "confirms": f"study {search}", **values}


def store_attributes(
    store: Store, search: StudyHandle, confirmation: StudyHandle | None, report: ReportView
) -> None:
    """Store them with both studies; what is there of an earlier end is replaced. Raises StorageUnavailable."""
    _store(store, search, of_search(report))
    if confirmation is not None and report.confirmation is not None:
        _store(store, confirmation, of_confirmation(report.confirmation))


def _store(store: Store, handle: StudyHandle, said: Mapping[str, str]) -> None:
    with store.guard():
        for key, value in said.items():
            store.rdb.set_study_user_attr(handle.study_id, key, value)
