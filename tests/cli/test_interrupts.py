"""Ctrl-C at any moment of a start is one word and code 130: tried in the middle of many imports."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INTERRUPTING = """
import atexit, os, signal, sys
left = first = int(sys.argv.pop(1))

def interrupt(event, args):
    global left
    if event == "import":
        left -= 1
        if left == 0 < first:
            os.kill(os.getpid(), signal.SIGINT)

if first == 0:
    atexit.register(lambda: sys.stderr.write(f"imports {first - left}\\n"))
left += 1  # this module itself: until it is found, nothing of ours can answer
sys.addaudithook(interrupt)
from omad_search import main
main()
"""
"""Interrupts itself when it imports for the n-th time; with 0 it says how often it does."""
ENDED = 130


def start(moment: int, words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", INTERRUPTING, str(moment), *words]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("words", "moments"),
    [
        (["status", "x"], 12),
        (["--help"], 6),
        pytest.param(
            ["run", "--task", "hopper", "--storage", "sqlite:////no/x.db"], 60, marks=pytest.mark.slow
        ),
    ],
)
def test_an_interrupt_during_the_start_is_one_word(words: list[str], moments: int, tmp_path: Path) -> None:
    count = int(start(0, words, tmp_path).stderr.splitlines()[-1].removeprefix("imports "))
    assert count > moments
    for number in range(moments):
        moment = 1 + number * count // moments
        done = start(moment, words, tmp_path)
        assert (done.returncode, done.stderr) == (ENDED, "interrupted\n"), f"at import {moment} of {count}"
    assert list(tmp_path.iterdir()) == []
