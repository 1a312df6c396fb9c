"""A published policy at home: all agents together, one alone, behind a server, and where nothing else is installed."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from omad_core.policy import Policy
from omad_core.results.statistics import Summary
from search.recording.bundle import find_needed, write_bundle
from search.recording.model_card import Facts, lone_request, model_card, request
from search.recording.publication import Result, model_files
from search.study import catalog
from search.study.request import StudyRequest
from tracking.mlflow.tracker import MlflowTracker
from tracking.spool.spool import Spool
from tracking.tracker import RunInfo

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SPEC = catalog.build(catalog.find("hopper"), StudyRequest(profile="smoke"), has_gpu=False)


@pytest.fixture(scope="module")
def policy(policy_folder: Callable[[str], Path]) -> Policy:
    return Policy.load(policy_folder("hopper"))


@pytest.fixture(scope="module")
def model_folder(
    policy: Policy, policy_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The files of a published model."""
    folder = tmp_path_factory.mktemp("published")
    tracker = MlflowTracker(f"sqlite:///{folder}/mlflow.db")
    policy.save(folder / "policy")
    result = Result(SPEC, 7, {"gamma": 0.97}, folder / "policy", 700, Spool(folder / "spool"))
    files = model_files(policy, result, {"score": 3.0}, write_bundle(folder / "code"))
    run = tracker.open_run(RunInfo("trial 7", "hopper", slot=0))
    tracker.publish_model(run, "trial-7", files)
    return next(folder.glob("mlruns/**/MLmodel")).parent


@pytest.fixture
def model(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    return mlflow.pyfunc.load_model(str(model_folder))


def test_an_agent_acts_alone_as_it_does_among_the_others(model: Any, policy: Policy) -> None:
    obs = np.random.default_rng(0).normal(size=(5, sum(policy.spec.obs_dims))).astype(np.float32)
    together = model.predict(obs, params={"deterministic": True})
    columns = np.split(obs, np.cumsum(policy.spec.obs_dims)[:-1], axis=1)
    for number, agent in enumerate(policy.spec.agents):
        alone = model.predict(columns[number], params={"agent": agent, "deterministic": True})
        np.testing.assert_allclose(alone, together[:, number : number + 1], atol=1e-6)
    seeded = {"agent": policy.spec.agents[0], "seed": 4}
    np.testing.assert_array_equal(
        model.predict(columns[0], params=seeded), model.predict(columns[0], params=seeded)
    )


def test_rows_of_another_width_and_unknown_agents_are_refused_in_a_sentence(model: Any) -> None:
    with pytest.raises(Exception, match=r"joint observations are \[n, 25\], got an array of shape \[2, 9\]"):
        model.predict(np.zeros((2, 9), np.float32))
    with pytest.raises(Exception, match="no agent 'agent_9' in hopper; its agents are agent_0"):
        model.predict(np.zeros((2, 9), np.float32), params={"agent": "agent_9"})


def test_a_bundle_carries_packages_whole_and_neither_environments_nor_the_engine(model_folder: Path) -> None:
    package = model_folder / "code" / "omad_core"
    carried = {file.relative_to(package) for file in package.rglob("*.py")}
    assert Path("policy.py") in carried
    for file in carried:
        assert {parent / "__init__.py" for parent in file.parents} <= carried
    folders, names = {file.parts[0] for file in carried}, {file.stem for file in carried}
    assert not folders & {"engine", "envs", "bench", "results"}
    assert not names & {"population", "training", "catalog", "learner", "replay"}


def test_every_form_of_import_brings_its_module(tmp_path: Path) -> None:
    files = {
        "policy.py": "import omad_core.nn.layers\nfrom omad_core.algorithm import critic, critics\nimport json\n",
        "algorithm/critic.py": "def f():\n    from omad_core import late\n",
        "algorithm/critics/__init__.py": "from omad_core.algorithm.critics.heads import Head as H\n",
        "algorithm/critics/heads.py": "class Head:\n    from omad_core_other import x\n",
        "nn/layers.py": "if TYPE_CHECKING:\n    from omad_core.engine import program\n",
        "late.py": "",
    }
    others = {"engine/program.py": "", "nn/adam.py": "", "algorithm/learner.py": ""}
    inits = {f"{folder}__init__.py": "" for folder in ("", "algorithm/", "nn/", "engine/")}
    for name, text in (files | others | inits).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    needed = {str(file.relative_to(tmp_path)) for file in find_needed(tmp_path)}
    assert needed == {*files, "__init__.py", "algorithm/__init__.py", "nn/__init__.py"}


ALONE = """
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder

OURS = ("omad_core", "search", "tracking", "cli", "studies")

class OnlyTheBundle(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] not in OURS:
            return None
        found = PathFinder.find_spec(name, [CODE] if path is None else path)
        if found is None:
            raise ModuleNotFoundError(f"{name} is not in the bundle", name=name)
        return found

sys.path += SITES
sys.meta_path.insert(0, OnlyTheBundle())
import mlflow.pyfunc, numpy
model = mlflow.pyfunc.load_model(MODEL)
ours = {name: module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] in OURS}
assert "omad_core.policy" in ours
assert all(file.startswith(MODEL) for file in ours.values()), ours
assert not {"gymnasium", "mujoco", "optuna", "pettingzoo"} & set(sys.modules)
obs = numpy.zeros((1, 25), numpy.float32)
sys.stdout.write(str(model.predict(obs, params={"deterministic": True}).tolist()))
"""


def test_a_model_loads_where_no_checkout_and_no_installation_can_be_imported(
    model_folder: Path, policy: Policy, tmp_path: Path
) -> None:
    sites = [path for path in sys.path if path.endswith("site-packages")]
    constants = f"CODE, MODEL, SITES = {str(model_folder / 'code')!r}, {str(model_folder)!r}, {sites!r}\n"
    environment = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", constants + ALONE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = policy.act_joint(np.zeros((1, 25)), deterministic=True)
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-6)


