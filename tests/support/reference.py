"""docs/reference.md, made from the code: `python tests/support/reference.py` writes it, a test compares it.

Nothing of it depends on a terminal, a machine or the time.
"""

import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from cli.app import app
from cli.errors import EXIT_CODES
from omad_core import settings
from omad_core.algorithms import ALGORITHMS
from omad_core.config import TrainConfig
from search.study import catalog
from search.study.request import StudyRequest

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
HEAD = """\
# Reference

Every command with its options, every setting with its bounds, and the exit codes. Made from the code:
`python tests/support/reference.py` writes this page, and a test compares it.

- [Commands](#commands)
- [Environment variables](#environment-variables)
- [Exit codes](#exit-codes)
- [Settings](#settings)
- [Profiles](#profiles)
- [Defaults of algorithms](#defaults-of-algorithms)
"""
ANYWHERE = """\
Every command has `--help`, and takes `--debug` anywhere: tracebacks and more of the log. Results go to standard
output, all that is said about them to standard error. Colours end with `NO_COLOR=1` and in pipes; `COLUMNS` sets a
width. `omad-search --version` says the version, `omad-search --install-completion` teaches a shell your studies.
"""
SETTINGS = """\
For `--set PATH=VALUE`, and for study files below `[train]` ([studies.md](studies.md)). `none` and numbers such as
`1e-3` and `5_000` are written as they stand here. (structure): trials that differ in it are not trained side by side
in one program. Letters and equations are those of [algorithm.md](algorithm.md), where sources such as [dime] are named.
"""
OVERRIDES = "What is not here is the default above. They lie below study files, profiles and options.\n"
PROFILES = "Of Hopper; of another task `omad-search studies show TASK --profile NAME` says it. Empty is the default.\n"


def page() -> str:
    """The whole page."""
    parts = [HEAD, "## Commands\n", ANYWHERE, *_commands()]
    parts += ["## Environment variables\n", _variables(), "## Exit codes\n", _exit_codes()]
    parts += ["## Settings\n", *_settings(), "## Profiles\n", _profiles()]
    parts += ["## Defaults of algorithms\n", _algorithms()]
    return "\n".join(parts)


def leaves(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Full name and command of every command, groups before their own."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        yield " ".join((*path, name)), command
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))


def table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown; bars in cells are escaped."""
    lines = [titles, ("---",) * len(titles), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _commands() -> Iterator[str]:
    for name, command in leaves():
        usage = " ".join(_usage(param) for param in command.params if _is_argument(param))
        yield f"### {name}\n"
        yield f"{' '.join(command.help.split())}\n"
        example = str(command.epilog).removeprefix("Example: ")
        yield f"```\n{example}\n```\n"
        rows = [_option(param) for param in command.params if not getattr(param, "hidden", False)]
        if rows:
            yield table((f"`{name}{' ' + usage if usage else ''}`", "default", "what"), rows)


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _usage(param: Any) -> str:
    shown = _metavar(param)
    return shown if param.required or shown.startswith("[") else f"[{shown}]"


def _metavar(param: Any) -> str:
    choices = getattr(param.type_descriptor, "choices", None)
    return str(param.metavar or ("|".join(map(str, choices)) if choices else param.name.upper()))


def _option(param: Any) -> tuple[str, str, str]:
    if _is_argument(param):
        name = f"`{_metavar(param)}`"
    else:
        flag = getattr(param, "is_flag", False)
        name = f"`{param.opts[0]}{'' if flag else ' ' + _value(param)}`"
    says = " ".join((param.help or "").split())
    bounds = _bounds(param)
    says += f" {bounds}." if bounds else ""
    return name, _default(param), says


def _value(param: Any) -> str:
    """What stands for the value of an option."""
    if param.metavar or getattr(param.type_descriptor, "choices", None):
        return _metavar(param)
    kinds = {int: "N", float: "X", Path: "PATH"}
    return kinds.get(param.type_descriptor.annotation, param.opts[0].strip("-").upper())


def _bounds(param: Any) -> str:
    if param.min is None:
        return ""
    return (
        f"From {_number(param.min)} on"
        if param.max is None
        else f"{_number(param.min)} to {_number(param.max)}"
    )


def _default(param: Any) -> str:
    if param.required:
        return "required"
    default = param.default
    if callable(default) or default in (None, False, [], (), ""):
        return ""
    return f"`{_number(default) if isinstance(default, int | float) else default}`"


def _variables() -> str:
    """By name, with the options that they stand for."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, command in leaves():
        for param in command.params:
            if param.envvar:
                found.setdefault(str(param.envvar), {}).setdefault(param.opts[0], []).append(name)
    found.pop("OMAD_HOME")
    rows = [
        (f"`{variable}`", "; ".join(f"`{option}` of {', '.join(names)}" for option, names in by.items()))
        for variable, by in sorted(found.items())
    ]
    rows += [
        (
            "`OMAD_HOME`",
            "where every command keeps checkpoints and logs; without it `.omad` in the working folder",
        ),
        (
            "`OMAD_STUDIES`",
            "folders of study files of your own, with `:` between them; without it `./studies`",
        ),
        ("`NO_COLOR`, `COLUMNS`", "no colours; a width other than the terminal's"),
    ]
    return table(("variable", "stands for"), rows)


