"""What every tracker promises, on MLflow as a database, MLflow as a server, and the null tracker."""

import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from tracking.errors import ArtifactMissing, RunDeleted, TrackingError, TrackingRefused
from tracking.mlflow.tracker import MlflowTracker
from tracking.row import Row
from tracking.tracker import RunInfo, RunStatus, Tracker


def trial(study: str, slot: int = 3, **more: object) -> RunInfo:
    return RunInfo(name=f"trial {slot}", study=study, slot=slot, **more)  # type: ignore[arg-type]


def stored(tracker: MlflowTracker, run_id: str) -> Run:
    return MlflowClient(tracker.address).get_run(run_id)


def points(tracker: MlflowTracker, run_id: str, name: str) -> list[tuple[int, int, float]]:
    history: list[Metric] = MlflowClient(tracker.address).get_metric_history(run_id, name)
    return sorted((point.step, point.timestamp, point.value) for point in history)


def document(tracker: MlflowTracker, run_id: str, artifact: str, folder: Path) -> Any:
    tracker.download(run_id, artifact, folder / "document.json")
    return json.loads((folder / "document.json").read_text())


def test_a_run_is_found_again_and_trials_are_told_apart(tracker: Tracker, study: str) -> None:
    tracker.check()
    parent = tracker.open_run(RunInfo(study, study))
    first, second = tracker.open_run(trial(study, 1)), tracker.open_run(trial(study, 2))
    assert len({parent, first, second}) == 3
    assert tracker.open_run(RunInfo(study, study)) == parent
    assert tracker.open_run(trial(study, 2)) == second


def test_a_store_knows_its_runs_deleted_ones_too_and_no_others(
    mlflow_tracker: MlflowTracker, study: str
) -> None:
    run_id = mlflow_tracker.open_run(trial(study))
    assert mlflow_tracker.has_run(run_id)
    mlflow_tracker.discard_run(run_id)
    assert mlflow_tracker.has_run(run_id)
    assert not mlflow_tracker.has_run("0" * 32)


def test_every_call_can_be_repeated(tracker: Tracker, study: str, tmp_path: Path) -> None:
    file = tmp_path / "curve.png"
    file.write_bytes(b"picture")
    run_id = tracker.open_run(trial(study))
    for _ in range(2):
        tracker.complete_run(run_id, trial(study, params={"a": 1}, documents={"config.json": {}}))
        tracker.log_rows(run_id, [Row(1, 2, {"train/alpha": 3.0})])
        tracker.set_tags(run_id, {"omad.device": "cpu"})
        tracker.upload(run_id, {"pictures/curve.png": file})
        tracker.delete(run_id, "pictures/curve.png")
        tracker.end_run(run_id, "finished")
        tracker.resume_run(run_id)


def test_a_missing_artifact_is_told_by_its_own_error(tracker: Tracker, study: str, tmp_path: Path) -> None:
    run_id = tracker.open_run(trial(study))
    for artifact in ("checkpoints/none.bin", "none.bin"):
        with pytest.raises(ArtifactMissing, match=r"none\.bin"):
            tracker.download(run_id, artifact, tmp_path / "target")
    assert not (tmp_path / "target").exists()
    tracker.delete(run_id, "checkpoints")


def test_trials_nest_below_their_study_in_an_experiment_of_its_name(
    mlflow_tracker: MlflowTracker, study: str
) -> None:
    parent = mlflow_tracker.open_run(RunInfo("hopper", study))
    child = mlflow_tracker.open_run(trial(study, 17, parent_run_id=parent))
    run = stored(mlflow_tracker, child)
    experiment = MlflowClient(mlflow_tracker.address).get_experiment(run.info.experiment_id)
    assert experiment.name == study
    assert (run.info.run_name, run.info.status) == ("trial 17", "RUNNING")
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert (run.data.tags["omad.study"], run.data.tags["omad.slot"]) == (study, "17")


def test_a_new_study_under_an_old_name_gets_runs_of_its_own(
    mlflow_tracker: MlflowTracker, study: str
) -> None:
    old = mlflow_tracker.open_run(trial(study, study_id="one"))
    new = mlflow_tracker.open_run(trial(study, study_id="two"))
    assert new != old
    assert mlflow_tracker.open_run(trial(study, study_id="one")) == old


