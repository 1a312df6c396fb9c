"""Binding: which Optuna trial a leased slot trains, whoever died between which two writes."""

import logging
import math

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from search.errors import TrialEnded, TrialTaken
from search.slots import slots
from search.slots.claim import first_then_random
from search.slots.keys import RETRY_OF, SLOT, TOKEN
from search.slots.lease import Lease, Outcome
from search.storage.store import Store

log = logging.getLogger(__name__)


def bind(store: Store, study: optuna.Study, lease: Lease) -> tuple[Lease, Trial]:
    """The trial to train under this lease: the slot's own, else one left over, enqueued or new, in this order.

    `study` carries the sampler built for this slot. Raises LeaseLost; TrialEnded where somebody ended the
    slot's trial in Optuna, which is then its result.
    """
    slots.check(store, lease)
    with store.guard():
        lease = _kept(store, lease)
        if lease.trial_id is None:
            lease = _found(store, lease) or _created(store, lease)
        # Optuna's cache must have seen the trial before a parameter of it can be stored.
        study.get_trials(deepcopy=False)
        return lease, Trial(study, trial_id(lease))


def trial_id(lease: Lease) -> int:
    """Id of the lease's trial. Raises TrialEnded for a slot that ended before it had one."""
    if lease.trial_id is None:
        raise TrialEnded(f"slot {lease.number} ended before it had a trial")
    return lease.trial_id


def frozen(store: Store, lease: Lease) -> FrozenTrial:
    """What Optuna has stored of the lease's trial: number, parameters, reported values."""
    with store.guard():
        return store.rdb.get_trial(trial_id(lease))


def start(store: Store, waiting: int) -> bool:
    """Set a WAITING trial RUNNING; False where somebody else did or it has ended."""
    try:
        return store.rdb.set_trial_state_values(waiting, TrialState.RUNNING)
    except UpdateFinishedTrialError:
        return False


def _kept(store: Store, lease: Lease) -> Lease:
    """The lease with the trial it has, started if need be; without one if that was taken by others."""
    if lease.trial_id is None:
        return lease
    trial = store.rdb.get_trial(lease.trial_id)
    if trial.state is TrialState.RUNNING or start(store, lease.trial_id):
        return lease
    trial = store.rdb.get_trial(lease.trial_id)
    if trial.state is TrialState.RUNNING:
        return slots.unbind_trial(store, lease)
    outcome, value = _result(trial)
    slots.finish(store, lease, outcome, value, "its trial was ended in Optuna", seconds=0.0)
    raise TrialEnded(f"trial {trial.number} of slot {lease.number} was ended in Optuna ({trial.state.name})")


def _found(store: Store, lease: Lease) -> Lease | None:
    """Bind a trial that is there already and nobody trains."""
    unfinished = (TrialState.RUNNING, TrialState.WAITING)
    trials = store.rdb.get_all_trials(lease.study_id, deepcopy=False, states=unfinished)
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    waiting = [trial for trial in trials if trial.state is TrialState.WAITING]
    # A slot to be tried again has its parameters; the enqueued ones are for other slots.
    return _adopted(store, lease, running) or _enqueued(
        store, lease, [] if lease.retry_of is not None else waiting
    )


def _adopted(store: Store, lease: Lease, running: list[FrozenTrial]) -> Lease | None:
    """Bind a RUNNING trial made for this slot by a worker that could not write its id there."""
    for trial in running:
        if trial.user_attrs.get(SLOT) != lease.number or trial._trial_id == lease.retry_of:
            continue
        try:
            bound = slots.bind_trial(store, lease, trial._trial_id)
        except TrialTaken:
            continue
        log.info("slot %d goes on with trial %d of a worker that is gone", lease.number, trial.number)
        return bound
    return None


def _enqueued(store: Store, lease: Lease, waiting: list[FrozenTrial]) -> Lease | None:
    """Bind a WAITING trial: its id on the slot first, which only one slot can have, then RUNNING."""
    for trial in first_then_random(waiting):
        try:
            bound = slots.bind_trial(store, lease, trial._trial_id)
        except TrialTaken:
            continue
        if start(store, trial._trial_id):
            store.rdb.set_trial_user_attr(trial._trial_id, SLOT, lease.number)
            return bound
        slots.unbind_trial(store, bound)
    return None


def _created(store: Store, lease: Lease) -> Lease:
    """Make a trial that names this slot, in one transaction, then write its id on the slot."""
    user_attrs = {SLOT: lease.number, TOKEN: lease.token}
    system_attrs = {}
    if lease.retry_of is not None:
        failed = store.rdb.get_trial(lease.retry_of)
        user_attrs[RETRY_OF] = failed.number
        system_attrs["fixed_params"] = {**failed.system_attrs.get("fixed_params", {}), **failed.params}
    template = create_trial(state=TrialState.RUNNING, user_attrs=user_attrs, system_attrs=system_attrs)
    new = store.optuna.create_new_trial(lease.study_id, template)
    return slots.bind_trial(store, lease, new)


def _result(trial: FrozenTrial) -> tuple[Outcome, float | None]:
    """What a trial that was ended in Optuna means for its slot."""
    value = trial.value if trial.value is not None and math.isfinite(trial.value) else None
    if trial.state is TrialState.COMPLETE:
        return ("diverged", None) if value is None else ("complete", value)
    return ("pruned", value) if trial.state is TrialState.PRUNED else ("failed", None)
