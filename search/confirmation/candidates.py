"""Candidates: which trials of a search are trained again, and with which configuration."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.trial import FixedTrial, FrozenTrial

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.errors import OmadError
from omad_core.stored_settings import train_config
from search.confirmation.held_out_seeds import held_out_seed
from search.slots import budget
from search.slots.keys import START
from search.slots.lease import SlotRow
from search.slots.studies import StudyHandle
from search.storage.reader import Reader
from search.storage.store import Store
from search.study.confirmation import CANDIDATE, CONFIGURATION, SEED, Confirm
from search.study.study_spec import StudySpec


@dataclass(frozen=True)
class Candidate:
    """A trial of a search that is to be trained again."""

    number: int
    """Its number in the search."""
    config: TrainConfig
    """What it trains; the seed is the pair's."""
    default: bool = False
    """Whether it is the untuned parameters."""


@dataclass(frozen=True)
class HeldOutTraining:
    """One candidate and one held-out seed."""

    params: Mapping[str, int]
    configuration: Mapping[str, Any]
    default: bool

    @property
    def key(self) -> str:
        """Names what it trains, whatever trial it stands for."""
        return key_of(self.configuration)


def key_of(configuration: Mapping[str, Any]) -> str:
    """Names a configuration, one that an earlier release stored too: the same for all that train the same."""
    return json.dumps(settings.to_dict(train_config(configuration)), sort_keys=True)


def complete(store: Reader, search: StudyHandle) -> list[SlotRow]:
    """Complete slots of a search, the best first; of equal ones, the first."""
    rows = [r for r in budget.rows(store, search.study_id) if r.outcome == "complete" and r.value is not None]
    return sorted(rows, key=lambda row: (-(row.value or 0.0), row.number))


def candidates(
    store: Store, search: StudyHandle, spec: StudySpec, top: int, env_steps: int
) -> list[Candidate]:
    """The best trials of different configurations, as many as `top`, and the defaults; none before one is complete."""
    ranked = complete(store, search)
    if not ranked:
        return []
    with store.guard():
        trials = store.optuna.get_all_trials(search.study_id, deepcopy=False)
    by_key: dict[str, Candidate] = {}
    for each in _in_order(ranked, trials, spec):
        if len(by_key) == top:
            break
        candidate = Candidate(each.number, settings.replace(each.config, {"env_steps": env_steps, "seed": 0}))
        by_key.setdefault(key_of(settings.to_dict(candidate.config)), candidate)
    defaults = default_candidate(trials, spec, env_steps)
    key = key_of(settings.to_dict(defaults.config))
    by_key[key] = replace(by_key.get(key, defaults), default=True)
    return list(by_key.values())


def default_candidate(trials: Sequence[FrozenTrial], spec: StudySpec, env_steps: int) -> Candidate:
    """The untuned parameters, and the trial that started as such."""
    number = next((t.number for t in trials if t.user_attrs.get(START) == 0), -1)
    config = spec.space.sample(FixedTrial(spec.defaults()), spec.config)
    return Candidate(number, settings.replace(config, {"env_steps": env_steps, "seed": 0}))


def trainings(chosen: Sequence[Candidate], seeds: int) -> list[HeldOutTraining]:
    """Every candidate with every held-out seed, seed by seed: what can be compared is there early."""
    return [
        HeldOutTraining(
            {CANDIDATE: candidate.number, SEED: number},
            settings.to_dict(settings.replace(candidate.config, {"seed": held_out_seed(number)})),
            candidate.default,
        )
        for number in range(seeds)
        for candidate in chosen
    ]


def most_wished(*wishes: Confirm | None) -> Confirm | None:
    """As much as any of several wishes; None where there is none."""
    known = [wish for wish in wishes if wish is not None]
    return None if not known else Confirm(max(w.top for w in known), max(w.seeds for w in known))


def keys(trials: Sequence[FrozenTrial]) -> set[str]:
    """What the trials of a confirmation train."""
    return {key_of(t.user_attrs[CONFIGURATION]) for t in trials if CONFIGURATION in t.user_attrs}


def _in_order(rows: Sequence[SlotRow], trials: Sequence[FrozenTrial], spec: StudySpec) -> Iterator[Candidate]:
    by_id = {trial._trial_id: trial for trial in trials}
    for row in rows:
        trial = by_id.get(-1 if row.trial_id is None else row.trial_id)
        if trial is None:
            continue
        try:
            yield Candidate(trial.number, spec.space.sample(FixedTrial(trial.params), spec.config))
        except (OmadError, ValueError):
            continue  # what a person enqueued by hand may lie outside the space