def test_the_card_tells_what_one_should_know(policy: Policy) -> None:
    facts = Facts(SPEC, 7, {"gamma": 0.97, "actor.learning_rate": 0.0013722959026754708}, 41.0, 700)
    card = model_card(facts, "models:/m-1", policy)
    for words in (
        "mujoco",
        "| `gamma` | 0.97 |",
        "| `actor.learning_rate` | 0.001372 |",
        "Score: 41.0",
        "omad-search evaluate models:/m-1",
        "models serve",
        "float32 [n, 25] -> [n, 3]",
    ):
        assert words in card
    measured = model_card(
        Facts(SPEC, 7, {}, 41.0, 700, Summary(40.0, 40.0, 35.5, 44.2, 50)), "models:/m-1", policy
    )
    assert (
        "Return of this policy on 50 fresh episodes: 40.0, 95 % interval over episodes 35.5 to 44.2;"
        in measured
    )
    assert len(measured) < 5_000


def _ask(port: int, body: str) -> Any:
    address = f"http://127.0.0.1:{port}/invocations"
    asked = urllib.request.Request(address, body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.load(answer)["predictions"]


@pytest.mark.slow
def test_a_model_server_answers_the_request_of_the_card(model_folder: Path, policy: Policy) -> None:
    port = 5_731
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model_folder)]
    command += ["--env-manager", "local", "-p", str(port), "--host", "127.0.0.1"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        end = time.monotonic() + 120
        while True:
            try:
                together = _ask(port, request(policy))
                break
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < end
                assert server.poll() is None
                time.sleep(0.5)
        expected = policy.act_joint(np.zeros((1, sum(policy.spec.obs_dims))), deterministic=True)
        np.testing.assert_allclose(together, expected, atol=1e-5)
        card = model_card(Facts(SPEC, 7, {}, 41.0, 700), "models:/m-1", policy)
        body = re.search(r"-d '(.*)'$", card, re.MULTILINE)
        assert body is not None
        assert body[1] == lone_request(policy)
        np.testing.assert_allclose(_ask(port, body[1]), expected[:, -1:], atol=1e-5)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, 9)
        server.wait()


@pytest.mark.slow
def test_a_model_loads_where_only_its_own_requirements_are_installed(
    model_folder: Path, policy: Policy, tmp_path: Path
) -> None:
    if shutil.which("uv") is None and os.environ.get("PIP_NO_INDEX"):
        pytest.skip("needs a package index")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    for wanted in (["torch==2.13.0"], ["-r", str(model_folder / "requirements.txt")]):
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    code = f"""
import sys, numpy, mlflow
model = mlflow.pyfunc.load_model({str(model_folder)!r})
for absent in ("gymnasium", "mujoco", "optuna", "pettingzoo"):
    assert absent not in sys.modules
sys.stdout.write(str(model.predict(numpy.zeros((1, 25), numpy.float32), params={{"deterministic": True}}).tolist()))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = policy.act_joint(np.zeros((1, 25)), deterministic=True)
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-5)
