"""What commands show on a narrow terminal, without colours, and where nobody reads on; what they name next."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import reference

from cli.main import main
from cli.process.group import PROGRAM
from cli.setup import lookup
from cli.show.report import confirmed_table
from omad_core.results.comparison import estimate
from search.slots import outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.study.samplers import build_sampler
from search.study.study_spec import StudySpec
from search.view.confirmation import CandidateView, ConfirmationView
from search.view.views import StudyView

Run = Callable[..., str]
LOOKS = [
    ("tasks",),
    ("studies",),
    ("studies", "show", "hopper"),
    ("studies", "show", "hopper", "--stored"),
    ("studies", "validate", "hopper"),
    ("status", "hopper"),
    ("trials", "hopper"),
    ("best", "hopper"),
]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `hopper`: two complete trials and one that failed."""
    folder = tmp_path_factory.mktemp("ended")
    spec = catalog.build(catalog.find("hopper"), StudyRequest(numbers={"trials": 3}), has_gpu=False)
    with open_storage(f"sqlite:///{folder}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", 3, spec.to_json(), [spec.defaults()])
        stored = StudySpec.from_json(handle.spec)
        for outcome, value in (("complete", 219.0), ("complete", 1_419.5), ("failed", None)):
            lease = claim(store, handle.study_id, Claimant("laptop:1", 60.0))
            assert lease is not None
            sampler = build_sampler(stored.sampler, 0, lease.number, stored.space.paths)
            study = optuna_study(store, handle, sampler)
            lease, trial = trial_binding.bind(store, study, lease)
            stored.configs(trial)
            outcomes.report(store, lease, trial, 5_000, value or 20.0)
            outcomes.finish(
                store, study, lease, outcome, value, "the arm broke" if outcome == "failed" else None
            )
    return folder


@pytest.fixture
def working_folder(ended: Path) -> Path:
    return ended


def test_a_database_file_of_the_working_folder_is_named_as_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("mlflow.db", "../elsewhere.db"):
        (tmp_path / name).touch()
    stored = StudyHandle("hopper", 1, "uid", "{}", "running", 0.0, f"sqlite:///{tmp_path}/mlflow.db")
    assert lookup.tracking_address(stored, None) == "sqlite:///mlflow.db"
    other = replace(stored, tracking=f"sqlite:///{tmp_path.parent}/elsewhere.db")
    assert lookup.tracking_address(other, None) == other.tracking


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_forty_columns_cut_nothing_off(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    narrow = run(*words)
    assert "…" not in narrow
    monkeypatch.setenv("COLUMNS", "300")
    wide = run(*words)
    names = {
        word for word in wide.split() if "." in word and word.replace(".", "").replace("_", "").isalpha()
    }
    assert not [name for name in names if name not in narrow], "no name is broken in the middle"


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_without_colours_there_are_none(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    plain = run(*words)
    assert "\x1b[3" not in plain
    assert "\x1b[9" not in plain


NEXT = {
    ("tasks",): "run --task hopper",
    ("studies",): "status hopper",
    ("studies", "show", "hopper"): "run --task hopper",
    ("studies", "validate", "hopper"): "run --task hopper",
    ("status", "hopper"): "best hopper",
    ("trials", "hopper"): "best hopper",
}


@pytest.mark.parametrize("words", NEXT, ids=" ".join)
def test_at_a_terminal_the_next_command_is_named_and_in_a_pipe_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    said: list[str] = []
    monkeypatch.setattr("cli.show.console.say", lambda line, **_: said.append(line))
    run(*words)
    assert not said
    monkeypatch.setenv("FORCE_COLOR", "1")
    run(*words)
    assert f"next: omad-search {NEXT[words]}" in said


@pytest.mark.parametrize("words", [("trials",), ("trials", "--json")], ids=" ".join)
def test_a_reader_that_is_gone_is_no_error(working_folder: Path, words: tuple[str, ...]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMAD_STORAGE"}
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-P", str(PROGRAM), *words]
    done = subprocess.run(
        command, cwd=working_folder, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_best_of_a_confirmation_is_what_it_showed_of_its_search(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli.setup import lookup

    read = lookup.view_of_pair

    def as_confirmation(storage: str, study: str | None, *more: Any) -> Any:
        seen, held_out = read(storage, "hopper", *more)
        return (seen, held_out) if study == "hopper" else (_named(seen), held_out)

    monkeypatch.setattr(lookup, "view_of_pair", as_confirmation)
    assert "hopper: trial 1 has the best score in the search" in run("best", "hopper-confirm")


def _named(seen: StudyView) -> StudyView:
    import dataclasses

    return dataclasses.replace(seen, name="hopper-confirm", parent="hopper")


def test_a_confirmations_table_folds_where_it_is_narrow(study: StudyView, show: Callable[..., str]) -> None:
    values = {0: 778.3, 1: 641.9, 2: 1_026.2}
    candidate = CandidateView(0, True, True, values, {}, estimate=estimate(list(values.values())))
    found = ConfirmationView(study, [candidate], "the search found nothing better than the defaults")
    narrow = show(confirmed_table(found), 40)
    assert "…" not in narrow
    assert all(
        text in narrow for text in ("best, trial 0", "778.3", "1,026.2", "interquartile mean", "815.5")
    )


@pytest.mark.parametrize("name", [name for name, _ in reference.leaves()])
def test_the_help_of_every_command_fits_into_forty_columns(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    shown = capsys.readouterr().out
    command = dict(reference.leaves())[name]
    options = [param.opts[0] for param in command.params if param.param_type_name == "option"]
    assert not [option for option in options if f"  {option}" not in shown]
    assert max(map(len, shown.splitlines())) <= 40
    assert "…" not in shown
    assert "..." not in shown.replace("[ARGS]...", "").replace("A,B,...", "")
    assert " ".join(command.help.split()[:4]) in " ".join(shown.split())
