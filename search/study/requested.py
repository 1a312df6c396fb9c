"""Given: what a person asked for explicitly, and how it compares with a study that exists."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from search.errors import SpecConflict
from search.spec.spec import NUMBERS, StudySpec


@dataclass(frozen=True)
class Given:
    """Explicit wishes; what is absent was not asked for."""

    task: str | None = None
    profile: str | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """Plain numbers of the spec by name, such as `trials`."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the training by dotted path: `--set`, `--env-steps`."""

    def __post_init__(self) -> None:
        for name in self.numbers:
            if name not in NUMBERS:
                raise ConfigError(settings.unknown("study setting", name, NUMBERS))
        for path in self.train:
            settings.leaf(TrainConfig, path)
            if path in ("task", "seed"):
                raise ConfigError(
                    f"{path} is not set with --set: use --task, or --study-seed for the study's seed"
                )


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
        values[path] = settings.convert(path, text.strip(), settings.leaf(TrainConfig, path)[0])
    return values


def differences(stored: StudySpec, given: Given) -> list[str]:
    """One phrase for each explicit wish that the stored spec does not fulfil.

    More trials are no difference: they extend the study.
    """
    return [
        *_of("--task", given.task, stored.task),
        *_of("--profile", given.profile, stored.profile),
        *_number_differences(stored, given.numbers),
        *_train_differences(stored, given.train),
    ]


def refuse_differences(name: str, stored: StudySpec, given: Given) -> None:
    """Raise SpecConflict naming every explicit wish that the stored spec does not fulfil."""
    if differing := differences(stored, given):
        raise SpecConflict(
            f"study {name!r} exists with other settings: {'; '.join(differing)}. "
            "Leave these options out to continue it, or begin another one with `omad-search run --study NAME`"
        )


def _of(what: str, wish: Any, stored: Any) -> Iterator[str]:
    if wish is not None and wish != stored:
        yield f"{what} {wish} (the study has {stored})"


def _number_differences(stored: StudySpec, wishes: Mapping[str, Any]) -> Iterator[str]:
    for name, wish in wishes.items():
        value = getattr(stored, name)
        if name == "trials" and wish > value:
            continue
        yield from _of(f"--{name.replace('_', '-')}", wish, value)


def _train_differences(stored: StudySpec, wishes: Mapping[str, Any]) -> Iterator[str]:
    for path, text in wishes.items():
        wish = settings.convert(path, text, settings.leaf(TrainConfig, path)[0])
        if path in stored.space.paths:
            yield f"{path} = {wish} (the study searches it)"
        else:
            value = settings.get(stored.config, path)
            yield from _of(path, wish, dict(value) if isinstance(value, Mapping) else value)
