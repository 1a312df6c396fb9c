"""Workers on schedulers: real ones where they run locally, the manifest's shape elsewhere."""

import dataclasses
import importlib.util
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cli.main import main
from search.launch import kubernetes, slurm
from search.launch.job import Job, LaunchRefused, import_required

ROOT = Path(__file__).parents[3]


LEAVING = """
import pathlib, signal, sys, time
folder = pathlib.Path({folder!r})
def leave(number, frame):
    (folder / "left").write_text("in order")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
if (folder / "left").exists():
    (folder / "again").touch()
else:
    (folder / "began").touch()
    time.sleep(60)
"""
"""A "worker" that goes on until it is told to leave, and is done when it is started again."""


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path.name
        time.sleep(0.05)


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job whose "workers" write what they were called with, in place of training."""
    (tmp_path / "omad_search.py").write_text(
        "import os, sys, pathlib\n"
        f"pathlib.Path({str(tmp_path)!r}, f'ran-{{os.getpid()}}')"
        ".write_text(' '.join(sys.argv[1:]) + ' ' + os.environ['OMAD_STORAGE'])\n"
    )
    environment = {"OMAD_STORAGE": "sqlite:///x.db", "PYTHONPATH": str(tmp_path)}
    return Job("hopper", 2, environment, grace_seconds=7)


@pytest.fixture
def users_folder(tmp_path: Path) -> Path:
    """A working folder with files of the user's own that have our packages' names."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name in ("cli", "search", "tracking", "studies"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('this {name}.py is not ours')\n")
    return folder


def check(folder: Path) -> None:
    ran = [file.read_text() for file in folder.glob("ran-*")]
    assert ran == ["worker hopper --workers 1 --devices cpu --threads 1 --grace 7 sqlite:///x.db"] * 2


def test_submitit_runs_an_array_of_workers(marker: Job, tmp_path: Path, users_folder: Path) -> None:
    pytest.importorskip("submitit", reason="pip install 'omad-search[slurm]'")
    code = (
        "import omad_search; from search.launch.job import Job; from pathlib import Path\n"
        "from search.launch.slurm import launch_slurm as slurm\n"
        f"job = Job('hopper', 2, {dict(marker.environment)!r}, grace_seconds=7)\n"
        f"jobs = slurm(job, Path({str(tmp_path)!r}, 'logs'),"
        " cluster='local', timeout_min=5)\n"
        "assert [job.result() for job in jobs] == [0, 0]\n"
    )
    subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=users_folder,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": f"{users_folder}{os.pathsep}{ROOT}"},
    )
    check(tmp_path)


def test_what_a_job_starts_is_this_program_whatever_pythonpath_has(users_folder: Path) -> None:
    environment = {"PYTHONPATH": f"{users_folder}{os.pathsep}{ROOT}", "OMAD_STORAGE": "sqlite:///none.db"}
    command = [sys.executable, *Job("hopper", 1, environment).argv]
    done = subprocess.run(
        command, cwd=users_folder, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.stderr.startswith("error: storage sqlite:///none.db: there is no such file")


def test_a_preempted_worker_is_queued_again_as_it_is(marker: Job) -> None:
    submitit = pytest.importorskip("submitit", reason="pip install 'omad-search[slurm]'")
    again = slurm.SlurmWorker(marker).checkpoint()
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    assert again.function._job == marker


@pytest.mark.parametrize("everywhere", [False, True], ids=["submitit", "all of the job"])
def test_a_preempted_worker_leaves_in_order_and_begins_again(
    marker: Job, tmp_path: Path, everywhere: bool
) -> None:
    """Slurm's notice reaches the processes that Slurm started, or all there are, as it tracks them."""
    pytest.importorskip("submitit", reason="pip install 'omad-search[slurm]'")
    (tmp_path / "omad_search.py").write_text(LEAVING.format(folder=str(tmp_path)))
    (job,) = slurm.launch_slurm(
        dataclasses.replace(marker, workers=1), tmp_path / "logs", cluster="local", timeout_min=5
    )
    wait_for(tmp_path / "began")
    (task,) = psutil.Process(int(job.job_id)).children()
    started = task.children(recursive=True) if everywhere else []
    for process in (*started, task):
        process.send_signal(signal.SIGUSR2)
    assert job.result() == 0
    assert (tmp_path / "left").read_text() == "in order"
    assert (tmp_path / "again").exists()


def test_a_worker_that_slurm_tells_to_leave_leaves_and_its_job_waits_for_slurm(
    marker: Job, tmp_path: Path
) -> None:
    (tmp_path / "omad_search.py").write_text(LEAVING.format(folder=str(tmp_path)))
    code = (
        "from search.launch.job import Job; from search.launch.slurm import SlurmWorker\n"
        f"SlurmWorker(Job('hopper', 1, {dict(marker.environment)!r}, grace_seconds=7))()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-P", "-c", code], env=environment) as process:
        wait_for(tmp_path / "began")
        process.terminate()
        wait_for(tmp_path / "left")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)  # a job that has ended is not queued again
        process.kill()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="pip install 'omad-search[ray]'")
