"""The border to users' code: whatever it raises is an EnvironmentFailed that says where, in one sentence.

Whatever: a simulator that calls `sys.exit` fails its own trial, not the process. Only Ctrl-C passes.
"""

import dis
import os
import signal
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType, TracebackType

from omad_core.envs.pettingzoo.process import Settings, leave_copy
from omad_core.errors import EnvironmentFailed, OmadError

OURS = Path(__file__).parents[2]
STDLIB = Path(sysconfig.get_path("stdlib"))
INSTALLED = ("site-packages", "dist-packages")
"""Folders of packages that are not the user's own."""
LONGEST = 300
"""Characters of a message that are repeated."""
WITHOUT_STATE = "--set env.state=observations does without state()"


class Border:
    """A context for calls into the code of one task. One object serves many calls, one after the other."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.call = ""
        """What is being called, such as `step`."""
        self.agent: object = None
        """For which agent, if it is for one."""
        self.step: int | None = None
        """In which step of the episode, if it is in one."""
        self._process, self._watched = 0, False
        self._settings: Settings | None = None

    def during(
        self, call: str, step: int | None = None, agent: object = None, watched: bool = False
    ) -> "Border":
        """The context of one call. Raises EnvironmentFailed for all that is raised in it.

        `watched`: settings of the process are put back after it, which takes longer than a step may.
        """
        self.call, self.step, self.agent, self._watched = call, step, agent, watched
        return self

    def __enter__(self) -> "Border":
        self._process = os.getpid()
        self._settings = Settings() if self._watched else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._process:
            leave_copy(error)
        if self._settings is not None:
            self._settings.restore()
        if error is not None and not isinstance(error, OmadError) and not _is_ctrl_c(error):
            raise EnvironmentFailed(self._sentence(error)) from error

    def _sentence(self, error: BaseException) -> str:
        if clash := _clash(error):
            return f"{self.task} {clash}"
        at = [f"agent {self.agent}"] if self.agent is not None else []
        at += [f"step {self.step}"] if self.step is not None else []
        where = f" ({', '.join(at)})" if at else ""
        said = ", ".join(part for part in (_message(error), _line(error)) if part)
        hint = f"; {WITHOUT_STATE}" if self.call == "state" else ""
        what = f"{self.task} raised {type(error).__name__} in {self.call}{where}"
        return (f"{what}: {said}" if said else what) + hint


def _message(error: BaseException) -> str:
    """What an error says, in one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - an exception of a user's own may be unable to say anything
        return ""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _line(error: BaseException) -> str:
    """The innermost line of the user's own files in a traceback; else of the packages that they use."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_display_path(Path(error.filename))} line {error.lineno}"
    lines = [
        (Path(frame.f_code.co_filename), number)
        for frame, number in _frames(error)
        if not frame.f_code.co_filename.startswith("<")
    ]
    foreign = [line for line in lines if not line[0].is_relative_to(OURS)]
    users = [line for line in foreign if not _is_installed(line[0])]
    last = (users or foreign)[-1:]
    return f"{_display_path(last[0][0])} line {last[0][1]}" if last else ""


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    return traceback.walk_tb(error.__traceback__)


def _is_installed(file: Path) -> bool:
    return file.is_relative_to(STDLIB) or not set(INSTALLED).isdisjoint(file.parts)


def _display_path(file: Path) -> str:
    """A file's path below the working folder or below where packages are installed, else its name."""
    for number, part in enumerate(file.parts):
        if part in INSTALLED:
            return str(Path(*file.parts[number + 1 :]))
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else file.name


def _is_ctrl_c(error: BaseException) -> bool:
    """Whether a KeyboardInterrupt comes from a signal: no `raise` stands where it was raised."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    *_, (frame, _) = _frames(error)
    *_, last = _instructions(error)
    handler: CodeType | None = getattr(signal.getsignal(signal.SIGINT), "__code__", None)
    return frame.f_code is handler or last != "RAISE_VARARGS"


def _instructions(error: BaseException) -> Iterator[str]:
    """The instruction at which each frame of a traceback stood."""
    trace = error.__traceback__
    while trace is not None:
        yield dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]]
        trace = trace.tb_next


def _clash(error: BaseException) -> str:
    """Empty, unless a module was asked for what only the user's own module of the same name has."""
    module: object = None
    if isinstance(error, ImportError):
        module = sys.modules.get((error.name or "").partition(".")[0])
    elif isinstance(error, AttributeError):
        module = error.obj
    if not isinstance(module, ModuleType) or not module.__file__:
        return ""
    name = module.__name__.partition(".")[0]
    taken = Path(module.__file__).resolve()
    for folder in dict.fromkeys([str(Path.cwd()), *sys.path]):
        for candidate in (Path(folder, f"{name}.py"), Path(folder, name)):
            if candidate.exists() and not taken.is_relative_to(candidate.resolve()):
                slash = "/" if candidate.is_dir() else ""
                return (
                    f"cannot use {candidate.name}{slash} of its own: the name `{name}` belongs to the "
                    f"installed package in {taken.parent}, which comes first; rename yours, or move it into a "
                    f"package of your own (`from my_package import {name}`)"
                )
    return ""
