"""Put trainings that ended back into the studies of a comparison whose storage is lost, so that it goes on from them.

`omad-search curves STUDY` writes a line a training; `omad-search compare ... --workers 0` makes the empty studies. Then
`python tests/support/restore_curves.py STORAGE COMPARISON curves.jsonl`, and the same `compare` without `--workers 0`.
A trial gets the recorded parameters; that the sampler proposes the same, to the last digits of another processor's
arithmetic, is checked. What is put back has no run in MLflow and no model.
"""

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optuna.trial import Trial
from sqlalchemy import text

from search.comparison.members import members
from search.confirmation.creation import ensure
from search.history.evaluations import CurvePoint
from search.slots import lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import StudyHandle, optuna_study
from search.storage.store import Store, open_storage
from search.study.samplers import build_sampler
from search.study.study_spec import StudySpec

Line = Mapping[str, Any]
CLOSE = 1e-9
SET_PARAMETER = text(
    "UPDATE trial_params SET param_value = :value WHERE trial_id = :trial AND param_name = :name"
)


def restore(store: Store, comparison: str, lines: Iterable[Line]) -> int:
    """Restore a comparison's searches and their confirmations from the lines of trials of one seed; how many trials.

    Raises ValueError where a line is not of the study that is there.
    """
    by_study = defaultdict[str, dict[int, Line]](dict)
    for line in lines:
        by_study[line["study"]][line["trial"]] = line
    restored = 0
    for search in members(store, comparison):
        restored += _restore_study(store, search, by_study[search.name])
        confirmation = ensure(store, search)
        if confirmation is not None:
            restored += _restore_study(store, confirmation, by_study[confirmation.name])
    return restored


def _restore_study(store: Store, handle: StudyHandle, lines: Mapping[int, Line]) -> int:
    for number in sorted(lines):
        _restore_trial(store, handle, lines[number])
    return len(lines)


def _restore_trial(store: Store, handle: StudyHandle, line: Line) -> None:
    spec = StudySpec.from_json(handle.spec)
    lease = claim(store, handle.study_id, Claimant("restored", 60.0))
    if lease is None:
        raise ValueError(f"study {handle.name!r} has no trial left for trial {line['trial']}")
    sampler = build_sampler(spec.sampler, spec.seed, lease.number, spec.space.parameters)
    study = optuna_study(store, handle, sampler)
    lease, trial = trial_binding.bind(store, study, lease)
    (config,) = spec.configs(trial)
    if (trial.number, config.seed) != (line["trial"], line["seed"]):
        raise ValueError(
            f"trial {trial.number} of {handle.name!r} trains seed {config.seed}: {line['trial']} does not"
        )
    _set_parameters(store, trial, line["parameters"])
    points = [
        CurvePoint(trial._trial_id, config.seed, each["step"], each["returns"], each["seconds"])
        for each in line["evaluations"]
    ]
    lease_writes.record_evaluations(store, lease, points)
    for each in line["evaluations"]:
        outcomes.report(store, lease, trial, each["step"], each["mean"])
    lease_writes.publish(store, outcomes.finish(store, study, lease, line["outcome"], line["score"]))


def _set_parameters(store: Store, trial: Trial, recorded: Mapping[str, Any]) -> None:
    """Check that the proposal is the recorded one, and write the last digits of that. Raises ValueError."""
    if trial.params.keys() != recorded.keys():
        raise ValueError(f"trial {trial.number} has {sorted(trial.params)}, not {sorted(recorded)}")
    for name, value in recorded.items():
        drawn = trial.params[name]
        if drawn == value:
            continue
        if not (isinstance(value, float) and math.isclose(drawn, value, rel_tol=CLOSE)):
            raise ValueError(f"trial {trial.number}: {name} is {drawn} here, and {value} in the curves")
        with store.write() as connection:
            connection.execute(SET_PARAMETER, {"value": value, "trial": trial._trial_id, "name": name})


def main() -> None:
    """Restore, and say how much."""
    url, comparison, file = sys.argv[1:]
    lines = [json.loads(line) for line in Path(file).read_text().splitlines()]
    with open_storage(url) as store:
        print(f"{restore(store, comparison, lines)} trials put back into {comparison}")


if __name__ == "__main__":
    main()
