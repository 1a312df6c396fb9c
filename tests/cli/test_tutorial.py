"""docs/tutorial.md: its files and commands, in its order, as a newcomer would type them."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.process.group import PROGRAM
from omad_core import Policy, TrainConfig, settings, train
from omad_core.config import EnvConfig
from omad_core.envs import make_spec
from search.study import catalog
from search.study.request import StudyRequest

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TINY = {"env_steps": 60, "random_steps": 30, "batch_size": 8, "evaluation.every_steps": 60}
TINY |= {"actor.hidden_width": 8, "critic.hidden_width": 8, "evaluation.episodes": 1}


def blocks() -> Iterator[tuple[str, str, str]]:
    """Kind, text and, of a file, its name: the last one that is named before it."""
    end = 0
    for block in FENCED.finditer(PAGE):
        named = re.findall(r"[Ss]ave (?:this|it) as `(\w+\.py)`", PAGE[end : block.start()])
        yield block[1], block[2], named[-1] if named else ""
        end = block.end()


def test_every_block_is_a_file_or_is_typed() -> None:
    kinds = [(kind, bool(name)) for kind, _, name in blocks()]
    assert set(kinds) == {("bash", False), ("python", True), ("text", False)}
    assert [kind for kind, _ in kinds].count("python") == 3
    (install,) = [text for _, text, _ in blocks() if "pip install" in text]
    assert install.strip() in (ROOT / "README.md").read_text(), "CI installs as the README says"


def test_its_world_can_be_trained_and_its_policy_acts_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for _, text, name in blocks():
        if name:
            (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    task = "my_world:make"
    assert make_spec(task, EnvConfig()).agents == ("left", "right")
    *_, policy = train(settings.replace(TrainConfig(task=task), TINY))
    assert isinstance(policy, Policy)
    policy.save("policy")
    runpy.run_path("play.py")
    assert re.fullmatch(r"policy -[\d.]+\nrandom -[\d.]+\n", capsys.readouterr().out)


def test_the_study_file_of_the_guide_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (ROOT / "docs" / "own-environment.md").read_text()
    (world,) = [text for _, text, name in blocks() if name == "my_world.py"]
    (study,) = [text for kind, text in FENCED.findall(guide) if kind == "toml"]
    (tmp_path / "my_world.py").write_text(world)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "meet.toml").write_text(study)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = catalog.build(catalog.find("meet"), StudyRequest(profile="laptop"), has_gpu=False)
    assert (spec.trials, spec.seeds, spec.config.env_steps) == (20, 2, 5_000)
    assert make_spec(spec.task, spec.config.env).horizon == 25


@pytest.mark.slow
def test_what_a_newcomer_types_from_top_to_bottom(tmp_path: Path) -> None:
    """All but the installation, which CI does; the policy beats random play."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "omad-search").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{PROGRAM}" "$@"\n')
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    hidden = ("OMAD_STORAGE", "MLFLOW_TRACKING_URI", "OMAD_HOME", "COLUMNS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    folder, said = tmp_path, ""
    for kind, text, name in blocks():
        if name:
            (folder / name).write_text(text)
        elif kind == "bash" and "pip install" not in text:
            done = subprocess.run(
                ["sh", "-ec", text], cwd=folder, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, text + done.stdout + done.stderr
            said += done.stdout
            folder = folder / "meeting" if "cd meeting" in text else folder
    returns = dict(re.findall(r"^(policy|random) (-[\d.]+)$", said, re.MULTILINE))
    assert float(returns["policy"]) > float(returns["random"])
    assert re.search(r"^ best, trial \d .* to ", said, re.MULTILINE), "with an interval over seeds"
    assert "left goes [[" in said
