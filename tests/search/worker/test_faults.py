"""The table of faults: each kind by what raises it, and the page that tells users of it."""

import errno
import re
from pathlib import Path

import psutil
import pytest

from omad_core.errors import CheckpointError, TaskError
from search.worker import faults
from tracking.errors import TrackingError

PAGE = Path(__file__).parents[3] / "docs" / "faults.md"


def raised_from(error: Exception, cause: BaseException) -> Exception:
    """An error that was raised from another one."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, "disk full"),
        (errno.EDQUOT, "disk full"),
        (errno.EROFS, "read-only"),
        (errno.EMFILE, "too many open files"),
        (errno.ENOMEM, "out of memory"),
        (errno.EIO, "disk broken"),
        (errno.EACCES, "read-only"),
    ],
)
def test_what_the_machine_refuses_our_own_files_is_the_machines_fault(code: int, kind: str) -> None:
    refused = OSError(code, "no")
    for error in (
        refused,
        raised_from(CheckpointError("cannot write"), refused),
        raised_from(TrackingError("the curve"), refused),
    ):
        assert faults.kind_of(error, "cpu") == kind
        assert faults.FAULTS[kind].trial == "given back"
        assert faults.FAULTS[kind].worker_ends


def test_an_environment_that_may_not_read_a_file_is_no_fault_of_the_machine() -> None:
    assert (
        faults.kind_of(raised_from(TaskError("it raised"), PermissionError(errno.EACCES, "no")), "cpu")
        == "raises"
    )
    assert (
        faults.kind_of(raised_from(TaskError("it raised"), FileNotFoundError(errno.ENOENT, "no")), "cpu")
        == "raises"
    )
    assert (
        faults.kind_of(raised_from(TaskError("it raised"), OSError(errno.ENOSPC, "no")), "cpu") == "disk full"
    )


@pytest.mark.parametrize(("available", "kind"), [(5, "out of memory"), (50, "raises")])
def test_an_allocation_that_fails_is_the_machines_fault_only_where_memory_is_scarce(
    monkeypatch: pytest.MonkeyPatch, available: int, kind: str
) -> None:
    memory = psutil.virtual_memory()._replace(total=100, available=available)
    monkeypatch.setattr(faults.psutil, "virtual_memory", lambda: memory)
    assert faults.kind_of(MemoryError(), "cpu") == kind


@pytest.mark.parametrize(
    ("here", "elsewhere", "kind"),
    [(True, True, "raises"), (False, True, "breaks the device"), (False, False, "device gone")],
)
def test_a_device_is_gone_when_no_process_can_use_it(
    monkeypatch: pytest.MonkeyPatch, here: bool, elsewhere: bool, kind: str
) -> None:
    monkeypatch.setattr(faults, "_answers", lambda device: here)
    monkeypatch.setattr(faults, "_answers_others", lambda device: elsewhere)
    assert faults.kind_of(RuntimeError("CUDA error"), "cuda:0") == kind
    assert faults.FAULTS[kind].worker_ends != here


def test_a_device_that_does_not_exist_answers_nobody() -> None:
    assert not faults._answers("cuda:97")
    assert not faults._answers_others("cuda:97")


def test_what_users_code_raises_as_an_exit_is_an_exit() -> None:
    for error in (SystemExit(3), KeyboardInterrupt()):
        assert faults.kind_of(error, "cpu") == "exits"
    assert faults.kind_of(ZeroDivisionError(), "cpu") == "raises"


def test_the_page_for_users_has_a_row_for_every_kind_of_fault() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \|", PAGE.read_text(), re.MULTILINE)
    told = {kind: (trial, worker) for kind, trial, worker in rows}
    for kind, consequence in faults.FAULTS.items():
        trial, worker = told[kind]
        assert trial.startswith(consequence.trial)
        assert worker.startswith("ends" if consequence.worker_ends else "trains on"), kind
