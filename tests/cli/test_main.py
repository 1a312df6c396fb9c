"""The entry point: quick help without the heavy rooms, one sentence for every error, its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import omad_search
from cli.app import app
from cli.main import main
from cli.process.group import PROGRAM

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


LIGHT = {"annotated_doc", "attr", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"}
LIGHT |= {"cli", "omad_core", "search", "tracking"}


def test_help_is_quick_since_it_loads_little() -> None:
    code = """
import json, sys
before = set(sys.modules)
from cli.main import main
try:
    main(["--help"])
except SystemExit:
    pass
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
sys.stderr.write(json.dumps(sorted(n for n in loaded - sys.stdlib_module_names if n[0] != "_")))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stderr.splitlines()[-1])) <= LIGHT


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


def test_an_address_that_is_none_is_wrongly_asked(capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "doctor", "--tracking", "gopher://somewhere")
    assert code == 1, "the doctor looks at everything"
    code, text = said(capsys, "run", "--task", "hopper", "--tracking", "gopher://me:secret@somewhere")
    assert code == 2
    assert "is no tracking address: use http://HOST:PORT" in text
    assert "secret" not in text
    code, text = said(capsys, "status", "--storage", "redis://me:secret@host")
    assert code == 2
    assert "'redis' is not supported" in text
    assert "secret" not in text


def test_a_variable_that_ends_with_a_newline_is_read_without(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMAD_STORAGE", "sqlite:///mine.db\n")
    code, text = said(capsys, "status")
    assert code == 1
    assert "storage sqlite:///mine.db: there is no such file" in text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", " gopher://somewhere\n")
    _, text = said(capsys, "run", "--task", "hopper")
    assert "'gopher://somewhere' is no tracking address" in text


def test_the_unexpected_is_a_sentence_and_with_debug_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the roof is on fire\nand so on")

    monkeypatch.setattr("search.study.catalog.find", broken)
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

    monkeypatch.setattr("search.study.catalog.find", broken)
    code, text = said(capsys, "run", "--task", "hopper")
    assert code == 1
    assert "postgresql://me:***@host/x" in text


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("omad-search 0.")


@pytest.mark.parametrize("name", ["tracking", "search", "omad_core"])
def test_a_module_of_the_users_that_stands_in_for_ours_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").touch()
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from cli.main import main; main()", "status"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / name}.py stands in for this program's own package `{name}`")
    assert "PYTHONPATH" in line


def test_modules_of_the_users_stand_in_for_none_of_the_program(tmp_path: Path) -> None:
    """In the working folder and on PYTHONPATH."""
    for name in omad_search.PACKAGES:
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')")
    code = f"import runpy, sys; sys.argv[0] = 'x'; runpy.run_path({str(PROGRAM)!r}, run_name='__main__')"
    for command in ([sys.executable, "-P", str(PROGRAM), "status"], [sys.executable, "-c", code, "status"]):
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert done.stderr.startswith("error: storage sqlite:///omad.db: there is no such file")
    before = list(sys.path)
    omad_search.claim_names()
    assert sys.path == before


def test_what_a_spawned_process_imports_first_claims_the_names_too(tmp_path: Path) -> None:
    """As `multiprocessing` does it: the parent's script under another name, then whatever it needs."""
    (tmp_path / "search.py").write_text("raise RuntimeError('not this one')")
    code = (
        f"import runpy; runpy.run_path({str(PROGRAM)!r}, run_name='__mp_main__'); import search.bench.crowd"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    subprocess.run([sys.executable, "-P", "-c", code], env=environment, check=True)


def test_an_output_that_takes_no_more_is_told_with_what_to_do(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-P", str(PROGRAM), "tasks"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == "error: No space left on device; free some space, then the same command again\n"
