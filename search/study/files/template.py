"""Template: a new study file, with what it has from another study as comments."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from omad_core import settings
from omad_core.config import TrainConfig
from search.study.dimension_tables import to_table
from search.study.study_spec import NUMBERS, StudySpec


def new_study_file(name: str, spec: StudySpec, extends: str) -> str:
    """TOML that extends a shipped study and changes nothing yet; `spec`: what that study has."""
    default = TrainConfig(task=spec.task)
    changed = [
        f"# {path} = {_value(value)}"
        for path, value, _ in settings.walk(spec.config)
        if value != settings.get(default, path) and path != "env.args"
    ]
    lines = [
        f"# Begin it with `omad-search run --task {name}`, check it with `omad-search studies validate {name}`.",
        f"# Lines with a # are what it has from {extends}, profile {spec.profile}: remove the # to say it yourself.",
        f'extends = "{extends}"',
        *(f"# {number} = {_value(getattr(spec, number))}" for number in NUMBERS),
        f"# confirm = {_value(dataclasses.asdict(spec.confirm) if spec.confirm else False)}",
        "",
        "[train]",
        *changed,
        "",
        "[space]                    # a setting = false is not searched",
        *_dimensions(spec),
        *(line for what in ("sampler", "pruner") for line in _component(spec, what)),
    ]
    return "\n".join(lines) + "\n"


def _dimensions(spec: StudySpec) -> list[str]:
    texts: dict[str, list[str]] = {}
    for dimension in spec.space.dimensions:
        texts.setdefault(dimension.path, []).append(_value(to_table(dimension)))
    return [f"# {path} = {_alternatives(tables)}" for path, tables in texts.items()]


def _alternatives(tables: list[str]) -> str:
    return tables[0] if len(tables) == 1 else f"[{', '.join(tables)}]"


def _component(spec: StudySpec, what: str) -> list[str]:
    component = getattr(spec, what)
    options = [f"# {name} = {_value(value)}" for name, value in component.options.items()]
    return ["", f"[{what}]", f"# name = {_value(component.name)}", *options]


def _value(value: Any) -> str:
    """A value as TOML writes it."""
    match value:
        case None:
            return '"none"'
        case bool() | str():
            return json.dumps(value)
        case Mapping():
            return "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)


def _key(key: str) -> str:
    return json.dumps(key) if "." in key else key
