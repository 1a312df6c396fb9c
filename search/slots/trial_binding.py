"""Binding: which Optuna trial a leased slot trains; exact also when workers die between any two writes."""

import logging
import math
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from search.errors import TrialEnded, TrialTaken
from search.slots import lease_writes
from search.slots.claim import first_then_random
from search.slots.keys import DEFAULTS, RETRY_OF, SLOT, TOKEN
from search.slots.lease import Lease, Outcome
from search.storage.store import Store
from search.study.confirmation import CONFIGURATION

log = logging.getLogger(__name__)


def bind(store: Store, study: optuna.Study, lease: Lease) -> tuple[Lease, Trial]:
    """The trial to train under this lease: the slot's own, else one left over, enqueued or new, in this order.

    `study` carries the sampler built for this slot. Raises LeaseLost; TrialEnded where the slot's
    trial was ended in Optuna, which is then its result.
    """
    lease_writes.check(store, lease)
    with store.guard():
        lease = _keep(store, lease)
        if lease.trial_id is None:
            lease = _bind_existing(store, lease) or _create(store, lease)
        # Optuna's cache must have seen the trial before a parameter of it can be stored.
        study.get_trials(deepcopy=False)
        return lease, Trial(study, trial_id(lease))


def trial_id(lease: Lease) -> int:
    """Id of the lease's trial. Raises TrialEnded for a slot that ended before it had one."""
    if lease.trial_id is None:
        raise TrialEnded(f"slot {lease.number} ended before it had a trial")
    return lease.trial_id


def read_trial(store: Store, lease: Lease) -> FrozenTrial:
    """What Optuna has stored of the lease's trial: number, parameters, reported values."""
    with store.guard():
        return store.rdb.get_trial(trial_id(lease))


def start(store: Store, waiting: int) -> bool:
    """Set a WAITING trial RUNNING; False where another process did, or it has ended."""
    try:
        return store.rdb.set_trial_state_values(waiting, TrialState.RUNNING)
    except UpdateFinishedTrialError:
        return False


def _keep(store: Store, lease: Lease) -> Lease:
    """The lease with the trial it has, started if need be; without one if that was taken by others."""
    if lease.trial_id is None:
        return lease
    trial = store.rdb.get_trial(lease.trial_id)
    if trial.state is TrialState.RUNNING or start(store, lease.trial_id):
        return lease
    trial = store.rdb.get_trial(lease.trial_id)
    if trial.state is TrialState.RUNNING:
        return lease_writes.unbind_trial(store, lease)
    outcome, value = _result(trial)
    lease_writes.finish(store, lease, outcome, value, "its trial was ended in Optuna", seconds=0.0)
    raise TrialEnded(f"trial {trial.number} of slot {lease.number} was ended in Optuna ({trial.state.name})")


def _bind_existing(store: Store, lease: Lease) -> Lease | None:
    """Bind an existing trial that no worker trains."""
    unfinished = (TrialState.RUNNING, TrialState.WAITING)
    trials = store.rdb.get_all_trials(lease.study_id, deepcopy=False, states=unfinished)
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    waiting = [trial for trial in trials if trial.state is TrialState.WAITING]
    # In a confirmation, what a person enqueued by hand takes no place of a held-out training.
    waiting = [trial for trial in waiting if CONFIGURATION in trial.user_attrs] or waiting
    # A slot to be tried again has its parameters; the enqueued ones are for other slots.
    return _adopt(store, lease, running) or _bind_enqueued(
        store, lease, [] if lease.retry_of is not None else waiting
    )


def _adopt(store: Store, lease: Lease, running: list[FrozenTrial]) -> Lease | None:
    """Bind a RUNNING trial that a worker made for this slot and could not bind."""
    for trial in running:
        if trial.user_attrs.get(SLOT) != lease.number or trial._trial_id == lease.retry_of:
            continue
        try:
            bound = lease_writes.bind_trial(store, lease, trial._trial_id)
        except TrialTaken:
            continue
        log.info("slot %d resumes trial %d of a dead worker", lease.number, trial.number)
        return bound
    return None


def _bind_enqueued(store: Store, lease: Lease, waiting: list[FrozenTrial]) -> Lease | None:
    """Bind a WAITING trial: its id on the slot first, which only one slot can have, then RUNNING."""
    for trial in first_then_random(waiting):
        try:
            bound = lease_writes.bind_trial(store, lease, trial._trial_id)
        except TrialTaken:
            continue
        if start(store, trial._trial_id):
            store.rdb.set_trial_user_attr(trial._trial_id, SLOT, lease.number)
            return bound
        lease_writes.unbind_trial(store, bound)
    return None


def _create(store: Store, lease: Lease) -> Lease:
    """Make a trial that names this slot, in one transaction, then write its id on the slot."""
    user_attrs: dict[str, Any] = {SLOT: lease.number, TOKEN: lease.token}
    system_attrs = {}
    if lease.retry_of is not None:
        failed = store.rdb.get_trial(lease.retry_of)
        user_attrs[RETRY_OF] = failed.number
        carried = (CONFIGURATION, DEFAULTS)
        user_attrs |= {key: failed.user_attrs[key] for key in carried if key in failed.user_attrs}
        system_attrs["fixed_params"] = {**failed.system_attrs.get("fixed_params", {}), **failed.params}
    template = create_trial(state=TrialState.RUNNING, user_attrs=user_attrs, system_attrs=system_attrs)
    new = store.optuna.create_new_trial(lease.study_id, template)
    return lease_writes.bind_trial(store, lease, new)


def _result(trial: FrozenTrial) -> tuple[Outcome, float | None]:
    """What a trial that was ended in Optuna means for its slot."""
    value = trial.value if trial.value is not None and math.isfinite(trial.value) else None
    if trial.state is TrialState.COMPLETE:
        return ("diverged", None) if value is None else ("complete", value)
    return ("pruned", value) if trial.state is TrialState.PRUNED else ("failed", None)