def test_ray_runs_one_actor_a_worker(marker: Job, tmp_path: Path, users_folder: Path) -> None:
    code = (
        "import ray; from search.launch.job import Job; from search.launch.ray import launch_ray as start\n"
        "ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)\n"
        f"started = start(Job('hopper', 2, {dict(marker.environment)!r}, grace_seconds=7))\n"
        "assert ray.get([answer for _, answer in started]) == [0, 0]\n"
        "ray.shutdown()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-P", "-c", code]
    subprocess.run(command, cwd=users_folder, check=True, timeout=180, env=environment)
    check(tmp_path)


def test_the_manifest_is_an_indexed_job_without_addresses() -> None:
    job = Job("my_study", 8, {"OMAD_STORAGE": "postgresql://u:hush@db/x"}, cpus=2, gpus=1, grace_seconds=40)
    made = kubernetes.manifest(job, "registry/omad:1", "omad-addresses")
    assert "hush" not in str(made)
    assert (made["apiVersion"], made["kind"], made["metadata"]["name"]) == (
        "batch/v1",
        "Job",
        "omad-my-study",
    )
    spec = made["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 8, 8)
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never", "with another one Kubernetes takes no podFailurePolicy"
    assert pod["terminationGracePeriodSeconds"] > 40
    (container,) = pod["containers"]
    assert container["command"][:5] == ["python", "-P", "-m", "omad_search", "worker"]
    assert container["resources"] == {"requests": {"cpu": "2"}, "limits": {"nvidia.com/gpu": "1"}}
    assert container["envFrom"] == [{"secretRef": {"name": "omad-addresses"}}]


def test_preempted_workers_are_started_again_and_refused_ones_are_not() -> None:
    made = kubernetes.manifest(Job("hopper", 8), "registry/omad:1", "omad-addresses")
    first, second = made["spec"]["podFailurePolicy"]["rules"]
    assert first == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }, "the first rule that applies counts, whatever the exit code"
    assert (second["action"], second["onExitCodes"]["values"]) == ("FailIndex", [2])
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert second["onExitCodes"]["containerName"] == container["name"]
    assert made["spec"]["backoffLimitPerIndex"] > 1
    words = container["command"]
    assert words[words.index("--stopped-code") + 1] == "143", "a pod that ends with 0 is not started again"


@pytest.mark.parametrize("version", ["1.29", "1.31", "1.37"])
@pytest.mark.parametrize("gpus", [0.0, 1.0])
def test_the_manifest_is_what_kubernetes_takes(gpus: float, version: str) -> None:
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="pip install kubernetes-validate: the schemas of Kubernetes"
    )
    made = kubernetes.manifest(Job("Walker_2d", 8, gpus=gpus), "registry/omad:1", "omad-addresses")
    kubernetes_validate.validate(made, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            made | {"spec": made["spec"] | {"completionMod": "Indexed"}}, version, strict=True
        )


@pytest.mark.parametrize("study", ["a_long-name_" * 8 + "1234", "a_long-name_" * 8 + "1235", "hopper_", "H-"])
def test_any_studys_job_has_a_name_that_kubernetes_takes(study: str) -> None:
    made = kubernetes.manifest(Job(study, 10_000), "registry/omad:1", "omad-addresses")
    name, label = made["metadata"]["name"], made["metadata"]["labels"]["omad-search/study"]
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", f"{name}-9999"), "a pod's host name"
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", label)
    other = kubernetes.manifest(
        Job(study.replace("1234", "1239"), 10_000), "registry/omad:1", "omad-addresses"
    )
    assert (other["metadata"]["name"] == name) == ("1234" not in study), "two studies, two jobs"


def test_a_password_reaches_pods_by_a_secret_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMAD_STORAGE", "postgresql://tuner:hush@db/omad")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tuner:hush@track:5000")
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["launch", "kubernetes", "hopper", "--workers", "4", "--secret", "mine", "--dry-run"])
    said = capsys.readouterr()
    assert "hush" not in said.out + said.err
    (container,) = json.loads(said.out)["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "mine"}}]
    assert not any("://" in word for word in container["command"])


def test_what_is_submitted_to_slurm_is_nobody_elses_to_read(
    marker: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="pip install 'omad-search[slurm]'")
    monkeypatch.setenv("PATH", str(tmp_path))  # where no Slurm is installed
    folder = tmp_path / "new" / "logs"
    with pytest.raises(LaunchRefused, match="run this where sbatch is"):
        slurm.launch_slurm(marker, folder, cluster="slurm")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_missing_package_is_named_with_what_installs_it() -> None:
    with pytest.raises(LaunchRefused, match=r"omad-search\[slurm\]"):
        import_required("no_such_package", "slurm")
