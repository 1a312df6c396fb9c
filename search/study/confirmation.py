"""Confirmation: how the best of a search is trained again, on seeds that no search has seen.

A confirmation is a study of its own. Each of its trials is one candidate and one held-out seed; the trial carries its
whole configuration, so that the study explains itself wherever it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.trial import BaseTrial

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from omad_core.settings import setting
from omad_core.stored_settings import train_config

CONFIGURATION = "omad_configuration"
"""Attribute of a confirmation's trial: everything it trains with, its seed included."""
CANDIDATE, SEED = "candidate", "seed"
"""Parameters of such a trial: the candidate's number in the parent, and the number of its held-out seed."""
MOST_CANDIDATES, MOST_SEEDS = 100, 1_000
MOST_NUMBER = 10_000_000
SUFFIX = "-confirm"
LONGEST_NAME = 100 - len(SUFFIX)


@dataclass(frozen=True)
class Confirm:
    """What a study wishes to have confirmed."""

    top: int = setting(
        1, "Best trials of the search to train again, beside the defaults", low=1, high=MOST_CANDIDATES
    )
    seeds: int = setting(5, "Held-out seeds to train each of them with", low=2, high=MOST_SEEDS)

    def __post_init__(self) -> None:
        settings.check(self)

    def joined(self, other: "Confirm | None") -> "Confirm":
        """As much as both wish."""
        return self if other is None else Confirm(max(self.top, other.top), max(self.seeds, other.seeds))


@dataclass(frozen=True)
class Parent:
    """The search that a confirmation is of."""

    name: str
    uid: str


def confirmation_name(study: str) -> str:
    """The name of a study's confirmation. Raises ConfigError where that would be too long."""
    if len(study) > LONGEST_NAME:
        raise ConfigError(
            f"study {study!r} cannot be confirmed: names of more than {LONGEST_NAME} characters leave no room "
            f"for the {SUFFIX} of its confirmation"
        )
    return study + SUFFIX


def refuse_new_name(name: str) -> None:
    """Raise ConfigError for a name that a new search may not have, because of its confirmation's."""
    if name.endswith(SUFFIX):
        raise ConfigError(
            f"{name!r} is no name for a new study: names that end in {SUFFIX} are those of confirmations"
        )
    if len(name) > LONGEST_NAME:
        raise ConfigError(
            f"{name!r} is no name for a new study: more than {LONGEST_NAME} characters leave no room for the "
            f"{SUFFIX} of its confirmation"
        )


def read_confirm(table: Any) -> Mapping[str, Any] | None:
    """What `confirm` of a study file says: `{ top = 1, seeds = 3 }`, or None for `false`. Raises ConfigError."""
    if table is False:
        return None
    if not isinstance(table, Mapping):
        raise ConfigError(
            f"confirm = {table!r} is neither false nor a table such as {{ top = 1, seeds = 3 }}"
        )
    settings.from_dict(Confirm, table)
    return table


def configuration(trial: BaseTrial) -> TrainConfig:
    """What a confirmation's trial trains. Raises ConfigError for one without a configuration of its own."""
    stored = trial.user_attrs.get(CONFIGURATION)
    if not isinstance(stored, Mapping):
        raise ConfigError(
            "it has no configuration: a confirmation trains what `omad-search confirm` enqueued, and nothing else"
        )
    return train_config(stored)


def suggest(trial: BaseTrial) -> None:
    """Have Optuna keep which candidate and held-out seed were enqueued."""
    trial.suggest_int(CANDIDATE, -1, MOST_NUMBER)
    trial.suggest_int(SEED, 0, MOST_SEEDS)


def held_out_label(candidate: int, seed: int, default: bool) -> str:
    """Such as `held-out 1 of trial 17`, or `held-out 1 of defaults`."""
    return f"held-out {seed} of {'defaults' if default else f'trial {candidate}'}"


def training_name(number: int, params: Mapping[str, Any]) -> str:
    """How the run of a confirmation's trial is called, such as `trial 17, held-out 0`."""
    if CANDIDATE not in params or SEED not in params:  # it ended before it began
        return f"confirmation {number}"
    return f"trial {params[CANDIDATE]}, held-out {params[SEED]}"
