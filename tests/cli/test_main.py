"""The entry point: quick help without the heavy rooms, one sentence for every error, its exit code."""

import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cli.main import app, main

ROOT = Path(__file__).parents[2]
COMMANDS = [info.callback.__name__.replace("_", "-") for info in app.registered_commands if info.callback]


def test_help_of_every_command_imports_no_heavy_room() -> None:
    code = """
import sys
from cli.main import main
for command in sys.argv[1:]:
    try:
        main([command, "--help"] if command != "omad-search" else ["--help"])
    except SystemExit as left:
        assert not left.code, command
heavy = {"torch", "mlflow", "optuna", "mujoco", "numpy", "sqlalchemy"} & set(sys.modules)
assert not heavy, heavy
"""
    words = [sys.executable, "-W", "error", "-c", code, "omad-search", *COMMANDS]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--task" in done.stdout


def test_help_is_quick() -> None:
    """In seconds of the processor, which do not depend on what else the machine does."""
    best = min(_seconds_of_help() for _ in range(3))
    assert best < 0.5


def _seconds_of_help() -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "cli.main", "--help"], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_package_called_cli_is_this_one() -> None:
    import cli

    assert cli.__file__ == str(ROOT / "cli" / "__init__.py")


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as left:
        main(words)
    return left.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rnu"], "No such command 'rnu'. Did you mean 'run'"),
        (["run", "--taks", "hopper"], "No such option: --taks"),
        (["run"], "which task? Write --task hopper"),
        (["run", "--task", "hoper"], "unknown task 'hoper'; did you mean 'hopper'?"),
        (["run", "--task", "no_such_module:make"], "cannot import 'no_such_module'"),
        (["run", "--task", "hopper", "--set", "gama=0.9"], "unknown setting 'gama'; did you mean 'gamma'?"),
        (["run", "--task", "hopper", "--set", "gamma=1.5"], "gamma = 1.5 is out of range"),
        (["run", "--task", "hopper", "--set", "gamma"], "--set 'gamma' has no '='"),
        (["run", "--task", "hopper", "--trials", "0"], "greater than or equal to 1"),
        (["run", "--task", "hopper", "--profile", "laptp"], "did you mean 'laptop'?"),
        (["run", "--task", "hopper", "--study", "my study"], "'my study' is no study name"),
        (["run", "--task", "hopper", "--devices", "99"], "--devices 99: there is no GPU 99"),
        (
            ["run", "--task", "hopper", "--devices", "gpu"],
            "--devices 'gpu' is neither auto, cpu nor GPU numbers",
        ),
        (
            ["run", "--task", "hopper", "--env-steps", "500"],
            "random_steps = 1000 leaves nothing of env_steps",
        ),
        (["run", "--task", "absent.toml"], "absent.toml cannot be read"),
        (["train", "--task", "hopper", "--set", "env_steps=9", "--env-steps", "9"], "are the same setting"),
    ],
)
def test_what_is_wrongly_asked_is_one_sentence_and_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    code, text = said(capsys, *words)
    assert code == 2
    assert sentence in text
    assert text.startswith("error: ")
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--storage", "postgresql://me:secret@127.0.0.1:1/x"],
            "nothing listens at 127.0.0.1, port 1; start",
        ),
        (["--storage", "sqlite:////no/such/folder/omad.db"], "there is no folder /no/such/folder"),
        (["--storage", "redis://me:secret@host"], "'redis' is not supported"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_sentence_and_code_1(
    capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    code, text = said(capsys, "status", *options)
    assert code == 1
    assert sentence in text
    assert "secret" not in text
    assert text.count("\n") == 1


def test_the_unexpected_is_a_sentence_and_with_debug_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the roof is on fire\nand so on")

    monkeypatch.setattr("search.spec.catalog.find", broken)
    code, text = said(capsys, "run", "--task", "hopper")
    assert (code, text) == (
        1,
        "error: unexpected RuntimeError: the roof is on fire (--debug shows the traceback)\n",
    )
    code, text = said(capsys, "run", "--task", "hopper", "--debug")
    assert code == 1
    assert "Traceback" in text
    assert "in broken" in text


def test_passwords_in_foreign_errors_are_hidden(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no route to postgresql://me:secret@host/x")

    monkeypatch.setattr("search.spec.catalog.find", broken)
    code, text = said(capsys, "run", "--task", "hopper")
    assert code == 1
    assert "postgresql://me:***@host/x" in text


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("omad-search 0.")


def commands_of(page: Path) -> list[str]:
    """Lines in the code blocks of a page that begin with `omad-search`."""
    blocks = re.findall(r"^```\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.startswith("omad-search ")]


def test_every_command_of_the_readme_is_one_that_can_be_typed() -> None:
    lines = commands_of(ROOT / "README.md")
    assert len(lines) > 15
    program = typer.main.get_command(app)
    for line in lines:
        words = shlex.split(line)[1:]
        assert "omad-search" not in words, f"two commands on a line: {line}"
        name, command, rest = program.resolve_command(
            program.make_context("omad-search", ["--help"], resilient_parsing=True), words
        )
        command.make_context(name, rest)
