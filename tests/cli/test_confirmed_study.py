"""A real study with its confirmation through the command line: every figure says what it is, and the pair stays one."""

import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from cli.commands.ui import dashboard
from cli.main import main
from search.storage.store import Store, look_into

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
ROOT = Path(__file__).parents[2]
FILE = """
task = "hopper"
name = "mine"
trials = 2
confirm = { top = 2, seeds = 3 }
[train]
env_steps = 180
log_every_steps = 60
evaluation.every_steps = 60
"""
COMMAND = ["run", "--task", "mine.toml", "--profile", "smoke", "--workers", "1"]
Run = Callable[..., str]


def typed(folder: Path, *words: str) -> str:
    """What a command says on stdout, run as a program in a folder."""
    hidden = ("OMAD_STORAGE", "MLFLOW_TRACKING_URI", "OMAD_HOME", "COLUMNS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-P", "-m", "cli.main", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> tuple[Path, str]:
    """A folder as `run` leaves it, with both trials confirmed on three held-out seeds, and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "mine.toml").write_text(FILE)
    shutil.copy(empty_mlflow, folder)
    return folder, typed(folder, *COMMAND)


@pytest.fixture
def working_folder(finished: tuple[Path, str], request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """That folder, or a copy for a test that changes it."""
    if "changed" not in request.fixturenames:
        return finished[0]
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


@pytest.fixture
def changed(working_folder: Path) -> Path:
    """A copy of the folder, which a test may change."""
    return working_folder


def runs_of(address: str) -> dict[str, MlflowRun]:
    """The runs of the study and of its confirmation by name."""
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("mine")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == len({run.info.run_name for run in runs})
    return {str(run.info.run_name): run for run in runs}


def confirmation(run: Run) -> Any:
    return json.loads(run("best", "mine", "--json"))["confirmation"]


def test_each_figure_is_called_what_it_is(run: Run, finished: tuple[Path, str]) -> None:
    _, report = finished
    seen = confirmation(run)
    sentence = seen["sentence"]
    assert sentence.startswith(("better than", "not shown to be better", "the search found nothing better"))
    assert {each["trial"] for each in seen["candidates"]} == {0, 1}
    assert all(len(each["values"]) == 3 and each["interval"] for each in seen["candidates"])
    assert json.loads(run("status", "mine", "--json"))["confirmation"]["sentence"] == sentence
    best = next(each for each in seen["candidates"] if each["best"])
    figure = f"{best['interquartile_mean']:,.1f}"
    for text in (report, run("best", "mine"), run("status", "mine")):
        assert f"mine: {sentence}" in text
        assert "on 3 held-out seeds" in text
        assert figure in text[text.index("interquartile mean") :]
    assert report.index(sentence) < report.index("score in the search"), "confirmed figures come first"
    assert "95 % over episodes" in report
    assert "over episodes of one policy, not over seeds" in report
    assert "has the best score in the search" in run("best", "mine")
    assert "Page: mine-report.html, and report.html of its run in MLflow" in report


def test_the_page_has_the_numbers_of_best(run: Run, finished: tuple[Path, str]) -> None:
    numbers, best = (json.loads(run(name, "mine", "--json")) for name in ("report", "best"))
    for part in ("confirmation", "default"):
        assert numbers[part] == best[part]
    assert numbers["best"] == best["best"]
    page = (finished[0] / "mine-report.html").read_text()
    assert best["confirmation"]["sentence"][1:] in page
    returns = numbers["returns_on_fresh_episodes"]
    assert f"{returns['best']['mean']:,.1f}" in page
    assert returns["random"] is not None
    assert "data:image/webp;base64," in page or "No film: " in page


def test_mlflow_says_the_same(run: Run, finished: tuple[Path, str], tmp_path: Path) -> None:
    seen, address = confirmation(run), f"sqlite:///{finished[0]}/mlflow.db"
    best = next(each for each in seen["candidates"] if each["best"])
    figure = f"{best['interquartile_mean']:.1f}"
    runs = runs_of(address)
    tags = runs["mine"].data.tags
    assert tags["omad.confirmed"] == seen["sentence"]
    assert tags["omad.confirmed_return"].startswith(f"{figure} [")
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["confirmation"].data.tags["mlflow.parentRunId"] == runs["mine"].info.run_id
    card = MlflowClient(address).get_model_version_by_alias("omad-mine", "champion").description or ""
    assert f"Confirmed on held-out seeds: {seen['sentence']}." in card
    assert "it was chosen by that, so the score flatters it" in card
    assert card.index("Confirmed on held-out seeds") < card.index("fresh episodes") < card.index("Score:")
    files = Path(
        mlflow.artifacts.download_artifacts(
            run_id=runs["mine"].info.run_id, dst_path=str(tmp_path / "files"), tracking_uri=address
        )
    )
    assert (
        json.loads(next(files.rglob("report.json")).read_text())["confirmation"]["sentence"]
        == seen["sentence"]
    )
    written = next(files.rglob("report.md")).read_text()
    assert written.index(seen["sentence"][1:]) < written.index("in the search")


@pytest.mark.slow
def test_a_search_that_is_extended_goes_on_and_old_confirmations_stay(run: Run, changed: Path) -> None:
    before = runs_of(f"sqlite:///{changed}/mlflow.db")
    old = confirmation(run)
    assert "1 trial added, 3 in all" in run("extend", "mine", "--trials", "+1")
    typed(changed, "run", "--study", "mine", "--workers", "1")
    trials = json.loads(run("trials", "mine", "--json"))
    assert [trial["state"] for trial in trials] == ["complete"] * 3
    ranked = sorted(trials, key=lambda trial: -trial["score"])
    expected = {0, 1, *(trial["number"] for trial in ranked[:2])}
    new = confirmation(run)
    assert {each["trial"] for each in new["candidates"]} == expected
    (best,) = [each for each in new["candidates"] if each["best"]]
    assert best["trial"] == ranked[0]["number"]
    values = {each["trial"]: each["values"] for each in new["candidates"]}
    assert {each["trial"]: each["values"] for each in old["candidates"]}.items() <= values.items()
    after = runs_of(f"sqlite:///{changed}/mlflow.db")
    assert len(after) == len(before) + 1 + 3 * (len(expected) - 2), "nothing is trained twice"
    assert {name: run.info.run_id for name, run in before.items()}.items() <= {
        name: run.info.run_id for name, run in after.items()
    }.items()
    assert {run.info.status for run in after.values()} == {"FINISHED"}


def test_a_pair_moves_to_another_tracking_server_and_is_known_there(
    run: Run, changed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = f"sqlite:///{changed}/mlflow.db", f"sqlite:///{changed}/new/mlflow.db"
    (changed / "new").mkdir()
    seen = confirmation(run)
    assert "mine is in its new place: 2 of 2" in run(
        "move", "mine", "--tracking", new, "--from-tracking", old
    )
    before, after = runs_of(old), runs_of(new)
    assert before.keys() == after.keys()
    assert len(after) == 2 + 2 + 6
    for name, copy in after.items():
        assert copy.data.metrics == before[name].data.metrics
        assert copy.info.status == "FINISHED"
    parents = {"mine": None, "confirmation": "mine", "trial 0": "mine", "trial 1": "mine"}
    for name, copy in after.items():
        above = parents.get(name, "confirmation")
        assert copy.data.tags.get("mlflow.parentRunId") == (above and after[above].info.run_id), name
    assert confirmation(run) == seen
    assert "is recorded in" in run("sync", "mine", "--tracking", old, code=2)
    said = run("sync", "mine", "--tracking", new)
    assert "study mine: 0 rows" in said
    assert "study mine-confirm: 0 rows" in said
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["run", "--study", "mine", "--tracking", new])
    said = capsys.readouterr()
    assert "study mine is finished; `--trials 12` gives it more trials" in said.err
    assert f"mine: {seen['sentence']}" in said.out
    assert {run.info.status for run in runs_of(new).values()} == {"FINISHED"}


def test_optuna_dashboard_says_what_was_confirmed_and_what_a_confirmations_trials_are(
    finished: tuple[Path, str],
) -> None:
    """In study user attributes, which it shows below its best trial."""
    with look_into(f"sqlite:///{finished[0]}/omad.db") as store:
        seen = {study["study_name"]: study for study in asked(store, "studies")["study_summaries"]}
        search, held_out = (attributes(seen[name]) for name in ("mine", "mine-confirm"))
        trials = asked(store, f"studies/{seen['mine-confirm']['study_id']}")["trials"]
    assert f"mine: {search['confirmed']}" == held_out["confirmed"]
    assert held_out["confirmed"] in finished[1].splitlines()
    shown_first = [each["key"] for each in seen["mine-confirm"]["user_attrs"]][:5]
    assert "confirmed" in shown_first, "the dashboard shows five"
    assert search["confirmation"] == "study mine-confirm"
    assert held_out["confirms"] == "study mine"
    assert search["model"] == "models:/omad-mine@champion"
    assert search["best"].startswith("trial ")
    assert "luckiest seed" in held_out["about"]
    assert all({param["name"] for param in trial["params"]} == {"candidate", "seed"} for trial in trials)


def attributes(study: dict[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"].strip('"') for each in study["user_attrs"]}


def asked(store: Store, path: str) -> Any:
    """What optuna-dashboard answers, served as `ui --optuna` does."""
    server = dashboard(store, 0)
    threading.Thread(target=server.handle_request, daemon=True).start()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/api/{path}", timeout=30) as answer:
        found = json.loads(answer.read())
    server.server_close()
    return found
