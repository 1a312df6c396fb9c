"""The catalog of studies: finds study files, layers them with a profile and explicit wishes, makes the spec.

Later layers override earlier ones: dataclass defaults, `_base.toml`, the study's file, the profile (of
`_base.toml`, then of the study's file), then what was given explicitly.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError, TaskError
from omad_core.tasks import find as find_task
from search.spec.components import Component
from search.spec.dimensions import Dimension
from search.spec.given import Given
from search.spec.space import Space
from search.spec.spec import StudySpec
from search.spec.study_files import Layer, StudyFile, read

BASE = "_base"


@dataclass(frozen=True)
class Study:
    """What can be started: a task, a name and the files that describe it, the most general first."""

    task: str
    name: str
    files: tuple[StudyFile, ...]
    path: str = ""
    """The user's own file; empty for a study that comes with the package."""

    @property
    def profiles(self) -> tuple[str, ...]:
        """Names of all profiles, those of the base first."""
        return tuple(dict.fromkeys(name for file in self.files for name in file.profiles))

    def layers(self, profile: str) -> list[Layer]:
        """Files, then their profiles of this name. Raises ConfigError for an unknown one."""
        if profile not in self.profiles:
            raise ConfigError(settings.unknown("profile", profile, self.profiles))
        return [file.layer for file in self.files] + [
            file.profiles[profile] for file in self.files if profile in file.profiles
        ]


def shipped() -> list[str]:
    """Names of the studies that come with the package."""
    names = (Path(entry.name) for entry in resources.files("studies").iterdir())
    return sorted(name.stem for name in names if name.suffix == ".toml" and name.stem != BASE)


def find(task: str) -> Study:
    """The study of a task's name, a TOML file's path or a `module:factory`. Raises ConfigError, TaskError."""
    if task.endswith(".toml"):
        return _of_file(Path(task))
    if ":" in task:
        return Study(task, re.sub(r"[^A-Za-z0-9_-]+", "-", task).strip("-_"), (_shipped(BASE),))
    return Study(find_task(task).name, task, (_shipped(BASE), _shipped(task)))


def build(study: Study, given: Given, *, has_gpu: bool, name: str | None = None) -> StudySpec:
    """The effective spec. Raises ConfigError naming the file, table, setting or option at fault."""
    profile = given.profile or ("gpu" if has_gpu else "laptop")
    layers = study.layers(profile)
    config = settings.replace(_config(layers, study.task), given.train)
    numbers: dict[str, Any] = {}
    for layer in layers:
        numbers.update(layer.numbers)
    try:
        return StudySpec(
            name=name or study.name,
            profile=profile,
            train=settings.to_dict(config),
            space=_space(layers).without(tuple(given.train)),
            sampler=_component("sampler", "tpe", layers),
            pruner=_component("pruner", "median", layers),
            **{**numbers, **given.numbers},
        )
    except ConfigError as error:
        if not study.path or repr(name) in str(error):  # a name that was given is not the file's
            raise
        raise ConfigError(f"{study.path}: {error}") from None


def check(study: Study) -> None:
    """Refuse a study any of whose profiles cannot be used. Raises ConfigError."""
    for profile in study.profiles:
        try:
            build(study, Given(profile=profile), has_gpu=False)
        except ConfigError as error:
            raise ConfigError(f"profile {profile}: {error}") from None


def _of_file(path: Path) -> Study:
    try:
        file = read(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigError(f"the study file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the study file {path} is not UTF-8 text") from None
    files = [_shipped(BASE)]
    if file.extends is not None:
        if file.extends not in shipped():
            raise ConfigError(f"{path}: {settings.unknown('study to extend', file.extends, shipped())}")
        files.append(_shipped(file.extends))
    task = file.task or files[-1].task
    if task is None:
        raise ConfigError(f'{path} names no task: add a line such as task = "hopper"')
    if ":" not in task:
        try:
            find_task(task)
        except TaskError as error:
            raise TaskError(f"{path}: {error}") from None
    return Study(task, file.name or path.stem, (*files, file), str(path))


def _shipped(name: str) -> StudyFile:
    entry = resources.files("studies") / f"{name}.toml"
    return read(entry.read_text(encoding="utf-8"), f"studies/{name}.toml")


def _config(layers: Iterable[Layer], task: str) -> TrainConfig:
    config = TrainConfig(task=task)
    for layer in layers:
        try:
            config = settings.replace(config, layer.train)
        except ConfigError as error:
            raise ConfigError(f"{layer.source} [train]: {error}") from None
    return config


def _space(layers: Iterable[Layer]) -> Space:
    dimensions: dict[str, tuple[Dimension, ...]] = {}
    for layer in layers:
        dimensions.update(layer.space)
    return Space(tuple(each for alternatives in dimensions.values() for each in alternatives))


def _component(what: str, default: str, layers: Sequence[Layer]) -> Component:
    """The last name given, with all options given for that name."""
    name, options = default, dict[str, Any]()
    for layer in layers:
        table: Mapping[str, Any] = getattr(layer, what)
        if table.get("name", name) != name:
            name, options = table["name"], {}
        options.update({key: value for key, value in table.items() if key != "name"})
    if not isinstance(name, str):
        raise ConfigError(f"[{what}] name = {name!r} is not text")
    return Component(name, options)
