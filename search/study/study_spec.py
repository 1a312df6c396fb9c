"""StudySpec: what a study searches, with which budget and how a trial is scored.

The effective spec, every default included, is stored when a study is created; whoever joins uses that one.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from optuna.trial import BaseTrial, FixedTrial, FrozenTrial

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from omad_core.settings import Setting, setting
from omad_core.stored_settings import train_config
from search.study.comparison import Comparison
from search.study.components import Component, complete
from search.study.confirmation import Confirm, Parent, configuration, suggest
from search.study.dimension_tables import parse, to_table
from search.study.dimensions import Dimension
from search.study.origin import Origin
from search.study.pruners import PRUNERS
from search.study.samplers import SAMPLERS
from search.study.space import Space

FORMAT = 4
"""Version of the stored JSON that is written; older ones are read."""
LATER_FIELDS = {"origin": 2, "kind": 2, "parent": 2, "confirm": 2, "variants": 3, "comparison": 4}
"""Fields that a stored spec has from this format on; older ones get their defaults."""
Kind = Literal["search", "confirmation"]


@dataclass(frozen=True)
class StudySpec:
    """One study. Its numbers are settings; space, sampler, pruner and config check themselves."""

    name: str
    """Names the Optuna study, the MLflow experiment and the local folder."""
    config: TrainConfig
    """An untuned trial's training; its seed is not used. Stored as `train`, by dotted path."""
    profile: str = "laptop"
    """The profile of the study file that was applied."""
    trials: int = setting(50, "Budget: trials of the study", low=1, high=1_000_000)
    seeds: int = setting(1, "Seeds trained in every trial, side by side", low=1, high=1_000)
    seed: int = setting(
        0, "The study's own seed: proposals and training seeds follow from it", low=0, high=2**31
    )
    space: Space = field(default_factory=Space)
    """The settings that are searched; they override `config`."""
    sampler: Component = field(default_factory=lambda: Component("tpe", {}))
    """How parameters are proposed."""
    pruner: Component = field(default_factory=lambda: Component("median", {}))
    """When a trial is ended early."""
    score_evaluations: int = setting(
        3,
        "A trial's score is the mean return of its last evaluations, this many, over its seeds",
        low=1,
        high=10_000,
    )
    checkpoint_seconds: float = setting(
        60.0, "Seconds of training between two checkpoints", low=0.0, high=1e6
    )
    lease_seconds: float = setting(
        60.0, "Seconds without progress after which others may take a worker's trial over", low=1.0, high=1e6
    )
    max_attempts: int = setting(
        5, "Attempts to get a trial from one checkpoint to the next before it fails", low=1, high=1_000
    )
    final_episodes: int = setting(50, "Fresh episodes of a model's final evaluation", low=1, high=100_000)
    origin: Origin | None = field(default=None, compare=False)
    """Where the values come from; None in a study of a release that did not store it."""
    kind: Kind = "search"
    parent: Parent | None = None
    """Of a confirmation: the search whose best it trains again."""
    confirm: Confirm | None = None
    """What is confirmed once the search has ended; None for nothing."""
    comparison: Comparison | None = None
    """The comparison of algorithms that it is part of; its confirmation too."""

    def __post_init__(self) -> None:
        _check_name(self.name)
        settings.check(self)
        object.__setattr__(self, "space", self.space.reachable(self.config))
        object.__setattr__(self, "sampler", complete("sampler", SAMPLERS, self.sampler))
        object.__setattr__(self, "pruner", complete("pruner", PRUNERS, self.pruner))
        self.space.check(self.config)
        _check_learns(self.config)
        if (self.kind == "confirmation") != (self.parent is not None):
            raise ConfigError(f"a {self.kind} has {'no' if self.parent is None else 'a'} parent")

    @property
    def experiment(self) -> str:
        """The MLflow experiment: a comparison's, or its parent's for a confirmation."""
        if self.comparison:
            return self.comparison.name
        return self.parent.name if self.parent else self.name

    @property
    def task(self) -> str:
        """The task, as `TrainConfig.task`."""
        return self.config.task

    @property
    def training_seeds(self) -> tuple[int, ...]:
        """Seeds of the members of every trial: the same for all trials, other ones for another study seed."""
        return tuple(self.seed * 1_000 + number for number in range(self.seeds))

    def configs(self, trial: BaseTrial) -> tuple[TrainConfig, ...]:
        """What a trial trains: its sampled values on top of `config`, once for each training seed.

        A confirmation's trial has its configuration, seed and all. Raises ConfigError for one without.
        """
        if self.kind == "confirmation":
            config = configuration(trial)
            suggest(trial)
            return (config,)
        sampled = self.space.sample(trial, self.config)
        return tuple(settings.replace(sampled, {"seed": seed}) for seed in self.training_seeds)

    def config_of(self, trial: FrozenTrial) -> TrainConfig:
        """What a trial that was sampled trained, but for its seed. Raises ConfigError, ValueError."""
        if self.kind == "confirmation":
            return configuration(trial)
        return self.space.sample(FixedTrial(trial.params), self.config)

    def searched(self, config: TrainConfig) -> dict[str, Any]:
        """The values that a configuration has for the settings that are searched."""
        return {path: settings.get(config, path) for path in self.space.paths}

    def defaults(self) -> dict[str, Any]:
        """The untuned configuration as Optuna's parameters, as the study's first trial gets them."""
        return self.space.defaults(self.config)

    def to_json(self) -> str:
        """Everything, in a versioned form."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "name": self.name,
            "train": settings.to_dict(self.config),
        }
        document |= {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "config"}
        document["origin"] = self.origin.to_table() if self.origin else None
        document["variants"] = {name: dict(values) for name, values in self.space.variants.items()}
        document["space"] = [{"path": d.path, **to_table(d)} for d in self.space.dimensions]
        for part in ("sampler", "pruner"):
            document[part] = {"name": document[part].name, **document[part].options}
        for part in ("parent", "confirm", "comparison"):
            document[part] = dataclasses.asdict(document[part]) if document[part] else None
        return json.dumps(document, indent=2)

    @classmethod
    def from_json(cls, text: str) -> "StudySpec":
        """The inverse of `to_json`. Raises ConfigError for anything else."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"the stored spec is not JSON: {error}") from None
        _check_document(document)
        try:
            return cls(**_parts(document))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ConfigError(f"the stored spec is damaged: {error}") from None


