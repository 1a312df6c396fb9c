"""Provenance names code, versions and machine, wherever it is asked."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tracking.machine.provenance import provenance, source_tags


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit and a remote whose address holds a password."""
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "study.toml").write_text("a = 1\n")
    git(tmp_path, "add", "study.toml")
    git(tmp_path, "commit", "-q", "-m", "first")
    git(tmp_path, "remote", "add", "origin", "https://ann:hunter2@git.org/x.git")
    return tmp_path


def test_the_commit_of_the_users_folder_and_whether_it_was_changed(repository: Path) -> None:
    (repository / "deeper").mkdir()
    clean = provenance(repository / "deeper")["git"]
    assert clean["commit"] == git(repository, "rev-parse", "HEAD")
    assert (clean["branch"], clean["dirty"]) == ("trunk", False)
    (repository / "study.toml").write_text("a = 2\n")
    assert provenance(repository)["git"]["dirty"] is True


def test_no_password_gets_into_it(repository: Path) -> None:
    facts = provenance(repository)
    assert facts["git"]["remote"] == "https://***@git.org/x.git"
    assert "hunter2" not in json.dumps(facts)


def test_a_folder_without_a_repository_has_no_commit(tmp_path: Path) -> None:
    facts = provenance(tmp_path)
    assert facts["git"] is None
    assert source_tags(facts) == {"mlflow.source.name": "omad-search", "mlflow.source.type": "LOCAL"}


def test_the_commit_becomes_the_tag_that_mlflow_shows(repository: Path) -> None:
    facts = provenance(repository)
    assert source_tags(facts)["mlflow.source.git.commit"] == facts["git"]["commit"]


def test_versions_and_machine_are_named(tmp_path: Path) -> None:
    facts = provenance(tmp_path)
    for name in ("torch", "optuna", "mlflow", "mujoco", "gymnasium"):
        assert facts["packages"][name] == importlib.metadata.version(name)
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["host"]
    assert facts["cpu"]["name"]
    assert facts["cpu"]["cores"] >= 1
    assert isinstance(facts["gpus"], list)
    assert json.loads(json.dumps(facts)) == facts


def test_it_works_without_git_and_without_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    facts = provenance(tmp_path)
    assert (facts["git"], facts["gpus"]) == (None, [])


def test_the_names_of_gpus_come_from_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'NVIDIA Test 1'\necho 'NVIDIA Test 2'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance(tmp_path)["gpus"] == ["NVIDIA Test 1", "NVIDIA Test 2"]


def test_nothing_heavy_is_imported_to_find_out() -> None:
    code = "import sys, tracking.machine.provenance as p; p.provenance(); print({'torch', 'mlflow'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.strip() == "set()"
