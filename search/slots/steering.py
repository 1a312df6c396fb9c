"""Steering: what a person asks of a study that exists; its workers hear it with their next renewal or claim."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omad_core.errors import ConfigError
from search.errors import SpecConflict
from search.slots import budget, endings
from search.slots.keys import ARRIVING, MOVED_TO, MOVING
from search.slots.lease import AWAY, Wanted
from search.slots.study import StudyHandle, optuna_study
from search.storage.store import Store

MOST_TRIALS = 1_000_000


def refuse_moved(store: Store, handle: StudyHandle) -> None:
    """Raise SpecConflict, with its new address, for a study that lives in another storage now, or is on its way."""
    if handle.wanted not in AWAY:
        return
    with store.guard():
        told = store.rdb.get_study_user_attrs(handle.study_id)
    if handle.wanted == "moving":
        raise SpecConflict(_on_its_way(store, handle, told))
    raise SpecConflict(
        f"study {handle.name!r} was moved from {store.address} to {told.get(MOVED_TO, 'another storage')}: "
        "give that one with --storage"
    )


def _on_its_way(store: Store, handle: StudyHandle, told: Mapping[str, Any]) -> str:
    again = "if the move was killed, the same `omad-search move` again does what is left"
    if told.get(ARRIVING):
        return f"study {handle.name!r} is on its way to {store.address} and not whole yet: wait; {again}"
    where = told.get(MOVING, {}).get("to", "another place")
    return (
        f"study {handle.name!r} is being moved from {store.address} to {where}: wait; {again}, and "
        f"`omad-search move {handle.name} --give-up` has it go on where it is"
    )


def want(store: Store, handle: StudyHandle, wanted: Wanted) -> None:
    """Have all workers go on, wait, or leave. Raises SpecConflict for a study that was moved, or is on its way."""
    refuse_moved(store, handle)
    budget.set_wanted(store, handle.study_id, wanted)


def extend(store: Store, handle: StudyHandle, wish: str) -> tuple[int, int]:
    """Make the budget `+50` trials larger, or at least `200`; trials added, and the budget then.

    Raises ConfigError, SpecConflict.
    """
    refuse_moved(store, handle)
    if not re.fullmatch(r"\+?\d{1,7}", wish) or not int(wish):
        raise ConfigError(f"--trials {wish}: write +50 for fifty more, or 200 for two hundred in all")
    have = budget.counts(store, handle.study_id).total
    total = have + int(wish) if wish.startswith("+") else int(wish)
    if total > MOST_TRIALS:
        raise ConfigError(f"--trials {wish}: a study has up to {MOST_TRIALS:,} trials")
    if total < have:
        raise SpecConflict(
            f"study {handle.name!r} has {have} trials; a budget never shrinks, `omad-search stop` ends it early"
        )
    return budget.extend(store, handle.study_id, total), total


def retry(store: Store, handle: StudyHandle, numbers: Sequence[int] | None) -> list[int]:
    """Try failed trials again (all, or those of these numbers) with the same parameters; which will be.

    Raises SpecConflict for a number that is no failed trial of the study.
    """
    refuse_moved(store, handle)
    slots = None if numbers is None else [_failed_slot(store, handle, number) for number in numbers]
    study = optuna_study(store, handle)
    names = {row.number: row.trial_id for row in budget.rows(store, handle.study_id)}
    opened = endings.retry(store, study, slots)
    with store.guard():
        return [store.rdb.get_trial_number_from_id(n) for s in opened if (n := names[s]) is not None]


def _failed_slot(store: Store, handle: StudyHandle, number: int) -> int:
    with store.guard():
        ids = {t.number: t._trial_id for t in store.optuna.get_all_trials(handle.study_id, deepcopy=False)}
    for row in budget.rows(store, handle.study_id):
        if row.trial_id is not None and row.trial_id == ids.get(number):
            if row.outcome == "failed":
                return row.number
            raise SpecConflict(
                f"trial {number} of study {handle.name!r} has not failed (it is {row.outcome or row.state}); "
                "only failed ones are tried again"
            )
    raise SpecConflict(f"study {handle.name!r} has no trial {number}; `omad-search trials` lists them")