def test_a_study_that_another_worker_is_just_opening_gets_one_run(
    mlflow_tracker: MlflowTracker, study: str
) -> None:
    client = MlflowClient(mlflow_tracker.address)
    experiment = client.create_experiment(study)  # what the other one does first
    with ThreadPoolExecutor(1) as pool:
        mine = pool.submit(mlflow_tracker.open_run, RunInfo("study", study))
        time.sleep(0.3)
        tags = {"omad.study": study, "omad.role": "study"}
        theirs = client.create_run(
            experiment, tags=tags, start_time=2**42
        )  # begun after mine, there before it
        assert mine.result() == theirs.info.run_id
    assert len(client.search_runs([experiment])) == 1


def test_a_study_name_with_quotes_is_found_again(mlflow_tracker: MlflowTracker, study: str) -> None:
    name = f"{study} 'it' \"is\" `so` / 100 % ∂"
    run_id = mlflow_tracker.open_run(trial(name))
    assert mlflow_tracker.open_run(trial(name)) == run_id


def test_parameters_already_there_are_left_and_missing_ones_added(
    mlflow_tracker: MlflowTracker, study: str
) -> None:
    run_id = mlflow_tracker.open_run(trial(study, params={"lr": 0.001, "k": 8}))
    mlflow_tracker.complete_run(run_id, trial(study, params={"lr": 0.002, "mode": "auto"}))
    assert stored(mlflow_tracker, run_id).data.params == {"lr": "0.001", "k": "8", "mode": "auto"}


def test_300_parameters_are_kept(mlflow_tracker: MlflowTracker, study: str) -> None:
    params = {f"param {number}": number for number in range(300)}
    run_id = mlflow_tracker.open_run(trial(study, params=params))
    assert stored(mlflow_tracker, run_id).data.params == {name: str(n) for name, n in params.items()}


ODD = {
    "long": "x" * 10_000,
    "wide": "\N{SNOWMAN}" * 10_000,
    "odd {name} = <1>; 'a' \"b\"": "1",
    "": "no name",
    "../up": "2",
    "/root//twice/": "3",
    "n" * 400: "4",
    "null": "a\0b",
    "half": "a\ud800b",
}


@pytest.mark.parametrize("kind", ["params", "tags"])
def test_what_mlflow_cannot_take_is_kept_beside(
    mlflow_tracker: MlflowTracker, study: str, tmp_path: Path, kind: str
) -> None:
    run_id = mlflow_tracker.open_run(trial(study, **{kind: {**ODD, "plain": "0.1"}}))
    data = stored(mlflow_tracker, run_id).data
    written = data.params if kind == "params" else data.tags
    assert written["plain"] == "0.1"
    listed = MlflowClient(mlflow_tracker.address).list_artifacts(run_id, f"originals/{kind}")
    kept = [document(mlflow_tracker, run_id, file.path, tmp_path) for file in listed]
    assert {original["name"]: original["value"] for original in kept} == ODD
    assert all(original["stored_as"] in written for original in kept)


def test_many_long_parameters_fit_mlflows_requests(mlflow_tracker: MlflowTracker, study: str) -> None:
    params = {f"p{number}": "\N{SNOWMAN}" * 5_000 for number in range(60)}
    run_id = mlflow_tracker.open_run(trial(study, params=params))
    assert stored(mlflow_tracker, run_id).data.params == params


def test_documents_are_json_artifacts_written_once(
    mlflow_tracker: MlflowTracker, study: str, tmp_path: Path
) -> None:
    run_id = mlflow_tracker.open_run(trial(study, documents={"config.json": {"gamma": 0.99}}))
    later = {"config.json": {"gamma": 0.5}, "about/provenance.json": {"host": "here"}}
    mlflow_tracker.complete_run(run_id, trial(study, documents=later))
    assert document(mlflow_tracker, run_id, "config.json", tmp_path) == {"gamma": 0.99}
    assert document(mlflow_tracker, run_id, "about/provenance.json", tmp_path) == {"host": "here"}


