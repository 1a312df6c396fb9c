"""Commands that look: what they print of a real study in a real storage, for people and as JSON."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from search.slots import lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.study.samplers import build_sampler
from search.study.study_spec import StudySpec

Run = Callable[..., str]


def train(store: Store, handle: StudyHandle, outcome: Any, values: list[float]) -> None:
    """One trial, reported and ended without any training."""
    spec = StudySpec.from_json(handle.spec)
    lease = claim(store, handle.study_id, Claimant("laptop:1", 60.0))
    assert lease is not None
    study = optuna_study(store, handle, build_sampler(spec.sampler, 0, lease.number, spec.space.paths))
    lease, trial = trial_binding.bind(store, study, lease)
    spec.configs(trial)
    for number, value in enumerate(values, start=1):
        outcomes.report(store, lease, trial, number * 1_000, value)
    lease_writes.renew(store, lease, 60.0, {"step": len(values) * 1_000, "updates_per_second": 80.0})
    if outcome is not None:
        outcomes.finish(store, study, lease, outcome, values[-1], "NaN" if outcome == "diverged" else None)


@pytest.fixture
def study(run: Run, tmp_path: Path) -> None:
    """`hopper`: the defaults, a better trial, one that diverged, one in work; six wait."""
    spec = catalog.build(catalog.find("hopper"), StudyRequest(numbers={"trials": 10}), has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", spec.trials, spec.to_json(), [spec.defaults()])
        train(store, handle, "complete", [20.0, 100.0, 219.0])
        train(store, handle, "complete", [20.0, 200.0, 419.5])
        train(store, handle, "diverged", [20.0])
        train(store, handle, None, [20.0, 30.0])


@pytest.mark.usefixtures("study")
def test_status_shows_the_study(run: Run) -> None:
    text = run("status", "hopper")
    assert "3/10 trials" in text
    assert "best so far: trial 1 with return 419.5; the defaults have 219.0" in text
    assert "3/10 trials" in run("status"), "the only study needs no name"


def test_the_time_of_an_ended_study_stands_still(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = catalog.build(catalog.find("hopper"), StudyRequest(numbers={"trials": 1}), has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", spec.trials, spec.to_json(), [spec.defaults()])
        train(store, handle, "complete", [20.0, 100.0])
    tomorrow = time.time() + 86_400
    monkeypatch.setattr(time, "time", lambda: tomorrow)
    assert json.loads(run("status", "--json"))["elapsed_seconds"] < 3_600


@pytest.mark.usefixtures("study")
def test_status_as_json_is_plain_data(run: Run) -> None:
    seen = json.loads(run("status", "--json"))
    assert [trial["state"] for trial in seen["trials"][:5]] == [
        "complete",
        "complete",
        "diverged",
        "running",
        "waiting",
    ]
    assert seen["trials"][3]["curve"] == [20.0, 30.0]
    assert seen["trials"][3]["curve_step"] == 2_000
    assert seen["default_number"] == 0


@pytest.mark.usefixtures("study")
def test_trials_lists_all_that_began(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = run("trials")
    assert "learned" in text
    assert "6 more wait for a worker" in text
    assert "trial 2: NaN" in text
    assert len(json.loads(run("trials", "--json"))) == 10
    monkeypatch.setenv("COLUMNS", "80")
    narrow = run("trials")
    assert "trial 2 entropy.mode=learned" in narrow, "below the table"


@pytest.mark.usefixtures("study")
def test_best_shows_the_best_beside_the_defaults(run: Run) -> None:
    text = run("best", "hopper")
    assert "hopper: trial 1 has the best score in the search, 419.5" in text
    assert "the defaults, trial 0, have 219.0" in text
    assert json.loads(run("best", "--json"))["best"]["score"] == 419.5


@pytest.mark.usefixtures("study")
def test_studies_lists_the_storage(run: Run) -> None:
    assert "hopper" in run("studies")
    (record,) = json.loads(run("studies", "--json"))
    assert (record["name"], record["ended"], record["trials"], record["best_score"]) == (
        "hopper",
        3,
        10,
        419.5,
    )


@pytest.mark.usefixtures("study")
def test_an_unknown_study_is_refused_with_the_nearest(run: Run) -> None:
    assert "did you mean 'hopper'?" in run("status", "hoper", code=2)


def test_without_a_storage_it_says_what_makes_one(run: Run, tmp_path: Path) -> None:
    assert "`omad-search run` creates one" in run("status", code=1)
    assert not list(tmp_path.iterdir()), "looking creates nothing"


def test_best_of_a_study_without_completed_trials_says_so(run: Run, tmp_path: Path) -> None:
    spec = catalog.build(catalog.find("hopper"), StudyRequest(), has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        create_study(store, "hopper", 1, spec.to_json())
    assert "no trial of study hopper has completed yet" in run("best", code=1)


def test_tasks_lists_every_task(run: Run) -> None:
    from omad_core.envs.catalog import TASKS

    assert [task["name"] for task in json.loads(run("tasks", "--json"))] == list(TASKS)
    text = run("tasks")
    assert all(name in text for name in TASKS)
    assert "14,369" in text


def test_train_saves_a_policy_that_evaluate_measures(run: Run) -> None:
    words = [
        "train",
        "--task",
        "hopper",
        "--profile",
        "smoke",
        "--env-steps",
        "120",
        "--set",
        "random_steps=60",
    ]
    text = run(*words, "--seed", "3")
    assert "step 120/120  return" in text
    assert "policy saved in omad-hopper-seed-3" in text
    record = json.loads(run("evaluate", "omad-hopper-seed-3", "--episodes", "4", "--json"))
    assert record["task"] == "hopper"
    assert len(record["returns"]) == 4
    assert record["summary"]["mean"] == pytest.approx(sum(record["returns"]) / 4)
    assert "mean return" in run("evaluate", "omad-hopper-seed-3", "--episodes", "4")
    assert "exists already" in run(*words, "--seed", "3", code=2)


def test_evaluate_refuses_what_is_no_model(run: Run, tmp_path: Path) -> None:
    assert "neither a folder with a policy.json" in run("evaluate", "nothing", code=2)
    (tmp_path / "policy.json").write_text("{}")
    assert "policy.json" in run("evaluate", str(tmp_path), code=1)


def test_doctor_finds_this_machine_fit_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    text = run("doctor")
    assert "will be created" in text
    assert "takes profile" in text
    assert "FAILS" not in text
    assert not list(tmp_path.iterdir())


def test_doctor_says_what_cannot_be_reached(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["doctor", "--storage", "postgresql://me:secret@127.0.0.1:1/x", "--json"])
    said = capsys.readouterr()
    findings = {finding["what"]: finding for finding in json.loads(said.out)}
    assert left.value.code == 1
    assert not findings["storage"]["good"]
    assert findings["tracking"]["good"]
    assert "secret" not in said.out + said.err


def test_export_names_what_is_missing(run: Run, study: None, tmp_path: Path) -> None:
    assert "study hopper has no trial 77; `omad-search trials hopper` lists them" in run(
        "export", "hopper", "--trial", "77", "--to", str(tmp_path / "home"), code=2
    )
    assert "and has no model" in run("export", "hopper", "--to", str(tmp_path / "home"), code=2)
    assert not (tmp_path / "home").exists()


# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_sync_leaves_what_a_worker_holds_and_says_so(run: Run, study: None) -> None:
    said = run("sync", code=1)
    assert "not published yet: slots 0, 1, 2 of hopper; their workers may be at it" in said


@pytest.mark.usefixtures("study")
def test_curves_are_a_line_a_training_and_of_earlier_releases_what_there_is(run: Run) -> None:
    lines = [json.loads(line) for line in run("curves", "hopper").splitlines()]
    assert [(line["trial"], line["outcome"]) for line in lines] == [
        (0, "complete"),
        (1, "complete"),
        (2, "diverged"),
        (3, None),
    ]
    assert lines[1]["evaluations"] == [
        {"step": 1_000, "mean": 20.0},
        {"step": 2_000, "mean": 200.0},
        {"step": 3_000, "mean": 419.5},
    ]
    assert (lines[1]["seed"], lines[1]["seconds"]) == (0, None)
    assert lines[1]["parameters"].items() <= lines[1]["configuration"].items()


@pytest.mark.usefixtures("study")
def test_launch_takes_the_only_study_and_says_what_it_would_start(run: Run) -> None:
    assert "2 x python -P -m omad_search worker hopper" in run(
        "launch", "slurm", "--workers", "2", "--dry-run"
    )
