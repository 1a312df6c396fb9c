"""Edits: whether a study file still says what the study was begun with."""

from collections.abc import Iterator, Mapping
from typing import Any

from omad_core import settings
from search.errors import SpecConflict
from search.study import catalog
from search.study.origin import CONFIRM
from search.study.request import StudyRequest
from search.study.study_spec import NUMBERS, StudySpec


def refuse_edits(name: str, stored: StudySpec, requested: StudyRequest) -> int:
    """The trials that a study's file asks for now; 0 where the file is as it was, or is none of the user's own.

    Raises SpecConflict naming what the file says otherwise than the study, ConfigError where it is no study file. The
    file is read with the profile and the options that the study was begun with. One of a release that did not store
    these is not compared.
    """
    study = catalog.find(requested.task or stored.task)
    if not study.path or stored.origin is None or study.files[-1].digest == stored.origin.digest:
        return 0
    said = catalog.build(study, _as_begun(stored, requested), has_gpu=False, name=name)
    differing = [*_differences(stored, said), *_confirm_differences(stored, said, requested)]
    if differing:
        raise SpecConflict(
            f"study {name!r} was begun with other settings than {study.path} has now: {'; '.join(differing)}. Begin "
            f"another study with `omad-search run --task {requested.task} --study NAME`, or continue this one without "
            f"the file: `omad-search run --study {name}`"
        )
    return said.trials


def _as_begun(stored: StudySpec, requested: StudyRequest) -> StudyRequest:
    """The options of a study's beginning, and those that are given now."""
    begun = stored.origin.options if stored.origin else {}
    numbers = {name: value for name, value in begun.items() if name in NUMBERS}
    train = {path: value for path, value in begun.items() if path not in (*NUMBERS, CONFIRM)}
    return StudyRequest(None, stored.profile, {**numbers, **requested.numbers}, {**train, **requested.train})


def _differences(stored: StudySpec, said: StudySpec) -> Iterator[str]:
    """One phrase for each setting; more trials are no difference, since they extend the study."""
    if said.task != stored.task:
        yield _phrase("task", said.task, stored.task)
    for name in NUMBERS:
        value, before = getattr(said, name), getattr(stored, name)
        if value != before and not (name == "trials" and value > before):
            yield _phrase(name, value, before)
    yield from _unequal(
        settings.to_dict(said.config), settings.to_dict(stored.config), skipped=("task", "seed")
    )
    yield from _unequal(_describe_space(said), _describe_space(stored))
    for what in ("sampler", "pruner"):
        component, before = getattr(said, what), getattr(stored, what)
        if component.name != before.name:
            yield _phrase(what, component.name, before.name)
        else:
            yield from _unequal(component.options, before.options, f"{what} {component.name} ")


def _confirm_differences(stored: StudySpec, said: StudySpec, requested: StudyRequest) -> Iterator[str]:
    """One phrase where the file wishes for another confirmation; none where `--no-confirm` left it out, then or now."""
    begun = stored.origin.options if stored.origin else {}
    if requested.confirm and begun.get(CONFIRM, True) and said.confirm != stored.confirm:
        yield _phrase(CONFIRM, _wish(said), _wish(stored))


def _wish(spec: StudySpec) -> str | None:
    """As a study file writes it."""
    return None if spec.confirm is None else f"{{ top = {spec.confirm.top}, seeds = {spec.confirm.seeds} }}"


def _unequal(
    said: Mapping[str, Any], stored: Mapping[str, Any], prefix: str = "", skipped: tuple[str, ...] = ()
) -> Iterator[str]:
    for key in dict.fromkeys([*said, *stored]):
        if key not in skipped and said.get(key) != stored.get(key):
            yield _phrase(prefix + key, said.get(key), stored.get(key))


def _describe_space(spec: StudySpec) -> dict[str, str]:
    """What is searched in words, by setting."""
    texts: dict[str, list[str]] = {}
    for dimension in spec.space.dimensions:
        start = "" if dimension.start is None else f" from {dimension.start}"
        conditions = " and ".join(f"{path} = {values}" for path, values in dimension.when.items())
        texts.setdefault(f"search of {dimension.path}", []).append(
            f"{dimension}{start}{f' when {conditions}' if conditions else ''}"
        )
    return {path: " | ".join(parts) for path, parts in texts.items()}


def _phrase(what: str, said: Any, stored: Any) -> str:
    return f"{what} {_display(said)} (the study has {_display(stored)})"


def _display(value: Any) -> Any:
    return "none" if value is None else value