def test_points_sent_again_are_there_once(mlflow_tracker: MlflowTracker, study: str) -> None:
    run_id = mlflow_tracker.open_run(trial(study))
    rows = [Row(step, 1_700_000_000_000 + step, {"eval/return_mean": step / 3}) for step in range(1_100)]
    mlflow_tracker.log_rows(run_id, rows)
    mlflow_tracker.log_rows(run_id, rows[-150:])
    assert points(mlflow_tracker, run_id, "eval/return_mean") == [
        (row.step, row.time_ms, row.metrics["eval/return_mean"]) for row in rows
    ]


def test_points_that_several_send_at_the_same_time_are_there_once(
    mlflow_tracker: MlflowTracker, study: str
) -> None:
    run_id = mlflow_tracker.open_run(trial(study))
    rows = [Row(step, 1_700_000_000_000 + step, {"train/alpha": step / 3}) for step in range(400)]

    def send(size: int) -> None:
        """In pieces of another size than the others', so that they overlap in every way."""
        tracker = MlflowTracker(mlflow_tracker.address)
        for begin in range(0, len(rows), size):
            tracker.log_rows(run_id, rows[begin : begin + size])

    with ThreadPoolExecutor(4) as senders:
        for sent in [senders.submit(send, size) for size in (100, 70, 40, 30)]:
            sent.result()
    assert points(mlflow_tracker, run_id, "train/alpha") == [
        (row.step, row.time_ms, row.metrics["train/alpha"]) for row in rows
    ]


def test_nan_and_infinity_are_kept_once(mlflow_tracker: MlflowTracker, study: str) -> None:
    run_id = mlflow_tracker.open_run(trial(study))
    row = Row(5, 6, {"train/nan": math.nan, "train/inf": math.inf, "train/minus": -math.inf})
    mlflow_tracker.log_rows(run_id, [row])
    mlflow_tracker.log_rows(run_id, [row])
    ((_, _, nan),) = points(mlflow_tracker, run_id, "train/nan")
    ((_, _, large),) = points(mlflow_tracker, run_id, "train/inf")
    ((_, _, small),) = points(mlflow_tracker, run_id, "train/minus")
    assert math.isnan(nan)
    assert large > 1e308
    assert small < -1e308


def test_a_metric_with_an_odd_name_is_kept_under_one_like_it(
    mlflow_tracker: MlflowTracker, study: str, tmp_path: Path
) -> None:
    run_id = mlflow_tracker.open_run(trial(study))
    mlflow_tracker.log_rows(run_id, [Row(1, 2, {"odd [%]": 3.0})])
    (name,) = stored(mlflow_tracker, run_id).data.metrics
    assert points(mlflow_tracker, run_id, name) == [(1, 2, 3.0)]
    (beside,) = MlflowClient(mlflow_tracker.address).list_artifacts(run_id, "originals/metrics")
    content = document(mlflow_tracker, run_id, beside.path, tmp_path)
    assert content == {"stored_as": name, "name": "odd [%]"}


def test_artifacts_come_back_whole_under_the_name_they_were_given(
    mlflow_tracker: MlflowTracker, study: str, tmp_path: Path
) -> None:
    file, target = tmp_path / "local name.bin", tmp_path / "deep" / "target.bin"
    file.write_bytes(bytes(range(256)) * 4_000)
    run_id = mlflow_tracker.open_run(trial(study))
    mlflow_tracker.upload(run_id, {"checkpoints/12/weights.safetensors": file, "top.bin": file})
    for artifact in ("checkpoints/12/weights.safetensors", "top.bin"):
        mlflow_tracker.download(run_id, artifact, target)
        assert target.read_bytes() == file.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["target.bin"]


