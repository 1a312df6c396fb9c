"""Trials that end with given values, without any training."""

from collections.abc import Sequence

from search.slots import lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.lease import Outcome
from search.slots.studies import StudyHandle, optuna_study
from search.storage.store import Store
from search.study.study_spec import StudySpec

End = tuple[Outcome, float | None]


def end_trials(store: Store, handle: StudyHandle, ends: Sequence[End | float]) -> None:
    """Bind and end a trial for each of these, with the parameters that its study samples or has."""
    spec = StudySpec.from_json(handle.spec)
    for end in ends:
        outcome, value = end if isinstance(end, tuple) else ("complete", end)
        lease = claim(store, handle.study_id, Claimant("test", 60.0))
        assert lease is not None
        study = optuna_study(store, handle)
        lease, trial = trial_binding.bind(store, study, lease)
        spec.configs(trial)
        if outcome == "failed":
            ended = outcomes.fail(store, study, lease, "out of memory", max_attempts=1)
            assert ended is not None
            lease_writes.publish(store, ended)
        else:
            lease_writes.publish(store, outcomes.finish(store, study, lease, outcome, value))
