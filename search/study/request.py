"""Request: what a person asked for explicitly, and how it compares with a study that exists."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from search.errors import SpecConflict
from search.study.files.study_file import Layer
from search.study.origin import OPTIONS
from search.study.study_spec import NUMBERS, StudySpec


@dataclass(frozen=True)
class StudyRequest:
    """Options that were typed; what is absent was not."""

    task: str | None = None
    profile: str | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """Plain numbers of the spec by name, such as `trials`."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the training by dotted path: `--set`, `--env-steps`; texts become values of their setting."""
    confirm: bool = True
    """Whether a new study confirms what its file says; not with `--no-confirm`."""

    def __post_init__(self) -> None:
        for name in self.numbers:
            if name not in NUMBERS:
                raise ConfigError(settings.unknown("study setting", name, NUMBERS))
        for path in self.train:
            _refuse_own_option(path)
        values = {
            path: settings.convert(path, value, settings.leaf(TrainConfig, path)[0])
            for path, value in self.train.items()
        }
        object.__setattr__(self, "train", values)

    def layer(self) -> Layer:
        """The last layer of a study: a setting that is given is no longer searched."""
        space = dict.fromkeys(self.train, ())
        return Layer(OPTIONS, numbers=self.numbers, train=self.train, space=space, in_file=False)


def _refuse_own_option(path: str) -> None:
    """Refuse a setting that has an option of its own. Raises ConfigError."""
    if path in ("task", "seed"):
        raise ConfigError(f"{path} is not set with --set: use --task, or --study-seed for the study's seed")


def parse_settings(pairs: list[str]) -> dict[str, Any]:
    """The values of `--set path=value` options, converted. Raises ConfigError."""
    values: dict[str, Any] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        path = path.strip()
        if not equals:
            raise ConfigError(f"--set {pair!r} has no '=': write --set path=value, such as --set gamma=0.98")
        if path in values:
            raise ConfigError(f"--set names {path} twice")
        _refuse_own_option(path)
        values[path] = settings.convert_requested(TrainConfig, path, text.strip())
    return values


def differences(stored: StudySpec, requested: StudyRequest) -> list[str]:
    """One phrase for each option that the stored spec contradicts.

    More trials are no difference: they extend the study.
    """
    return [
        *_phrases("--task", requested.task, stored.task),
        *_phrases("--profile", requested.profile, stored.profile),
        *_number_differences(stored, requested.numbers),
        *_train_differences(stored, requested.train),
    ]


def refuse_differences(name: str, stored: StudySpec, requested: StudyRequest) -> None:
    """Raise SpecConflict naming every option that the stored spec contradicts."""
    if differing := differences(stored, requested):
        raise SpecConflict(
            f"study {name!r} exists with other settings: {'; '.join(differing)}. "
            "Leave these options out to continue it, or begin another one with `omad-search run --study NAME`"
        )


def _phrases(what: str, requested: Any, stored: Any) -> Iterator[str]:
    if requested is not None and requested != stored:
        yield f"{what} {requested} (the study has {stored})"


def _number_differences(stored: StudySpec, numbers: Mapping[str, Any]) -> Iterator[str]:
    for name, number in numbers.items():
        value = getattr(stored, name)
        if name == "trials" and number > value:
            continue
        yield from _phrases(f"--{name.replace('_', '-')}", number, value)


def _train_differences(stored: StudySpec, train: Mapping[str, Any]) -> Iterator[str]:
    for path, requested in train.items():
        if path in stored.space.paths:
            yield f"{path} = {requested} (the study searches it)"
        else:
            value = settings.get(stored.config, path)
            yield from _phrases(path, requested, dict(value) if isinstance(value, Mapping) else value)
