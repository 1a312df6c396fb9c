"""compare, as a user types it: killed and typed again; what cannot be compared is refused before anything is made."""

import html
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.study import StudyDirection

from search.comparison.members import members
from search.comparison.work import work_left
from search.confirmation.pair import pair
from search.errors import SpecConflict
from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import open_study, optuna_study
from search.steering import commands, move
from search.storage.store import open_storage
from search.study.study_spec import StudySpec

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
ROOT = Path(__file__).parents[3]
SMALL = ["--task", "simple_spread_n3", "--profile", "smoke", "--name", "both"]
SMALL += ["--set", "evaluation.every_steps=50", "--set", "log_every_steps=25"]
COMMAND = ["compare", "--algorithms", "omad,gaussian", "--seeds", "3", *SMALL]
TWO = [*COMMAND, "--trials", "2", "--env-steps", "150"]
THREE = [*COMMAND, "--trials", "3", "--env-steps", "150"]
Typed = Callable[..., str]


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """The program in a folder of its own, without the settings of whoever runs the tests; a group of its own."""
    hidden = ("OMAD_STORAGE", "MLFLOW_TRACKING_URI", "OMAD_HOME", "COLUMNS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "cli.main", *words], cwd=folder, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finished(folder: Path, *words: str) -> tuple[str, str]:
    process = start(folder, *words)
    try:
        out, err = process.communicate(timeout=400)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, out + err
    return out, err


def kill_in_the_middle(folder: Path) -> None:
    """`kill -9` of the command and of its workers, once a trial has ended and another one is at work."""
    process = start(folder, *TWO, "--workers", "2")
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if re.search(r"trial 0 is complete", seen) and re.search(r"trial 1 (begins|goes on|at step)", seen):
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


def results(folder: Path) -> dict[tuple[str, int], tuple[float | None, str | None]]:
    """Value and MLflow run of every slot that has ended, by study and slot."""
    found = {}
    with open_storage(f"sqlite:///{folder}/omad.db") as store:
        for search in members(store, "both"):
            for study in pair(store, search):
                for row in budget.rows(store, study.study_id):
                    if row.outcome is not None:
                        found[study.name, row.number] = (row.value, row.mlflow_run_id)
    return found


def end_all(url: str, name: str, value: float) -> None:
    """Let every trial of a study have a result, each a little better than the one before; nothing is trained."""
    with open_storage(url) as store:
        handle = open_study(store, name)
        while (lease := claim(store, handle.study_id, Claimant("test", 60.0))) is not None:
            study = optuna_study(store, handle)
            lease, trial = trial_binding.bind(store, study, lease)
            StudySpec.from_json(handle.spec).configs(trial)
            value += 1.0
            outcomes.report(store, lease, trial, 150, value)
            lease_writes.publish(store, outcomes.finish(store, study, lease, "complete", value))


def test_what_has_ended_is_shown_and_kept_in_mlflow(run: Typed, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/omad.db"
    run(*TWO, "--workers", "0")
    for name, value in (("both-omad", 0.0), ("both-gaussian", 50.0)):
        end_all(url, name, value)
    run(*TWO, "--workers", "0")
    with open_storage(url) as store:
        assert not work_left(store, members(store, "both")).nothing, "both are to be confirmed now"
    for name, value in (("both-omad-confirm", 100.0), ("both-gaussian-confirm", 200.0)):
        end_all(url, name, value)
    said = " ".join(run(*TWO, "--page", "pages/both.md").split())
    sentence = "gaussian is better than omad on 3 of 3 seeds: +100 [+100, +100], p < .001."
    assert f"trained with 3 held-out seeds: {sentence}" in said
    assert "gaussian tuned (trial 1) 203.0" in said
    assert "omad-search evaluate models:/omad-both-gaussian@champion" in said
    assert sentence in (tmp_path / "pages" / "both.md").read_text()
    document = json.loads(run(*TWO, "--json"))
    assert document["sentence"].endswith(sentence)
    assert document["algorithms"][1]["tuned"]["values"] == {"0": 201.0, "1": 203.0, "2": 205.0}
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    _check_runs(client, document, set())
    _check_page(client, tmp_path, run, document)


def _check_page(client: MlflowClient, folder: Path, run: Typed, document: dict[str, Any]) -> None:
    """One page, here and in the comparison's run, with the comparison's own numbers."""
    page = (folder / "both-report.html").read_text()
    assert document["sentence"] in html.unescape(page)
    numbers = json.loads(run("report", "both", "--json"))
    assert document.items() <= numbers.items()
    assert [each["study"] for each in numbers["searches"]] == ["both-omad", "both-gaussian"]
    run("report", "both", "--out", "again.html")
    assert document["sentence"] in html.unescape((folder / "again.html").read_text())
    experiment = client.get_experiment_by_name("both")
    assert experiment is not None
    (above,) = client.search_runs([experiment.experiment_id], "tags.`omad.kind` = 'comparison'")
    assert "report.html" in {file.path for file in client.list_artifacts(above.info.run_id)}


def test_it_is_steered_shown_and_moved_as_one_by_its_name(run: Typed, tmp_path: Path) -> None:
    run(*TWO, "--workers", "0")
    end_all(f"sqlite:///{tmp_path}/omad.db", "both-omad", 0.0)
    said = run("pause", "both")
    assert "study both-omad is paused" in said, "its confirmation is to come"
    assert "study both-gaussian is paused" in said
    assert "study both-gaussian goes on, 2 of 2 trials left" in run("resume", "both")
    assert "study both-gaussian is stopping" in run("stop", "both")
    assert "study both-gaussian: 1 trial added, 3 in all" in run("extend", "both", "--trials", "3")
    assert "study both-omad: no trial has failed" in run("retry", "both", "--failed")
    assert "name one of its studies, both-omad, both-gaussian" in run("best", "both", code=2)
    assert "name one of both-omad, both-gaussian" in run("retry", "both", "--trial", "0", code=2)
    assert re.search(r"omad +2/3 .*\n.*gaussian +0/3", run("status", "both"))
    new = ("--storage", f"sqlite:///{tmp_path}/new.db", "--tracking", f"sqlite:///{tmp_path}/new-mlflow.db")
    said = run("move", "both", "--to", new[1], "--tracking", new[3])
    assert "study both-omad is in its new place: 2 of 3 trials ended" in said
    assert "study both-gaussian is in its new place" in said
    assert "was moved from" in run("pause", "both", code=2)
    assert "both-omad-confirm" not in run(*THREE, "--workers", "0", *new)
    for name, value in (("both-omad", 10.0), ("both-gaussian", 50.0)):
        end_all(new[1], name, value)
    with open_storage(new[1]) as store:
        assert not work_left(store, members(store, "both")).nothing, "both are to be confirmed now"
    for name, value in (("both-omad-confirm", 100.0), ("both-gaussian-confirm", 200.0)):
        end_all(new[1], name, value)
    sentence = "gaussian is better than omad on 3 of 3 seeds"
    assert sentence in " ".join(run("status", "both", *new).split())
    assert sentence in " ".join(run("status", "both", "--watch", *new).split())
    document = json.loads(run("status", "both", "--json", *new))
    assert sentence in document["sentence"]
    _check_runs(MlflowClient(new[3]), json.loads(run(*THREE, "--json", *new)), set())


def test_of_a_move_that_fails_in_the_middle_nothing_has_moved(tmp_path: Path, run: Typed) -> None:
    run(*TWO, "--workers", "0")
    with (
        open_storage(f"sqlite:///{tmp_path}/omad.db") as old,
        open_storage(f"sqlite:///{tmp_path}/new.db", create=True) as new,
    ):
        studies = members(old, "both")
        new.rdb.create_new_study([StudyDirection.MAXIMIZE], studies[1].name)
        with pytest.raises(SpecConflict, match="has a study 'both-gaussian' already"):
            move.move_all(old, studies, new)
        assert [each.desired_state for each in members(old, "both")] == ["running", "running"]
        with pytest.raises(SpecConflict, match="is on its way to"):
            commands.refuse_moved(new, open_study(new, "both-omad"))


@pytest.mark.slow
def test_a_comparison_goes_on_after_a_kill_and_trains_nothing_twice(tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path)
    before = results(tmp_path)
    assert before
    out, err = finished(tmp_path, *TWO, "--workers", "2")
    assert "comparison both exists: continuing it" in err
    after = results(tmp_path)
    assert {key: after[key][0] for key in before} == {key: value for key, (value, _) in before.items()}
    assert {name for name, _ in after} == {
        "both-omad", "both-omad-confirm", "both-gaussian", "both-gaussian-confirm"
    }  # fmt: skip
    assert re.search(
        r"On simple_spread_n3, each tuned with 2 trials of 150 steps and then trained with 3", out
    )
    assert "Not shown: " in out
    document = json.loads(finished(tmp_path, *TWO, "--json", "--page", "pages/both.md")[0])
    assert results(tmp_path) == after, "nothing was left to train"
    _check_document(document, after)
    assert "## Values by held-out seed" in (tmp_path / "pages" / "both.md").read_text()
    assert (tmp_path / "pages" / "both.png").stat().st_size > 10_000
    _check_runs(
        MlflowClient(f"sqlite:///{tmp_path}/mlflow.db"), document, {"trial 0", "trial 1", "confirmation"}
    )


def _check_document(document: dict[str, object], after: dict[tuple[str, int], object]) -> None:
    assert (document["task"], document["trials"], document["env_steps"]) == ("simple_spread_n3", 2, 150)
    assert document["held_out_seeds"] == [0, 1, 2]
    omad, gaussian = document["algorithms"]  # type: ignore[misc]
    assert (omad["algorithm"], gaussian["algorithm"]) == ("omad", "gaussian")
    for each in (omad, gaussian):
        assert sorted(each["tuned"]["values"]) == sorted(each["untuned"]["values"]) == ["0", "1", "2"]
        assert each["tuned"]["updates"] == 50
        assert each["tuned"]["cost"] > 0
        assert each["search_cost"] > 0
    assert gaussian["tuned"]["difference_interval"] is not None
    assert 0 <= gaussian["tuned"]["p_value_corrected"] <= 1
    assert omad["tuned"]["difference_to_first"] is None


def _check_runs(client: MlflowClient, document: dict[str, object], below: set[str]) -> None:
    """One experiment, and in it the comparison's run above its studies' runs, which are above those of the trials."""
    experiment = client.get_experiment_by_name("both")
    assert experiment is not None
    assert {each.name for each in client.search_experiments()} <= {"both", "Default"}
    runs = client.search_runs([experiment.experiment_id], max_results=1_000)
    names = {run.info.run_id: run.info.run_name or "" for run in runs}
    above: dict[str, set[str]] = {}
    for run in runs:
        above.setdefault(names.get(run.data.tags.get("mlflow.parentRunId", ""), ""), set()).add(
            names[run.info.run_id]
        )
    assert above[""] == {"both"}
    assert above["both"] == {"both-omad", "both-gaussian"}
    assert above.get("both-omad", set()) == below
    assert all(run.info.status == "FINISHED" for run in runs)
    own: Run = next(run for run in runs if run.info.run_name == "both")
    assert own.data.tags["omad.compared"] == document["sentence"]
    assert str(document["sentence"]) in own.data.tags["mlflow.note.content"]
    assert {"tuned/omad", "untuned/omad", "tuned/gaussian", "untuned/gaussian"} <= own.data.metrics.keys()
    files = {file.path for file in client.list_artifacts(own.info.run_id)}
    assert files == {"comparison.md", "comparison.json", "comparison.png", "report.html"}


REFUSED = [
    (["--algorithms", "omad"], "a comparison takes two at least, such as --algorithms omad,gaussian"),
    (["--algorithms", "omad,gausian"], "did you mean 'gaussian'"),
    (
        ["--algorithms", "omad,gaussian", "--seeds", "2"],
        "Invalid value for '--seeds': Input should be greater than or equal to 3",
    ),
    (
        ["--algorithms", "omad,gaussian", "--trials", "0"],
        "Invalid value for '--trials': Input should be greater than or equal to 1",
    ),
    (["--algorithms", "omad,gaussian", "--set", "algorithm=omad"], "--algorithms says what is compared"),
    (["--algorithms", "omad,gaussian", "--set", "gama=1"], "did you mean 'gamma'"),
    (["--algorithms", "omad,gaussian", "--name", "x-confirm"], "is no name for a comparison"),
    (["--algorithms", "omad,gaussian", "--name", "x" * 90], "is no name for a comparison"),
    (["--algorithms", "omad,gaussian", "--page", "x.html"], "name a Markdown file"),
    (["--algorithms", "omad,gaussian", "--page", "/dev/null/x.md"], "nothing can be written there"),
    (["--algorithms", "omad,gaussian", "--task", "hoper"], "did you mean 'hopper'"),
]


@pytest.mark.parametrize(("words", "complaint"), REFUSED, ids=lambda value: " ".join(value)[:40])
def test_what_cannot_be_compared_is_refused_before_anything_is_made(
    run: Typed, tmp_path: Path, words: list[str], complaint: str
) -> None:
    assert complaint in run("compare", *words, "--workers", "0", code=2)
    assert not list(tmp_path.iterdir())


def test_what_differs_from_what_it_was_begun_with_is_refused(run: Typed, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('task = "simple_spread_n3"\nname = "both"\n')
    begun = [
        "compare",
        "--algorithms",
        "omad,gaussian",
        "--task",
        "mine.toml",
        "--profile",
        "smoke",
        "--workers",
        "0",
    ]
    said = run(*begun)
    assert "studies both-compare-omad, both-compare-gaussian" in said
    assert "  omad-search worker both-compare\n" in said
    assert "extended" not in run(*begun)
    for words, complaint in [
        (["--trials", "1"], "--trials 1 (the study has 2)"),
        (["--env-steps", "999"], "env_steps 999 (the study has 300)"),
        (["--study-seed", "3"], "--seed 3 (the study has 0)"),
        (["--set", "gamma=0.9"], "gamma = 0.9 (the study searches it)"),
    ]:
        text = run(*begun, *words, code=2)
        assert complaint in text
        assert "or begin another one with --name" in text
    (tmp_path / "mine.toml").write_text('task = "simple_spread_n3"\nname = "both"\n[train]\ngamma = 0.98\n')
    assert "than mine.toml has now" in run(*begun, code=2)


WORLDS = [
    ('[for.hasac]\nenv.agent_obsk = "none"', "env.agent_obsk none (with omad 1)"),
    ("[for.hasac]\nenv.args = { healthy_reward = 5.0 }", "env.args {'healthy_reward': 5.0} (with omad {})"),
    ("[for.hasac]\nevaluation.deterministic = true", "evaluation.deterministic True (with omad False)"),
    (
        "[for.omad]\nenv_steps = 200\nrandom_steps = 50",
        "env_steps 300 (with omad 200); random_steps 100 (with omad 50)",
    ),
    (
        "[space]\nrandom_steps = { low = 50, high = 90, when = { algorithm = 'hasac' } }",
        "[space] random_steps 50 to 90 (with omad none)",
    ),
]


@pytest.mark.parametrize(("said", "complaint"), WORLDS)
def test_algorithms_in_different_worlds_are_not_compared(
    run: Typed, tmp_path: Path, said: str, complaint: str
) -> None:
    (tmp_path / "mine.toml").write_text(f'task = "hopper"\nname = "both"\n{said}\n')
    words = ["--algorithms", "omad,hasac", "--task", "mine.toml", "--profile", "smoke", "--workers", "0"]
    text = run("compare", *words, code=2)
    assert f"hasac would be compared with {complaint}: " in text
    assert [each.name for each in tmp_path.iterdir()] == ["mine.toml"]


def test_one_that_is_recorded_elsewhere_is_refused_and_nothing_is_made_there(
    run: Typed, tmp_path: Path
) -> None:
    both = ["compare", "--algorithms", "omad,gaussian", "--profile", "smoke", "--workers", "0"]
    assert "is created" in run(*both)
    assert "is created" not in run(*both)
    there = f"sqlite:///{tmp_path}/other.db"
    assert "give the address of the former with --tracking" in run(*both, "--tracking", there, code=2)
    assert [each.name for each in MlflowClient(there).search_experiments()] == ["Default"]


def test_a_name_that_a_study_has_is_refused(run: Typed) -> None:
    run("run", "--task", "hopper", "--study", "taken", "--profile", "smoke", "--workers", "0")
    run("run", "--task", "hopper", "--study", "other-gaussian", "--profile", "smoke", "--workers", "0")
    both = ["compare", "--algorithms", "omad,gaussian", "--profile", "smoke", "--workers", "0"]
    for name, study in (("taken", "taken"), ("other", "other-gaussian")):
        said = run(*both, "--name", name, code=2)
        assert f"has a study '{study}' that is not part of a comparison '{name}'" in said
        assert "give the comparison another name with --name" in said


def test_all_studies_get_as_many_trials_as_the_one_with_the_most(run: Typed, tmp_path: Path) -> None:
    both = ["compare", "--algorithms", "omad,gaussian", "--profile", "smoke", "--workers", "0"]
    run(*both)
    run("extend", "hopper-compare-omad", "--trials", "+3")
    run(*both)
    with open_storage(f"sqlite:///{tmp_path}/omad.db") as store:
        names = ("hopper-compare-omad", "hopper-compare-gaussian")
        totals = [budget.counts(store, open_study(store, name).study_id).total for name in names]
    assert totals == [5, 5]
