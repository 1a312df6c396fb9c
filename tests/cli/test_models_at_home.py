"""A published model through the command line: found, measured, filmed, exported; and refused where it was altered."""

import json
import pickle
import shutil
import socket
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

from cli.main import main
from omad_core.checkpoint.files import digest, to_json
from omad_core.policy import Policy
from omad_core.population import Population
from search.checkpoints.workdir import Workdir
from search.recording.publication import Result, publish
from search.recording.slot_run import SlotRun
from search.slots import outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import StudyHandle, create_study, list_studies, optuna_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.study.samplers import build_sampler
from search.study.study_spec import StudySpec
from search.worker.context import WorkerContext, WorkerLocation
from tracking.mlflow.tracker import MlflowTracker
from tracking.spool.spool import Spool
from tracking.tracker import ModelFiles, RunInfo

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
CHAMPION = "models:/omad-hopper@champion"
REASONS = {"pruned": "pruned at step 300", "diverged": "NaN in the critic of seed 0"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Path:
    """A folder as `run` leaves it: trial 0 is complete and published, the others ended otherwise."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copy(empty_mlflow, folder)
    spec = catalog.build(
        catalog.find("hopper"),
        StudyRequest(profile="smoke", numbers={"trials": 4}, confirm=False),
        has_gpu=False,
    )
    tracker = MlflowTracker(f"sqlite:///{folder}/mlflow.db")
    with open_storage(f"sqlite:///{folder}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", 4, spec.to_json(), [spec.defaults()])
        for outcome, value in (("complete", 41.0), ("pruned", 3.0), ("diverged", 2.0), ("failed", None)):
            _end(store, handle, spec, tracker, folder, outcome, value)
    return folder


def _end(
    store: Store,
    handle: StudyHandle,
    spec: StudySpec,
    tracker: MlflowTracker,
    folder: Path,
    outcome: Any,
    value: float | None,
) -> None:
    """One trial from its claim to its publication, with a policy that learned nothing."""
    lease = claim(store, handle.study_id, Claimant("laptop:1", 60.0))
    assert lease is not None
    study = optuna_study(store, handle, build_sampler(spec.sampler, 0, lease.number, spec.space.paths))
    lease, trial = trial_binding.bind(store, study, lease)
    config = spec.configs(trial)[0]
    if outcome == "complete":
        population = Population(config, 1, "cpu")
        member = population.admit(config)
        population.advance()
        population.policy(member).save(folder / f"policy-{trial.number}")
        population.close()
    if outcome == "failed":
        failed = outcomes.fail(store, study, lease, "the machine is on fire", max_attempts=1)
        assert failed is not None
        lease = failed
    else:
        lease = outcomes.finish(store, study, lease, outcome, value, REASONS.get(outcome))
    context = WorkerContext(store, handle, tracker, WorkerLocation(Workdir(folder)), 5.0)
    spool = Spool(folder / f"spool-{trial.number}")
    model = folder / f"policy-{trial.number}" if outcome == "complete" else None
    info = RunInfo(f"trial {trial.number}", "hopper", handle.uid, lease.number)
    run = SlotRun(context, context.lease_keeper.hold(lease), context.parent, info, spool)
    result = Result(spec, trial.number, trial.params, model, 700, spool)
    publish(context, lease, run, result, folder / "checkpoints")
    context.close()


Run = Callable[..., str]


@pytest.fixture
def working_folder(home: Path) -> Path:
    return home


@pytest.fixture
def policy(home: Path, tmp_path: Path) -> Path:
    """A copy of the policy folder, to be altered."""
    return Path(shutil.copytree(home / "policy-0", tmp_path / "policy"))


def test_the_runs_show_how_each_trial_ended_and_why(home: Path) -> None:
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    experiment = client.get_experiment_by_name("hopper")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`omad.role` = 'trial'")
    seen = {run.data.tags["omad.outcome"]: run for run in runs}
    assert {outcome: run.info.status for outcome, run in seen.items()} == {
        "complete": "FINISHED",
        "pruned": "KILLED",
        "diverged": "KILLED",
        "failed": "FAILED",
    }
    for outcome, reason in {**REASONS, "failed": "the machine is on fire"}.items():
        assert reason in seen[outcome].data.tags["omad.reason"]
        assert reason in seen[outcome].data.tags["mlflow.note.content"]
    query = "tags.`omad.outcome` = 'pruned'"
    (found,) = client.search_runs([experiment.experiment_id], query)
    assert found.info.run_id == seen["pruned"].info.run_id


def test_best_names_the_model(run: Run) -> None:
    found = json.loads(run("best", "--json"))
    assert found["best"]["number"] == 0
    assert found["best"]["model_uri"].startswith("models:/m-")
    assert f"omad-search evaluate {found['best']['model_uri']}" in run("best")


@pytest.fixture
def nowhere() -> str:
    """The address of a tracking server that is not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_every_command_that_looks_knows_the_model_without_a_tracking_server(
    run: Run, home: Path, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    experiment = client.get_experiment_by_name("hopper")
    assert experiment is not None
    (stored,) = client.search_logged_models([experiment.experiment_id])
    address = f"models:/{stored.model_id}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nowhere)
    for listed in (json.loads(run("trials", "--json")), json.loads(run("status", "--json"))["trials"]):
        assert [trial["model_uri"] for trial in listed] == [address, None, None, None]
    assert json.loads(run("best", "--json"))["best"]["model_uri"] == address


def test_best_of_a_model_that_is_not_published_yet_asks_the_server_and_does_not_need_it(
    run: Run,
    home: Path,
    nowhere: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = json.loads(run("best", "--json"))["best"]["model_uri"]
    monkeypatch.chdir(tmp_path)
    shutil.copy(home / "omad.db", tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    with open_storage(f"sqlite:///{tmp_path}/omad.db") as store, store.write() as connection:
        connection.exec_driver_sql("UPDATE omad_slot SET progress = '{}' WHERE number = 0")
    assert json.loads(run("trials", "--json"))[0]["model_uri"] is None
    assert json.loads(run("best", "--json"))["best"]["model_uri"] == known
    with pytest.raises(SystemExit) as left:
        main(["best", "--json", "--tracking", nowhere])
    said = capsys.readouterr()
    assert left.value.code == 0
    assert json.loads(said.out)["best"]["model_uri"] is None
    assert "the model of trial 0 cannot be looked up: The tracking server" in said.err


def test_the_champion_and_its_local_folder_are_measured_alike(run: Run, home: Path) -> None:
    files = next((home / "mlruns").rglob("MLmodel")).parent
    words = ("--episodes", "6", "--seed", "3", "--json")
    champion, folder, bare = (
        json.loads(run("evaluate", model, *words)) for model in (CHAMPION, str(files), str(home / "policy-0"))
    )
    summary = champion["summary"]
    assert summary["count"] == len(champion["returns"]) == 6
    assert summary["mean"] == pytest.approx(np.mean(champion["returns"]))
    assert summary["iqm"] == pytest.approx(np.sort(champion["returns"])[1:-1].mean())
    assert summary["low"] <= summary["mean"] <= summary["high"]
    assert folder["returns"] == bare["returns"] == champion["returns"]
    text = run("evaluate", CHAMPION, "--episodes", "2")
    for name in ("mean return", "95 % interval", "interquartile mean"):
        assert name in text


def test_a_video_comes_beside_the_numbers(run: Run, home: Path, tmp_path: Path) -> None:
    render_video = tmp_path / "hopper.gif"
    said = run("evaluate", CHAMPION, "--episodes", "1", "--video", str(render_video), "--json")
    assert json.loads(said)["video"] == str(render_video)
    with Image.open(render_video) as moving:
        assert moving.n_frames > 1


def test_a_video_that_cannot_be_written_is_told_before_anything_is_played(run: Run, tmp_path: Path) -> None:
    said = run("evaluate", CHAMPION, "--video", str(tmp_path / "hopper.avi"), code=1)
    assert "neither a .gif nor a .mp4" in said
    _assert_sentence(said)


def test_export_writes_files_that_act_alone(run: Run, tmp_path: Path, home: Path) -> None:
    printed = run("export", "hopper", "--trial", "0", "--to", str(tmp_path / "out")).splitlines()
    names = ["about.json", "policy.json", "policy.safetensors", "policy.torchscript"]
    assert [Path(line).name for line in printed] == names
    policy = Policy.load(home / "policy-0")
    obs = np.random.default_rng(0).normal(size=(4, sum(policy.spec.obs_dims))).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that it has a successor
        script = torch.jit.load(str(tmp_path / "out" / "policy.torchscript"))
    expected = policy.act_joint(obs, deterministic=True)
    np.testing.assert_allclose(script(torch.from_numpy(obs)).numpy(), expected, atol=1e-5)
    assert "mean return" in run("evaluate", str(tmp_path / "out"), "--episodes", "1")
    assert "trial 1 is pruned and has no model" in run(
        "export", "hopper", "--trial", "1", "--to", str(tmp_path / "other"), code=2
    )


def _assert_sentence(said: str) -> None:
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert "unexpected" not in said
    assert said.count("\n") == 1, said


def _reseal(folder: Path, **changes: Any) -> None:
    """Change a policy's document as somebody would who knows how it is made."""
    document = json.loads((folder / "policy.json").read_text()) | changes
    document.pop("seal")
    (folder / "policy.json").write_bytes(to_json({**document, "seal": digest(to_json(document))}))


def _change_a_byte(folder: Path) -> None:
    file = folder / "policy.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def _change_a_setting(folder: Path) -> None:
    file = folder / "policy.json"
    document = json.loads(file.read_text())
    document["spec"]["action_high"][0][0] *= 2
    file.write_text(json.dumps(document))


def _put_a_pickle(folder: Path) -> None:
    content = pickle.dumps({"weights": [1.0]})
    (folder / "policy.safetensors").write_bytes(content)
    _reseal(folder, digest=digest(content))


def _widen(folder: Path) -> None:
    spec = json.loads((folder / "policy.json").read_text())["spec"]
    _reseal(folder, spec={**spec, "obs_dims": [width + 1 for width in spec["obs_dims"]]})


def _cut(folder: Path) -> None:
    file = folder / "policy.json"
    file.write_bytes(file.read_bytes()[:-20])


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a missing file": (lambda folder: (folder / "policy.safetensors").unlink(), "cannot read"),
    "changed bytes": (_change_a_byte, "was truncated or altered"),
    "changed settings": (_change_a_setting, "was altered: its seal"),
    "a cut document": (_cut, "is not JSON"),
    "no document": (lambda folder: (folder / "policy.json").write_bytes(b"\x80\x04\xff"), "is not JSON"),
    "another format": (lambda folder: _reseal(folder, format=99), "has format 99, this release reads format"),
    "another kind": (lambda folder: _reseal(folder, kind="zoo"), "is not an omad-policy"),
    "a pickle": (_put_a_pickle, "is not a safetensors file"),
    "other shapes": (_widen, "holds no policy for hopper: of"),
    "another task": (
        lambda folder: _reseal(
            folder, spec={**json.loads((folder / "policy.json").read_text())["spec"], "name": "chess"}
        ),
        "chess",
    ),
}


@pytest.mark.parametrize("way", TAMPERED)
def test_a_tampered_folder_is_refused_with_a_sentence(run: Run, policy: Path, way: str) -> None:
    tamper, match = TAMPERED[way]
    tamper(policy)
    said = run("evaluate", str(policy), "--episodes", "1", code=2 if way == "another task" else 1)
    assert match in said
    _assert_sentence(said)


def test_a_tampered_published_model_is_refused_with_a_sentence(run: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    weights = next((home / "mlruns").rglob("policy.safetensors"))
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        for words in (("evaluate", CHAMPION), ("export", "hopper", "--to", str(tmp_path / "out"))):
            said = run(*words, code=1)
            assert "was truncated or altered" in said
            _assert_sentence(said)
        weights.unlink()
        said = run("evaluate", CHAMPION, code=1)
        assert "cannot read" in said
        _assert_sentence(said)
    finally:
        weights.write_bytes(kept)


@pytest.fixture
def foreign(home: Path, tmp_path: Path) -> str:
    """The address of a model that somebody else registered there."""
    tracker = MlflowTracker(f"sqlite:///{home}/mlflow.db")
    code, files = tmp_path / "code.py", tmp_path / "files"
    code.write_text(
        "import numpy as np\nfrom mlflow.models import set_model\nfrom mlflow.pyfunc import PythonModel\n"
        "class Other(PythonModel):\n    def predict(self, context, model_input: np.ndarray, params=None):\n"
        "        return model_input\nset_model(Other())\n"
    )
    files.mkdir()
    (files / "model.pkl").write_bytes(pickle.dumps({"weights": [1.0]}))
    example = np.ones((2, 3), np.float32)
    run = tracker.open_run(RunInfo("other", "other study", slot=0))
    uri = tracker.publish_model(run, "other", ModelFiles(files, code, [], ["numpy"], example, example))
    return tracker.register_champion(uri, "other", "# Somebody else's")


def test_a_tracking_server_that_is_down_refuses_a_study_before_it_is_made(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://ann:hunter2@127.0.0.1:{probe.getsockname()[1]}"
    began = time.monotonic()
    said = run("run", "--task", "hopper", "--profile", "smoke", "--tracking", address, code=1)
    assert time.monotonic() - began < 1
    assert "nothing listens there; start the server, or correct the address." in said
    assert "hunter2" not in said
    sentence = next(line for line in said.splitlines() if line.startswith("error: "))
    assert sentence.startswith("error: The tracking server http://***@127.0.0.1:")
    assert "Traceback" not in said
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        assert list_studies(store) == []


def test_a_foreign_model_is_refused_with_a_sentence(run: Run, foreign: str, tmp_path: Path) -> None:
    said = run("evaluate", foreign, code=1)
    assert f"{foreign} holds no policy of omad-search" in said
    _assert_sentence(said)
    said = run("evaluate", str(tmp_path / "files"), code=2)
    assert "is neither a folder with a policy.json nor an address" in said
    _assert_sentence(said)
    said = run("evaluate", "models:/omad-nobody@champion", code=1)
    assert "There is no model models:/omad-nobody@champion" in said
    _assert_sentence(said)
