"""Published models load where pickles are forbidden, rank by their metrics, and one of them is champion."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient

from tracking.errors import ArtifactMissing, TrackingError, TrackingRefused, TrackingUnavailable
from tracking.mlflow import models as mlflow_models
from tracking.mlflow.tracker import MlflowTracker
from tracking.row import Row
from tracking.sender import Sender
from tracking.tracker import ModelFiles, RunInfo

Maker = Callable[..., ModelFiles]


def open_trial(tracker: MlflowTracker, study: str, slot: int = 0) -> str:
    return tracker.open_run(RunInfo(f"trial {slot}", study, slot=slot, params={"lr": 0.001}))


@pytest.fixture
def load(mlflow_tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Loads a model as a user does, with pickles forbidden."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_tracker.address)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    return lambda uri: mlflow.pyfunc.load_model(uri)


def test_a_published_model_answers_and_holds_its_own_code(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker, load: Callable[[str], Any]
) -> None:
    uri = mlflow_tracker.publish_model(open_trial(mlflow_tracker, study), "policy", model_files())
    model = load(uri)
    batch = np.full((5, 3, 4), 1.5, dtype=np.float32)
    np.testing.assert_array_equal(model.predict(batch), 2 * batch)
    (given,) = model.metadata.signature.inputs
    assert (given.type, given.shape) == (np.dtype("float32"), (-1, 3, 4))
    np.testing.assert_array_equal(np.asarray(model.input_example), np.ones((2, 3, 4)))


def test_parameters_of_predict_reach_the_model(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker, load: Callable[[str], Any]
) -> None:
    files = model_files(predict_params={"more": 1.0})
    model = load(mlflow_tracker.publish_model(open_trial(mlflow_tracker, study), "policy", files))
    one = np.ones((1, 3, 4), dtype=np.float32)
    np.testing.assert_array_equal(model.predict(one), 2 * one)
    np.testing.assert_array_equal(model.predict(one, params={"more": 5.0}), 10 * one)


def test_the_model_names_exactly_the_requirements_it_was_given(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker, tmp_path: Path
) -> None:
    files = model_files(requirements=["mlflow==3.17.2", "numpy"], metadata={"task": "hopper"})
    uri = mlflow_tracker.publish_model(open_trial(mlflow_tracker, study), "policy", files)
    client = MlflowClient(mlflow_tracker.address)
    model = client.get_logged_model(uri.removeprefix("models:/"))
    folder = mlflow.artifacts.download_artifacts(
        model.artifact_location, dst_path=str(tmp_path), tracking_uri=mlflow_tracker.address
    )
    assert (Path(folder) / "requirements.txt").read_text().split() == ["mlflow==3.17.2", "numpy"]
    assert not list(Path(folder).rglob("*.pkl"))
    description = yaml.safe_load((Path(folder) / "MLmodel").read_text())
    assert description["metadata"] == {"task": "hopper"}
    assert description["run_id"] == model.source_run_id


def test_publishing_again_finds_the_model(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker
) -> None:
    run_id = open_trial(mlflow_tracker, study)
    uri = mlflow_tracker.publish_model(run_id, "policy", model_files())
    client = MlflowClient(mlflow_tracker.address)
    before = client.get_logged_model(uri.removeprefix("models:/"))
    assert mlflow_tracker.publish_model(run_id, "policy", model_files()) == uri
    assert client.get_logged_model(before.model_id).last_updated_timestamp == before.last_updated_timestamp
    run = client.get_run(run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [uri.removeprefix("models:/")]
    assert len(client.search_logged_models([run.info.experiment_id])) == 1


def test_a_model_whose_publisher_died_is_finished_by_the_next(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = open_trial(mlflow_tracker, study)
    files = model_files(metrics={"eval/score": 7.0}, step=100)

    def die(*_: object, **__: object) -> None:
        raise TrackingUnavailable("The server went away.")

    with monkeypatch.context() as outage:
        outage.setattr(MlflowClient, "finalize_logged_model", die)
        with pytest.raises(TrackingUnavailable):
            mlflow_tracker.publish_model(run_id, "policy", files)
    uri = mlflow_tracker.publish_model(run_id, "policy", files)
    client = MlflowClient(mlflow_tracker.address)
    run = client.get_run(run_id)
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert (uri, str(model.status)) == (f"models:/{model.model_id}", "READY")
    assert len(client.get_metric_history(run_id, "eval/score")) == 1
    assert len(run.outputs.model_outputs) == 1


def test_models_rank_by_their_return_and_the_curve_gets_no_second_point(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker
) -> None:
    uris = []
    for slot, value in enumerate((150.0, 310.0)):
        run_id = open_trial(mlflow_tracker, study, slot)
        mlflow_tracker.log_rows(run_id, [Row(4_000, 1_700_000_000_000, {"eval/return_mean": value})])
        metrics = {"eval/return_mean": value, "eval/score": value - 1}
        files = model_files(metrics=metrics, step=4_000)
        uris.append(mlflow_tracker.publish_model(run_id, "policy", files))
    client = MlflowClient(mlflow_tracker.address)
    ranked = client.search_logged_models(
        [client.get_run(run_id).info.experiment_id],
        filter_string="metrics.`eval/return_mean` > 100",
        order_by=[{"field_name": "metrics.eval/return_mean", "ascending": False}],
    )
    assert [f"models:/{model.model_id}" for model in ranked] == uris[::-1]
    assert ranked[0].params == {"lr": "0.001"}
    assert ranked[0].tags["omad.slot"] == "1"
    (point,) = client.get_metric_history(run_id, "eval/return_mean")
    assert (point.step, point.timestamp, point.value) == (4_000, 1_700_000_000_000, 310.0)
    assert [point.value for point in client.get_metric_history(run_id, "eval/score")] == [309.0]


def test_publishing_leaves_status_and_other_runs_alone(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker
) -> None:
    run_id = open_trial(mlflow_tracker, study)
    mlflow_tracker.end_run(run_id, "finished")
    client = MlflowClient(mlflow_tracker.address)
    before = client.get_run(run_id).info
    mlflow_tracker.publish_model(run_id, "policy", model_files())
    after = client.get_run(run_id).info
    assert (after.status, after.end_time) == ("FINISHED", before.end_time)
    assert len(client.search_runs([after.experiment_id])) == 1
    assert mlflow.active_run() is None


def test_a_model_does_not_say_for_ever_that_its_trial_is_running(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker
) -> None:
    run_id = open_trial(mlflow_tracker, study)
    client = MlflowClient(mlflow_tracker.address)
    assert client.get_run(run_id).data.tags["omad.outcome"] == "running"
    uri = mlflow_tracker.publish_model(run_id, "policy", model_files())
    mlflow_tracker.end_run(run_id, "finished")
    tags = client.get_logged_model(uri.removeprefix("models:/")).tags
    assert tags["omad.slot"] == client.get_run(run_id).data.tags["omad.slot"]
    assert not {"omad.outcome", "omad.reason"} & tags.keys()


def test_a_model_name_with_odd_characters_is_made_safe(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker
) -> None:
    run_id = open_trial(mlflow_tracker, study)
    uri = mlflow_tracker.publish_model(run_id, "policy 1.0 'best'/%", model_files())
    assert mlflow_tracker.publish_model(run_id, "policy 1.0 'best'/%", model_files()) == uri


def test_missing_files_of_a_model_are_named(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker, tmp_path: Path
) -> None:
    run_id = open_trial(mlflow_tracker, study)
    with pytest.raises(TrackingError, match=r"cannot be stored: .*gone does not exist"):
        mlflow_tracker.publish_model(run_id, "policy", model_files(folder=tmp_path / "gone"))


def test_the_champion_moves_to_a_better_model_and_the_old_one_stays_a_version(
    mlflow_tracker: MlflowTracker,
    study: str,
    model_files: Maker,
    tmp_path: Path,
    load: Callable[[str], Any],
) -> None:
    name = f"omad-{study}"
    better = tmp_path / "better"
    better.mkdir()
    (better / "factor.txt").write_text("3.0")
    publish = mlflow_tracker.publish_model
    good = publish(open_trial(mlflow_tracker, study, 1), "policy", model_files())
    best = publish(open_trial(mlflow_tracker, study, 2), "policy", model_files(folder=better))

    address = mlflow_tracker.register_champion(good, name, "# Returns 100")
    assert address == f"models:/{name}@champion"
    assert mlflow_tracker.register_champion(best, name, "# Returns 200") == address
    assert mlflow_tracker.register_champion(best, name, "# Returns 200") == address

    one = np.ones((1, 3, 4), dtype=np.float32)
    np.testing.assert_array_equal(load(address).predict(one), 3 * one)
    client = MlflowClient(mlflow_tracker.address)
    assert len(client.search_model_versions(f"name = '{name}'")) == 2
    champion = client.get_model_version_by_alias(name, "champion")
    assert champion.description == "# Returns 200"
    assert client.get_registered_model(name).description == "# Returns 200"
    page = client.get_logged_model(best.removeprefix("models:/")).tags
    assert page["mlflow.note.content"] == "# Returns 200"
    (shown,) = json.loads(page["mlflow.modelVersions"])
    assert (shown["name"], str(shown["version"])) == (name, str(champion.version))
    mlflow_tracker.register_champion(good, name, None)
    assert client.get_registered_model(name).description == "# Returns 100", "it keeps the card it has"
    np.testing.assert_array_equal(load(address).predict(one), 2 * one)


def test_a_champion_that_another_worker_crowns_at_the_same_moment_is_crowned_again(
    database_address: str, study: str, model_files: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "clash.db"
    shutil.copy(database_address.removeprefix("sqlite:///"), file)
    tracker, name = MlflowTracker(f"sqlite:///{file}"), f"omad-{study}"
    uri = tracker.publish_model(open_trial(tracker, study), "policy", model_files())
    database = sqlite3.connect(file)
    clash = "SELECT RAISE(ABORT, 'UNIQUE constraint failed: registered_model_aliases.name')"
    database.execute(f"CREATE TRIGGER clash BEFORE INSERT ON registered_model_aliases BEGIN {clash}; END")
    sender = Sender(first_pause=0.01, longest_pause=0.05)
    sender.submit("crown", lambda: tracker.register_champion(uri, name, "# Card"))
    assert not sender.drain(1.0)
    database.execute("DROP TRIGGER clash")
    database.close()
    assert sender.close(20)
    assert "Not recorded" not in caplog.text
    model = MlflowClient(tracker.address).get_model_version_by_alias(name, "champion")
    assert model.description == "# Card"


def test_a_long_model_card_is_whole_among_the_models_files(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker, tmp_path: Path
) -> None:
    card = "word " * 3_000
    uri = mlflow_tracker.publish_model(open_trial(mlflow_tracker, study), "policy", model_files())
    mlflow_tracker.register_champion(uri, f"omad-{study}", card)
    client = MlflowClient(mlflow_tracker.address)
    version = client.get_model_version_by_alias(f"omad-{study}", "champion")
    assert version.description == card[:5_000]
    listed = [file.path for file in client.list_logged_model_artifacts(uri.removeprefix("models:/"))]
    assert "model_card.md" in listed


def test_only_a_published_model_can_be_champion(mlflow_tracker: MlflowTracker, study: str) -> None:
    with pytest.raises(TrackingRefused, match="not the address of a published model"):
        mlflow_tracker.register_champion("models:/somebody/3", f"omad-{study}", "")


def test_the_code_finds_the_policy_under_its_documented_name() -> None:
    assert mlflow_models.POLICY_ARTIFACT == "policy"


def test_a_published_model_is_found_by_its_run_and_fetched_by_every_address(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker, tmp_path: Path
) -> None:
    run_id, name = open_trial(mlflow_tracker, study), f"omad-{study}"
    assert mlflow_tracker.model_of(run_id) is None
    files = model_files()
    (files.folder / "policy.json").write_text("{}")
    uri = mlflow_tracker.publish_model(run_id, "policy", files)
    champion = mlflow_tracker.register_champion(uri, name, "# Card")
    assert mlflow_tracker.model_of(run_id) == uri
    for address in (uri, champion, f"models:/{name}/1", f"models:/{name}"):
        policy = mlflow_tracker.download_model(address, tmp_path / address.replace("/", "_"))
        assert (policy / "factor.txt").read_text() == "2.0"


@pytest.mark.parametrize(
    ("address", "error", "match"),
    [
        ("models:/nobody@champion", TrackingRefused, "There is no model models:/nobody@champion"),
        ("models:/nobody", TrackingRefused, "There is no model models:/nobody in "),
        ("models:/m-0123", TrackingRefused, "There is no model"),
        ("somewhere", TrackingRefused, "no model's address"),
    ],
)
def test_a_model_that_is_not_there_is_told(
    mlflow_tracker: MlflowTracker, tmp_path: Path, address: str, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        mlflow_tracker.download_model(address, tmp_path / "model")


def test_a_model_of_another_kind_is_no_policy(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker, tmp_path: Path
) -> None:
    uri = mlflow_tracker.publish_model(open_trial(mlflow_tracker, study), "policy", model_files())
    with pytest.raises(ArtifactMissing, match="holds no policy"):
        mlflow_tracker.download_model(uri, tmp_path / "model")


def test_a_model_of_a_run_with_many_long_and_odd_parameters_and_tags_is_published(
    mlflow_tracker: MlflowTracker, study: str, model_files: Maker
) -> None:
    params = {f"param {number}": number for number in range(300)}
    params |= {"long": "x" * 10_000, "odd {name} = <1>": "\N{SNOWMAN}" * 10_000}
    tags = {"omad.note": "y" * 10_000}
    run_id = mlflow_tracker.open_run(RunInfo("trial 0", study, slot=0, params=params, tags=tags))
    uri = mlflow_tracker.publish_model(run_id, "policy", model_files())
    model = MlflowClient(mlflow_tracker.address).get_logged_model(uri.removeprefix("models:/"))
    assert model.params["param 299"] == "299"
    assert model.params["long"].startswith("x" * 1_000)
    assert len(model.params) == 302