NUMBERS: dict[str, tuple[Any, Setting]] = {
    f.name: (f.type, f.metadata["setting"]) for f in dataclasses.fields(StudySpec) if "setting" in f.metadata
}
"""The spec's settings that are plain numbers, which study files and options may set: type and bounds by name."""


def _parts(document: Mapping[str, Any]) -> dict[str, Any]:
    parts = {name: value for name, value in document.items() if name not in ("format", "train", "origin")}
    parts["config"] = train_config(document["train"])
    if not isinstance(document["space"], list):
        raise TypeError("space is no list")
    dimensions = tuple(_dimension(dict(table)) for table in document["space"])
    parts["space"] = Space(dimensions, parts.pop("variants", {}))
    for part in ("sampler", "pruner"):
        options = dict(document[part])
        parts[part] = Component(options.pop("name"), options)
    if document.get("origin") is not None:
        parts["origin"] = Origin.from_table(document["origin"])
    parts["parent"] = Parent(**document["parent"]) if document.get("parent") else None
    parts["confirm"] = Confirm(**document["confirm"]) if document.get("confirm") else None
    parts["comparison"] = Comparison(**document["comparison"]) if document.get("comparison") else None
    return parts


def _dimension(table: dict[str, Any]) -> Dimension:
    return parse(table.pop("path"), table)


def _check_document(document: Any) -> None:
    if not isinstance(document, dict) or "format" not in document:
        raise ConfigError("the stored spec is none of omad-search's")
    stored = document["format"]
    if stored not in range(1, FORMAT + 1):
        raise ConfigError(
            f"the stored spec has format {stored}, this release reads up to {FORMAT}: "
            "use the omad-search release that created the study, or a newer one"
        )
    known = {
        "format",
        "train",
        "variants",
        *(f.name for f in dataclasses.fields(StudySpec) if f.name != "config"),
    }
    known -= {name for name, since in LATER_FIELDS.items() if stored < since}
    for name in document:
        if name not in known:
            raise ConfigError(f"the stored spec: {settings.unknown('field', name, known)}")
    if missing := sorted(known - document.keys()):
        raise ConfigError(f"the stored spec lacks {', '.join(missing)}")


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):  # what MLflow allows in a model's name
        raise ConfigError(
            f"{name!r} is no study name: use up to 100 letters, digits, '_' or '-', "
            "and begin with a letter or digit"
        )


def _check_learns(config: TrainConfig) -> None:
    if config.random_steps >= config.env_steps:
        raise ConfigError(
            f"random_steps = {config.random_steps} leaves nothing of env_steps = {config.env_steps} "
            "to learn in; raise env_steps or lower random_steps"
        )
