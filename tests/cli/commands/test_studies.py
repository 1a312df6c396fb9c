"""studies: files shown, begun and checked; a user's own folders; what a shell may offer."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.completion import complete_setting, complete_study, complete_task
from cli.main import main
from search.slots.studies import create_study
from search.storage.store import open_storage
from search.study import catalog
from search.study.files.folders import SHIPPED
from search.study.request import StudyRequest

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    for name in ("OMAD_STORAGE", "OMAD_STUDIES", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def typed(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as left:
            main(["studies", *words])
        said = capsys.readouterr()
        assert left.value.code == code, said.err
        return said.out if code == 0 else said.err

    return typed


def test_a_new_study_changes_nothing_and_is_found_by_its_name(run: Run, tmp_path: Path) -> None:
    assert "studies/mine.toml is written" in run("new", "mine", "--from", "swimmer_2x1", "--profile", "smoke")
    mine, swimmer = (
        catalog.build(catalog.find(name), StudyRequest(profile="smoke"), has_gpu=False)
        for name in ("mine", "swimmer_2x1")
    )
    assert (mine.name, mine.config, mine.space) == ("mine", swimmer.config, swimmer.space)
    assert "studies/mine.toml is a study" in run("validate", "mine")


def test_every_comment_of_a_new_study_may_become_a_line(run: Run, tmp_path: Path) -> None:
    run("new", "mine", "--profile", "smoke")
    file = tmp_path / "studies" / "mine.toml"
    text = file.read_text()
    first, second, *lines = text.splitlines()
    file.write_text("\n".join(line.removeprefix("# ") for line in lines))
    mine, hopper = (
        catalog.build(catalog.find(name), StudyRequest(profile="smoke"), has_gpu=False)
        for name in ("mine", "hopper")
    )
    assert (mine.config, mine.sampler, mine.pruner, mine.trials, mine.confirm) == (
        hopper.config,
        hopper.sampler,
        hopper.pruner,
        hopper.trials,
        hopper.confirm,
    )
    assert "# confirm = { top = 1, seeds = 2 }" in text
    assert set(map(str, mine.space.dimensions)) == set(map(str, hopper.space.dimensions))
    assert first.startswith("#")
    assert second.startswith("#")


def test_what_is_there_is_not_overwritten(run: Run) -> None:
    run("new", "mine")
    assert "exists already" in run("new", "mine", code=2)
    assert "exists already" in run("new", "hopper", code=2)
    assert "did you mean 'hopper'" in run("new", "other", "--from", "hoper", code=2)
    assert "is no study name" in run("new", "my study", code=2)


def test_folders_of_the_users_come_before_the_shipped_studies(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("OMAD_STUDIES", f"{first}:{second}")
    run("new", "mine")
    second.mkdir()
    (second / "mine.toml").write_text('task = "ant_2x4"')
    (second / "other.toml").write_text('task = "ant_2x4"')
    (second / "hopper.toml").write_text((SHIPPED / "hopper.toml").read_text())
    assert catalog.find("mine").path == str(first / "mine.toml")
    assert catalog.find("other").task == "ant_2x4"
    assert catalog.find("hopper").path == "", "a copy of the shipped file is the shipped study"
    (second / "hopper.toml").write_text('task = "hopper"\ntrials = 3')
    assert catalog.find("hopper").path == str(second / "hopper.toml")
    assert "did you mean 'other'" in run("show", "othr", code=2)


def test_show_says_what_is_searched_and_what_overrode_what(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('task = "hopper"\ntrials = 40\n[space]\nactor.denoising_steps = false')
    text = " ".join(run("show", "s.toml", "--profile", "laptop", "--set", "gamma=0.98").split())
    assert "s: task hopper, profile laptop (s.toml)" in text
    assert "trials = 40 (s.toml), instead of 9 (studies/_base.toml [profile.laptop]), 50 (" in text
    assert "not searched" in text
    seen = json.loads(run("show", "s.toml", "--profile", "laptop", "--json"))
    assert seen["spec"]["trials"] == 40
    assert "actor.denoising_steps" not in seen["first_trial"]


def test_show_reads_a_study_of_the_storage(run: Run, tmp_path: Path) -> None:
    spec = catalog.build(catalog.find("hopper"), StudyRequest(profile="smoke"), has_gpu=False, name="wide")
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        create_study(store, "wide", 2, spec.to_json())
    assert "wide: task hopper, profile smoke (stored in sqlite:///omad.db)" in run("show", "wide", "--stored")
    assert complete_study("") == ["wide"]
    assert complete_study("h") == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('task = "hopper"\n[profile.gpu.train]\ngama = 1', "did you mean 'gamma'"),
        ('task = "hopper"\n[profile.paper]\ntrials = 0', "profile.paper"),
        ('task = "no_such_module:make"', "no_such_module"),
    ],
)
def test_validate_refuses_what_no_run_could_use(run: Run, tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    assert complaint in run("validate", "s.toml", code=2)


def test_validate_says_which_profiles_it_refuses_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    space = "actor.denoising_steps = { low = 1, high = 4 }"
    Path("s.toml").write_text(f'extends = "hopper"\n[space]\n{space}\n')
    with pytest.raises(SystemExit):
        main(["studies", "validate", "s.toml"])
    out, err = capsys.readouterr()
    assert "laptop: 9 trials of" in out
    assert "gpu: refused" in out
    assert "profile gpu: s.toml: actor.denoising_steps = 8 lies outside its search range (1 to 4)" in err


@pytest.mark.usefixtures("run")
def test_a_shell_is_offered_names_and_settings() -> None:
    assert complete_task("hop") == ["hopper"]
    assert "_base" not in complete_task("")
    assert complete_setting("actor.d") == ["actor.denoising_steps=", "actor.diffusion_time=", "actor.dt="]
    assert complete_setting("entropy.mode=f") == ["entropy.mode=fixed"]
    assert complete_setting("evaluation.deterministic=") == [
        "evaluation.deterministic=true",
        "evaluation.deterministic=false",
    ]
    assert complete_study("") == []


def test_a_shell_is_offered_the_studies_of_a_database_server(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMAD_STORAGE", database)
    assert complete_study("") == [], "there is no table yet"
    with open_storage(database, create=True) as store:
        for name in ("hopper", "hopper-wide", "ant"):
            create_study(store, name, 1, "{}")
    assert complete_study("") == ["ant", "hopper", "hopper-wide"]
    assert complete_study("hop") == ["hopper", "hopper-wide"]


def test_a_shell_does_not_wait_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.completion.SERVER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("OMAD_STORAGE", f"postgresql://me:secret@127.0.0.1:{port}/x")
        assert complete_study("") == []
    for refused in (
        f"postgresql://me:secret@127.0.0.1:{port}/x",
        "postgresql://",
        "mongodb://x/y",
        "mysql://a@b@c/d",
    ):
        monkeypatch.setenv("OMAD_STORAGE", refused)
        assert complete_study("") == []
    assert capfd.readouterr() == ("", "")
