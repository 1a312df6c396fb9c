"""Studies with everything that a page shows, made without any training."""

import math
from collections.abc import Sequence
from dataclasses import replace

from optuna.samplers import RandomSampler

from search.confirmation.creation import ensure
from search.slots import lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import Store
from search.study import catalog
from search.study.confirmation import Confirm
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec

HOSTILE = "</script><img src=x onerror=alert(1)><a href='javascript:alert(2)'>`${alert(3)}`"
STEPS = (100, 200, 300)


def new_study(store: Store, name: str, trials: int, seeds: int = 3) -> StudyHandle:
    """A search of a MuJoCo task that nobody has begun."""
    requested = StudyRequest(profile="smoke", numbers={"trials": trials}, train={"env_steps": 300})
    spec = catalog.build(catalog.find("hopper"), requested, has_gpu=False, name=name)
    spec = replace(spec, confirm=Confirm(1, seeds))
    return create_study(store, name, trials, spec.to_json(), [spec.defaults()])


def end(
    store: Store, handle: StudyHandle, outcome: str, value: float = 0.0, reason: str = "", **more: str
) -> None:
    """End the next trial: a curve up to its value, an attempt of a worker, a reason; `more`: further parameters."""
    spec = StudySpec.from_json(handle.spec)
    lease = claim(store, handle.study_id, Claimant(more.pop("worker", "host:1"), 60.0))
    assert lease is not None
    study = optuna_study(store, handle)
    study.sampler = RandomSampler(seed=lease.number)
    lease, trial = trial_binding.bind(store, study, lease)
    spec.configs(trial)
    for name, choice in more.items():
        trial.suggest_categorical(name, [choice])
    for step in STEPS if outcome == "complete" else STEPS[:1]:
        outcomes.report(store, lease, trial, step, value * step / STEPS[-1] + math.sin(step + lease.number))
    if outcome == "failed":
        ended = outcomes.fail(store, study, lease, reason, max_attempts=1)
        assert ended is not None
    else:
        ended = outcomes.finish(store, study, lease, outcome, value, reason)  # type: ignore[arg-type]
    lease_writes.publish(store, ended)


def give_up(store: Store, handle: StudyHandle, worker: str) -> None:
    """A worker that falls silent at the next trial."""
    assert claim(store, handle.study_id, Claimant(worker, -100.0)) is not None


def whole_study(store: Store, name: str, complete: int = 12, hostile: str = "") -> StudyHandle:
    """Complete, pruned, diverged and failed trials, one taken over, and the best and the defaults confirmed."""
    handle = new_study(store, name, complete + 3)
    more = {f"named {hostile}": f"is {hostile}"} if hostile else {}
    give_up(store, handle, "silent:7")
    for number in range(complete):
        value = 100.0 + 37.0 * (number * 7 % complete)
        end(store, handle, "complete", value, worker=f"{hostile or 'host'}:{number % 2}", **more)
    end(store, handle, "pruned", 3.0, "pruned at step 100")
    end(store, handle, "diverged", 2.0, "diverged: NaN in the critic")
    end(store, handle, "failed", reason=hostile or "the arm broke")
    confirm(store, handle, [900.0, 310.0, 870.0, 290.0, 940.0, 350.0])
    return handle


def confirm(store: Store, handle: StudyHandle, values: Sequence[float]) -> StudyHandle:
    """Held-out trainings of the best and of the defaults in turn."""
    held_out = ensure(store, handle)
    assert held_out is not None
    for value in values:
        end(store, held_out, "complete", value)
    return held_out
