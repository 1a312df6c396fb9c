"""What a person deletes in MLflow is gone: writing to it says so, and the same study gets new ones."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tracking.errors import RunDeleted, TrackingRefused
from tracking.mlflow.tracker import MlflowTracker
from tracking.row import Row
from tracking.tracker import ModelFiles, RunInfo

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.mark.parametrize(
    "write",
    [
        lambda tracker, run, files: tracker.log_rows(run, [Row(1, 2, {"eval/return_mean": 3.0})]),
        lambda tracker, run, files: tracker.set_tags(run, {"omad.trial": "3"}),
        lambda tracker, run, files: tracker.resume_run(run),
        lambda tracker, run, files: tracker.complete_run(run, RunInfo("trial 0", "", slot=0)),
        lambda tracker, run, files: tracker.end_run(run, "finished"),
        lambda tracker, run, files: tracker.publish_model(run, "trial-0", files()),
    ],
    ids=["rows", "tags", "resume", "complete", "end", "model"],
)
@pytest.mark.parametrize("known", [True, False])
def test_writing_to_a_deleted_run_says_that_it_was_deleted(
    mlflow_tracker: MlflowTracker, study: str, model_files: Callable[..., ModelFiles], write, known: bool
) -> None:
    run_id = mlflow_tracker.open_run(RunInfo("trial 0", study, slot=0))
    MlflowClient(mlflow_tracker.address).delete_run(run_id)
    tracker = mlflow_tracker if known else MlflowTracker(mlflow_tracker.address)
    with pytest.raises(RunDeleted, match=f"{run_id} was deleted"):
        write(tracker, run_id, model_files)


def test_a_run_that_is_not_there_counts_as_deleted(mlflow_tracker: MlflowTracker, study: str) -> None:
    mlflow_tracker.open_run(RunInfo("trial 0", study, slot=0))
    with pytest.raises(RunDeleted):
        mlflow_tracker.set_tags("0" * 32, {"omad.trial": "3"})
    mlflow_tracker.discard_run("0" * 32)


def test_a_deleted_run_is_opened_anew(mlflow_tracker: MlflowTracker, study: str) -> None:
    info = RunInfo("trial 0", study, study_id="uid", slot=0)
    old = mlflow_tracker.open_run(info)
    MlflowClient(mlflow_tracker.address).delete_run(old)
    new = mlflow_tracker.open_run(info)
    assert new != old
    mlflow_tracker.set_tags(new, {"omad.trial": "3"})
    assert mlflow_tracker.has_run(old)


def test_trials_are_shown_below_the_new_run_of_a_study_whose_run_was_deleted(
    mlflow_tracker: MlflowTracker, study: str
) -> None:
    client, parent = MlflowClient(mlflow_tracker.address), RunInfo("parent", study, study_id="uid")
    old = mlflow_tracker.open_run(parent)
    child = RunInfo("trial 0", study, study_id="uid", slot=0, parent_run_id=old)
    other = RunInfo("trial 0", study, study_id="another", slot=0, parent_run_id="another's")
    children = [mlflow_tracker.open_run(info) for info in (child, other)]
    client.delete_run(old)
    new = mlflow_tracker.open_run(parent)
    assert new != old
    parents = [client.get_run(run_id).data.tags["mlflow.parentRunId"] for run_id in children]
    assert parents == [new, "another's"]


def test_a_deleted_experiment_is_restored_by_the_command_that_is_named(
    mlflow_tracker: MlflowTracker, study: str
) -> None:
    run_id = mlflow_tracker.open_run(RunInfo("trial 0", study, slot=0))
    client = MlflowClient(mlflow_tracker.address)
    client.delete_experiment(client.get_experiment_by_name(study).experiment_id)
    with pytest.raises(RunDeleted):
        mlflow_tracker.set_tags(run_id, {"omad.trial": "3"})
    for ask in (
        mlflow_tracker.check_study,
        lambda name: mlflow_tracker.open_run(RunInfo("trial 0", name, slot=0)),
    ):
        with pytest.raises(TrackingRefused, match=r"was deleted\. Restore it") as refused:
            ask(study)
    command = str(refused.value).partition("with its runs: ")[2].partition(". Or ")[0]
    assert "mlflow experiments restore -x" in command
    command = command.replace(" mlflow ", f" {sys.executable} -m mlflow ")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    mlflow_tracker.check_study(study)
    assert mlflow_tracker.open_run(RunInfo("trial 0", study, slot=0)) == run_id


def test_a_deleted_model_name_version_or_alias_is_made_again(
    mlflow_tracker: MlflowTracker, study: str, model_files: Callable[..., ModelFiles], tmp_path: Path
) -> None:
    client, name = MlflowClient(mlflow_tracker.address, registry_uri=mlflow_tracker.address), f"omad-{study}"
    run_id = mlflow_tracker.open_run(RunInfo("trial 0", study, slot=0))

    (model_files().folder / "policy.json").write_text("{}")

    def publish() -> str:
        uri = mlflow_tracker.publish_model(run_id, "trial-0", model_files())
        return mlflow_tracker.register_champion(uri, name, "card")

    champion = publish()
    for number, delete in enumerate(
        (
            lambda: client.delete_registered_model_alias(name, "champion"),
            lambda: client.delete_model_version(
                name, client.get_model_version_by_alias(name, "champion").version
            ),
            lambda: client.delete_registered_model(name),
            lambda: client.delete_logged_model(mlflow_tracker.model_of(run_id).removeprefix("models:/")),
        )
    ):
        delete()
        assert publish() == champion
        mlflow_tracker.download_model(champion, tmp_path / str(number))
    MlflowClient(mlflow_tracker.address).delete_registered_model(name)
    with pytest.raises(TrackingRefused, match="There is no model models:/"):
        mlflow_tracker.download_model(champion, tmp_path / "gone")