def test_deleting_a_folder_leaves_the_others(
    mlflow_tracker: MlflowTracker, study: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    run_id = mlflow_tracker.open_run(trial(study))
    mlflow_tracker.upload(run_id, {"checkpoints/1/a": file, "checkpoints/2/a": file})
    mlflow_tracker.delete(run_id, "checkpoints/1")
    mlflow_tracker.download(run_id, "checkpoints/2/a", tmp_path / "back")
    with pytest.raises(ArtifactMissing):
        mlflow_tracker.download(run_id, "checkpoints/1/a", tmp_path / "back")


def test_a_local_file_that_is_missing_is_named(
    mlflow_tracker: MlflowTracker, study: str, tmp_path: Path
) -> None:
    run_id = mlflow_tracker.open_run(trial(study))
    with pytest.raises(TrackingError, match=r"no file .*gone\.bin"):
        mlflow_tracker.upload(run_id, {"a": tmp_path / "gone.bin"})


@pytest.mark.parametrize(
    ("status", "shown"),
    [("finished", "FINISHED"), ("failed", "FAILED"), ("pruned", "KILLED"), ("killed", "KILLED")],
)
def test_a_run_ends_with_its_true_status_and_the_reason(
    mlflow_tracker: MlflowTracker, study: str, status: RunStatus, shown: str
) -> None:
    run_id = mlflow_tracker.open_run(trial(study))
    mlflow_tracker.end_run(run_id, status, "because")
    first = stored(mlflow_tracker, run_id)
    mlflow_tracker.end_run(run_id, status, "because")
    again = stored(mlflow_tracker, run_id)
    assert first.info.status == shown
    assert (first.data.tags["omad.outcome"], first.data.tags["omad.reason"]) == (status, "because")
    assert again.info.end_time == first.info.end_time


def test_a_resumed_run_is_shown_as_running_until_it_ends_again(
    mlflow_tracker: MlflowTracker, study: str
) -> None:
    run_id = mlflow_tracker.open_run(trial(study, 4))
    mlflow_tracker.end_run(run_id, "killed", "interrupted")
    assert mlflow_tracker.running_trials(study) == {}
    mlflow_tracker.resume_run(run_id)
    run = stored(mlflow_tracker, run_id)
    assert (run.info.status, run.data.tags["omad.outcome"]) == ("RUNNING", "running")
    assert mlflow_tracker.running_trials(study) == {run_id: 4}
    mlflow_tracker.end_run(run_id, "finished")
    assert stored(mlflow_tracker, run_id).info.status == "FINISHED"


def test_a_discarded_run_is_not_found_again(mlflow_tracker: MlflowTracker, study: str) -> None:
    run_id = mlflow_tracker.open_run(trial(study))
    mlflow_tracker.discard_run(run_id)
    mlflow_tracker.discard_run(run_id)
    assert mlflow_tracker.open_run(trial(study)) != run_id


def test_only_a_server_has_pages(mlflow_tracker: MlflowTracker, study: str) -> None:
    run_id = mlflow_tracker.open_run(trial(study))
    experiment = stored(mlflow_tracker, run_id).info.experiment_id
    if mlflow_tracker.address.startswith("http"):
        page = (
            f"{mlflow_tracker.address}/#/experiments/{experiment}/runs/{run_id}?workflowType=machine_learning"
        )
        assert mlflow_tracker.ui_address(run_id) == page
    else:
        assert mlflow_tracker.ui_address(run_id) is None


def test_a_deleted_experiment_is_refused_with_what_to_do(mlflow_tracker: MlflowTracker, study: str) -> None:
    run_id = mlflow_tracker.open_run(trial(study))
    MlflowClient(mlflow_tracker.address).delete_experiment(stored(mlflow_tracker, run_id).info.experiment_id)
    with pytest.raises(
        TrackingRefused, match=r"was deleted\. Restore it, with its runs: .*mlflow experiments restore -x \d+"
    ):
        mlflow_tracker.open_run(trial(study))


def test_what_a_server_will_never_accept_is_refused(mlflow_tracker: MlflowTracker, study: str) -> None:
    mlflow_tracker.open_run(trial(study))
    with pytest.raises(TrackingRefused, match=r"does not accept this: .*not found\.$"):
        mlflow_tracker.register_champion(f"models:/m-{'0' * 32}", "omad-a", None)


def test_a_run_that_is_not_there_is_told_from_a_refusal(mlflow_tracker: MlflowTracker, study: str) -> None:
    mlflow_tracker.open_run(trial(study))
    with pytest.raises(RunDeleted, match="nosuchrun"):
        mlflow_tracker.log_rows("nosuchrun", [Row(1, 2, {"a": 1.0})])


def test_the_process_has_no_active_run_and_no_new_tracking_address(
    mlflow_tracker: MlflowTracker, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere.else:1")
    run_id = mlflow_tracker.open_run(trial(study))
    mlflow_tracker.end_run(run_id, "finished")
    assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() == "http://somewhere.else:1"
