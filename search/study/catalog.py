"""The catalog of studies: finds study files, layers them with a profile and explicit options, makes the spec.

Later layers override earlier ones: dataclass defaults, those of the algorithm, `_base.toml`, its profile, the study's
file, that file's profile, then options. A file that extends another comes after that one and its profile.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from omad_core import settings
from omad_core.envs.catalog import TASKS
from omad_core.envs.catalog import find as find_task
from omad_core.errors import ConfigError, TaskError
from search.study.files.algorithms import of_algorithms, with_defaults
from search.study.files.folders import BASE, SHIPPED, user_file, user_names
from search.study.files.layers import component_of, confirm_of, numbers_of, overrides_of
from search.study.files.study_file import Layer, StudyFile, read
from search.study.origin import CONFIRM, Origin
from search.study.pruners import PRUNERS
from search.study.request import StudyRequest
from search.study.samplers import SAMPLERS
from search.study.study_spec import StudySpec


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
        """Each file, followed by its profile of this name. Raises ConfigError for one that no file has."""
        if profile not in self.profiles:
            raise ConfigError(settings.unknown("profile", profile, self.profiles))
        layers: list[Layer] = []
        for file in self.files:
            layers += [file.layer, *(file.profiles[name] for name in (profile,) if name in file.profiles)]
        return layers


def list_shipped() -> list[str]:
    """Names of the studies that come with the package."""
    return sorted(file.stem for file in SHIPPED.glob("*.toml") if file.stem in TASKS)


def find(task: str) -> Study:
    """The study of a name, a TOML file's path or a `module:factory`. Raises ConfigError, TaskError.

    A name is a file of the user's folders, else a shipped study, which is called like its task.
    """
    if task.endswith(".toml"):
        return _of_file(Path(task))
    if own := user_file(task):
        return _of_file(own)
    if ":" in task:
        return Study(task, re.sub(r"[^A-Za-z0-9_-]+", "-", task).strip("-_"), (_shipped(BASE),))
    if task not in TASKS and (names := user_names()):
        raise TaskError(settings.unknown("task or study", task, [*names, *list_shipped()]))
    return Study(find_task(task).name, task, (_shipped(BASE), _shipped(task)))


def build(study: Study, requested: StudyRequest, *, has_gpu: bool, name: str | None = None) -> StudySpec:
    """The effective spec. Raises ConfigError naming the file, table, setting or option at fault."""
    profile = requested.profile or ("gpu" if has_gpu else "laptop")
    layers = study.layers(profile)
    try:
        return _spec(study, profile, [*layers, requested.layer()], requested, name)
    except ConfigError as error:
        if not study.path or str(error).startswith(study.path) or _possible(study, profile, layers):
            raise
        raise ConfigError(f"{study.path}: {error}") from None


def check(study: Study) -> None:
    """Refuse a study any of whose profiles cannot be used. Raises ConfigError."""
    for profile in study.profiles:
        try:
            build(study, StudyRequest(profile=profile), has_gpu=False)
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
        if file.extends not in list_shipped():
            raise ConfigError(f"{path}: {settings.unknown('study to extend', file.extends, list_shipped())}")
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
    return read((SHIPPED / f"{name}.toml").read_text(encoding="utf-8"), f"studies/{name}.toml")


def _spec(
    study: Study, profile: str, layers: list[Layer], requested: StudyRequest, name: str | None = None
) -> StudySpec:
    origin = Origin(
        file=study.path,
        digest=study.files[-1].digest if study.path else "",
        options={**requested.numbers, **requested.train, **({} if requested.confirm else {CONFIRM: False})},
        overrides=overrides_of(with_defaults(layers)),
    )
    config, space = of_algorithms(layers, study.task)
    return StudySpec(
        name=name or study.name,
        profile=profile,
        config=config,
        space=space,
        sampler=component_of("sampler", "tpe", SAMPLERS, layers),
        pruner=component_of("pruner", "median", PRUNERS, layers),
        origin=origin,
        confirm=confirm_of(layers) if requested.confirm else None,
        **numbers_of(layers),
    )


def _possible(study: Study, profile: str, layers: list[Layer]) -> bool:
    """Whether the files alone make a spec: what is wrong then came from options."""
    try:
        _spec(study, profile, layers, StudyRequest())
    except ConfigError:
        return False
    return True
