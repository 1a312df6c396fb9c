"""From `module:factory` to the user's function."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omad_core.envs.pettingzoo.border import Border
from omad_core.errors import ConfigError, EnvironmentFailed, TaskError


def builder(border: Border, args: Mapping[str, Any]) -> Callable[[], Any]:
    """What builds one more environment of a task. Raises TaskError, ConfigError, EnvironmentFailed."""
    task = border.task
    module_name, _, factory_name = task.partition(":")
    if not module_name.strip(".") or not factory_name:
        raise TaskError(f"task {task!r} is not of the form module:factory, such as my_worlds:make")
    factory = getattr(_module(border, module_name), factory_name, None)
    if not callable(factory):
        raise TaskError(
            f"task {task!r}: module {module_name} has no function {factory_name!r}; check its name"
        )
    _refuse_args(task, factory, args)

    def build() -> Any:
        with border.during(factory_name, watched=True):
            return factory(**args)

    return build


def _module(border: Border, name: str) -> Any:
    # An installed command does not look in the working folder by itself; installed packages come first.
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        with border.during(f"import {name}", watched=True):
            return importlib.import_module(name)
    except EnvironmentFailed as failed:
        error = failed.__cause__
        if not isinstance(error, ImportError):
            raise
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and (name == missing or name.startswith(f"{missing}.")):
            raise TaskError(
                f"task {border.task!r}: cannot import {name!r} ({error}); run where it can be imported, or install it"
            ) from error
        raise TaskError(str(failed)) from error


def _refuse_args(task: str, factory: Callable[..., Any], args: Mapping[str, Any]) -> None:
    """Raise ConfigError for arguments that a factory does not take."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # compiled functions may have none that can be read
        return
    try:
        signature.bind(**args)
    except TypeError as error:
        raise ConfigError(f"env.args do not fit {task}: {error}; its arguments: {signature}") from None
