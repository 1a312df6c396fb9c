"""Steering: what a person asks of a study that exists; workers read it with their next renewal or claim."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omad_core.errors import ConfigError
from search.confirmation.creation import lacks
from search.confirmation.pair import pair, refuse_confirmation, search_of, set_desired_state
from search.errors import SpecConflict
from search.slots import budget, outcomes
from search.slots.keys import ARRIVING, MOVED_TO, MOVING
from search.slots.lease import MOVE_STATES, DesiredState
from search.slots.studies import StudyHandle, optuna_study
from search.storage.reader import Reader
from search.storage.store import Store
from search.view.trial_history import heads
from search.view.wording import count

MOST_TRIALS = 1_000_000


def refuse_moved(store: Store, handle: StudyHandle) -> None:
    """Raise SpecConflict, with its new address, for a study that lives in another storage now, or is on its way."""
    if handle.desired_state not in MOVE_STATES:
        return
    with store.guard():
        attributes = store.rdb.get_study_user_attrs(handle.study_id)
    if handle.desired_state == "moving":
        raise SpecConflict(_on_its_way(store, handle, attributes))
    raise SpecConflict(
        f"study {handle.name!r} was moved from {store.address} to {attributes.get(MOVED_TO, 'another storage')}: "
        "give that one with --storage"
    )


def _on_its_way(store: Store, handle: StudyHandle, attributes: Mapping[str, Any]) -> str:
    again = "if the move was killed, the same `omad-search move` again does what is left"
    if attributes.get(ARRIVING):
        return f"study {handle.name!r} is on its way to {store.address} and not whole yet: wait; {again}"
    where = attributes.get(MOVING, {}).get("to", "another place")
    return (
        f"study {handle.name!r} is being moved from {store.address} to {where}: wait; {again}, and "
        f"`omad-search move {handle.name} --give-up` has it go on where it is"
    )


def want(store: Store, handle: StudyHandle, state: DesiredState) -> None:
    """Make all workers train, wait, or leave. Raises SpecConflict for a study that was moved, or is on its way."""
    refuse_moved(store, handle)
    set_desired_state(store, handle, state)


def confirmation_left(store: Store, handle: StudyHandle) -> bool:
    """Whether a search has ended, and the next worker makes its confirmation or adds to it."""
    return lacks(store, search_of(store, handle))


def _nothing_left(store: Store, handle: StudyHandle, done: Callable[[budget.Counts], bool]) -> bool:
    """Whether a search and its confirmation are done, and no confirmation is to come."""
    counts = [budget.counts(store, study.study_id) for study in pair(store, handle)]
    return all(map(done, counts)) and not confirmation_left(store, handle)


def pause(store: Store, handle: StudyHandle) -> bool:
    """Have all workers wait; False, and nothing changes, where no trial is left. Raises SpecConflict as `want`."""
    refuse_moved(store, handle)
    if _nothing_left(store, handle, lambda counts: counts.ended):
        return False
    want(store, handle, "paused")
    return True


def stop(store: Store, handle: StudyHandle) -> bool:
    """Have all workers leave; False, and nothing changes, where nothing is left. Raises SpecConflict as `want`."""
    refuse_moved(store, handle)
    if _nothing_left(store, handle, lambda counts: counts.over):
        return False
    want(store, handle, "stopping")
    return True


def refuse_idle(store: Store, handle: StudyHandle) -> None:
    """Raise SpecConflict where a worker that begins now would leave at once: moved, ended or stopping studies."""
    refuse_moved(store, handle)
    if _nothing_left(store, handle, lambda counts: counts.over):
        raise SpecConflict(
            f"study {handle.name!r} has ended: `omad-search extend {handle.name} --trials +20` adds trials, "
            f"`omad-search retry {handle.name} --failed` tries failed ones again"
        )
    if handle.desired_state == "stopping":
        raise SpecConflict(
            f"study {handle.name!r} is stopping, its workers leave: `omad-search resume {handle.name}` first"
        )


def extend(store: Store, handle: StudyHandle, wish: str) -> tuple[int, int]:
    """Make the budget `+50` trials larger, or at least `200`; trials added, and the budget then.

    Raises ConfigError, SpecConflict.
    """
    refuse_confirmation(handle, "extended")
    refuse_moved(store, handle)
    if not re.fullmatch(r"\+?\d{1,7}", wish) or not int(wish):
        raise ConfigError(f"--trials {wish}: write +50 for fifty more, or 200 for two hundred in all")
    have = budget.counts(store, handle.study_id).total
    total = have + int(wish) if wish.startswith("+") else int(wish)
    if total > MOST_TRIALS:
        raise ConfigError(f"--trials {wish}: a study has up to {MOST_TRIALS:,} trials")
    if total < have:
        raise SpecConflict(
            f"study {handle.name!r} has {count(have, 'trial')}; a budget never shrinks, "
            "`omad-search stop` ends it early"
        )
    return budget.extend(store, handle.study_id, total), total


def retry(store: Store, handle: StudyHandle, numbers: Sequence[int] | None) -> list[int]:
    """Try failed trials again (all, or those of these numbers) with the same parameters; which will be.

    Raises SpecConflict for a number that is no failed trial of the study.
    """
    refuse_moved(store, handle)
    slots = None if numbers is None else _failed_slots(store, handle, numbers)
    opened = outcomes.retry(store, optuna_study(store, handle), slots)
    known = heads(store, handle.study_id)
    return [known[row.trial_id].number for row in opened if row.trial_id in known]


def _failed_slots(store: Reader, handle: StudyHandle, numbers: Sequence[int]) -> list[int]:
    """Slots of the failed trials of these numbers. Raises SpecConflict."""
    with store.snapshot() as moment:
        known = heads(moment, handle.study_id)
        rows = {
            known[r.trial_id].number: r for r in budget.rows(moment, handle.study_id) if r.trial_id in known
        }
    for number in numbers:
        if number not in rows:
            raise SpecConflict(
                f"study {handle.name!r} has no trial {number}; `omad-search trials` lists them"
            )
        if (row := rows[number]).outcome != "failed":
            raise SpecConflict(
                f"trial {number} of study {handle.name!r} has not failed (it is {row.outcome or row.state}); "
                "only failed ones are tried again"
            )
    return [rows[number].number for number in numbers]