def _exit_codes() -> str:
    return table(("code", "meaning"), [(f"`{code}`", says) for code, says in EXIT_CODES.items()])


def _settings() -> Iterator[str]:
    """A table for each group of settings."""
    yield SETTINGS
    default = TrainConfig()
    groups: dict[str, list[tuple[str, ...]]] = {}
    for path, kind, info in settings.fields(TrainConfig):
        says = info.help + (" (structure)" if info.structure else "")
        row = (f"`{path}`", _shown(settings.get(default, path)), _allowed(kind, info), says)
        groups.setdefault(path.rpartition(".")[0], []).append(row)
    for group, rows in groups.items():
        yield f"### {f'{group}.*' if group else 'The training'}\n"
        yield table(("setting", "default", "allowed", "what"), rows)


def _allowed(kind: Any, info: settings.Setting) -> str:
    options = [each for each in typing.get_args(kind) if isinstance(each, str)]
    if options:
        return ", ".join(f"`{each}`" for each in options)
    if kind is bool:
        return "`true`, `false`"
    if info.low is None or info.high is None:
        return "names and values" if typing.get_origin(kind) is not None else "text"
    low = f"above {_number(info.low)}" if info.idle else _number(info.low)
    none = ", or `none`" if type(None) in typing.get_args(kind) else ""
    return f"{low} to {_number(info.high)}{none}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "`{}`" if not value else f"`{dict(value)}`"
    if value is None:
        return "`none`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{_number(value)}`" if isinstance(value, int | float) else f"`{value}`"


def _number(value: float) -> str:
    if isinstance(value, int) and value == 2**62:
        return "2^62"
    if abs(value) >= 10_000 and value == int(value) and f"{value:.0e}".startswith("1e") and value >= 1e7:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    if isinstance(value, int) or value == int(value):
        return f"{int(value):_}" if abs(value) >= 10_000 else str(int(value))
    return re.sub(r"e([+-])0*", r"e\1", f"{value:g}").replace("e+", "e")


def _profiles() -> str:
    """What a profile says that differs from the defaults of the code, all profiles side by side."""
    study = catalog.find("hopper")
    default = settings.to_dict(TrainConfig())
    builds = {
        name: catalog.build(study, StudyRequest(profile=name), has_gpu=False) for name in study.profiles
    }
    rows = [_row("trials", "", [str(spec.trials) for spec in builds.values()])]
    rows.append(_row("seeds", "", [str(spec.seeds) for spec in builds.values()]))
    values = {name: settings.to_dict(spec.config) for name, spec in builds.items()}
    for path, own in default.items():
        seen = [each[path] for each in values.values()]
        if any(value != own for value in seen):
            rows.append(_row(path, _shown(own), [_shown(value) if value != own else "" for value in seen]))
    about = "".join(f"- `{name}`: {_about(name)}.\n" for name in study.profiles)
    return f"{about}\n{PROFILES}\n{table(('setting', 'default', *(f'`{name}`' for name in builds)), rows)}"


def _row(path: str, default: str, values: list[str]) -> tuple[str, ...]:
    return (f"`{path}`", default, *values)


def _about(profile: str) -> str:
    base = tomllib.loads((PAGE.parents[1] / "studies" / "_base.toml").read_text())
    return str(base["profile"][profile]["about"])


def _algorithms() -> str:
    """What an algorithm says that differs from the defaults above, below all files and options."""
    about = "".join(f"- `{name}`: {each.about}.\n" for name, each in ALGORITHMS.items())
    paths = list(dict.fromkeys(path for each in ALGORITHMS.values() for path in each.defaults))
    default = settings.to_dict(TrainConfig())
    named = {name: each.defaults for name, each in ALGORITHMS.items() if each.defaults}
    rows = [
        _row(
            path,
            _shown(default[path]),
            [_shown(each[path]) if path in each else "" for each in named.values()],
        )
        for path in sorted(paths, key=list(default).index)
    ]
    return f"{about}\n{OVERRIDES}\n{table(('setting', 'default', *(f'`{name}`' for name in named)), rows)}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
