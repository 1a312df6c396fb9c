"""worker: what it takes, and what it refuses because the study was created otherwise."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.process import group
from search.launch.supervisor import Supervisor
from search.slots.studies import create_study
from search.storage.store import open_storage
from search.study import catalog
from search.study.request import StudyRequest

Run = Callable[..., str]


@pytest.fixture
def working_folder(tmp_path: Path) -> Path:
    """A folder with a study `hopper`."""
    requested = StudyRequest(
        profile="smoke", numbers={"trials": 3, "seeds": 2}, train={"env_steps": 900}, confirm=False
    )
    spec = catalog.build(catalog.find("hopper"), requested, has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        create_study(store, "hopper", 3, spec.to_json(), [spec.defaults()])
    return tmp_path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Supervisor]:
    """The teams that would have been led."""
    teams: list[Supervisor] = []
    monkeypatch.setattr(group, "supervise", lambda workers, *terms: teams.append(workers) or 0)
    return teams


@pytest.mark.parametrize("where", [["--device", "cpu"], ["--workers", "1"]])
def test_options_that_differ_from_the_studys_are_refused_by_name(
    run: Run, started: list[Supervisor], where: list[str]
) -> None:
    words = ["--profile", "paper", "--seeds", "3", "--env-steps", "900", "--set", "num_envs=7"]
    said = run("worker", "hopper", *where, *words, "--set", "gamma=0.98", code=2)
    assert "--profile paper (the study has smoke)" in said
    assert "--seeds 3 (the study has 2)" in said
    assert "num_envs 7 (the study has 1)" in said
    assert "gamma = 0.98 (the study searches it)" in said
    assert "env_steps" not in said, "that one agrees"
    assert not started


def test_without_options_it_takes_what_the_machine_has(
    run: Run, started: list[Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.process.placement.usable", lambda: 2)
    run("worker", "hopper", "--seeds", "2")
    monkeypatch.setattr("cli.process.placement._gpus", lambda: 2)
    run("worker", "hopper", "--workers", "4", "--threads", "3")
    commands = [" ".join(child.command[3:]) for workers in started for child in workers.children]
    assert len(commands) == 2 + 4
    assert all("worker hopper --device cpu --threads 1" in words for words in commands[:2])
    for words, device in zip(commands[2:], ("cuda:0", "cuda:1") * 2, strict=True):
        assert f"worker hopper --device {device} --threads 3" in words
    assert not any("--workers" in words for words in commands)


def test_one_device_and_several_contradict(run: Run) -> None:
    assert "--device is for one worker" in run(
        "worker", "hopper", "--device", "cpu", "--workers", "2", code=2
    )
