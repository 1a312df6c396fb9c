"""A study file that was edited since its study began is refused by what it says otherwise."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from omad_core.errors import ConfigError
from search.errors import SpecConflict
from search.study import catalog
from search.study.files.edits import refuse_edits
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec

TEXT = """
task = "hopper"
trials = 10
[train]
env_steps = 9_000
[space]
gamma = { low = 0.97, high = 0.997 }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(TEXT)
    return file


def begun(file: Path, **requested: Any) -> StudySpec:
    spec = catalog.build(catalog.find(str(file)), StudyRequest(**requested), has_gpu=False)
    return StudySpec.from_json(spec.to_json())


def edited(file: Path, old: str, new: str) -> StudyRequest:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return StudyRequest(task=str(file))


def test_a_file_as_it_was_asks_for_nothing(file: Path) -> None:
    assert refuse_edits("mine", begun(file), StudyRequest(task=str(file))) == 0


@pytest.mark.parametrize(
    ("old", "new", "phrase"),
    [
        ("0.97, high", "0.9, high", r"search of gamma 0.9 to 0.997 \(the study has 0.97 to 0.997\)"),
        ("{ low = 0.97, high = 0.997 }", "false", r"search of gamma none \(the study has 0.97 to 0.997\)"),
        ("high = 0.997", "high = 0.997, start = 0.98", r"gamma 0.97 to 0.997 from 0.98 \(the study has"),
        ("9_000", "8_000", r"env_steps 8000 \(the study has 9000\)"),
        ("trials = 10", "trials = 9", r"trials 9 \(the study has 10\)"),
        ("trials = 10", "seeds = 2", r"trials 12 .*seeds 2 \(the study has 1\)|seeds 2 \(the study has 1\)"),
        ("[space]", '[sampler]\nname = "gp"\n[space]', r"sampler gp \(the study has tpe\)"),
        ("[space]", "[pruner]\nmin_trials = 4\n[space]", r"pruner median min_trials 4 \(the study has 3\)"),
        ('"hopper"', '"walker2d_2x3"', r"task walker2d_2x3 \(the study has hopper\)"),
        ("9_000", "9_000\nactor.hidden_width = 65", r"actor.hidden_width 65 \(the study has 64\)"),
        (
            "trials = 10",
            "trials = 10\nconfirm = { seeds = 7 }",
            r"confirm \{ top = 1, seeds = 7 \} \(the study has \{ top = 1, seeds = 3 \}\)",
        ),
        (
            "trials = 10",
            "trials = 10\nconfirm = false",
            r"confirm none \(the study has \{ top = 1, seeds = 3 \}\)",
        ),
    ],
)
def test_an_edit_is_refused_by_name_with_two_ways_on(file: Path, old: str, new: str, phrase: str) -> None:
    stored = begun(file)
    with pytest.raises(SpecConflict, match=phrase) as caught:
        refuse_edits("mine", stored, edited(file, old, new))
    assert f"run --task {file} --study NAME" in str(caught.value)
    assert "`omad-search run --study mine`" in str(caught.value)


def test_an_edit_that_changes_no_setting_is_none(file: Path) -> None:
    assert refuse_edits("mine", begun(file), edited(file, "trials", "# a comment\ntrials")) == 10


def test_more_trials_in_the_file_extend_the_study(file: Path) -> None:
    assert refuse_edits("mine", begun(file), edited(file, "trials = 10", "trials = 25")) == 25


def test_options_of_the_beginning_are_not_mistaken_for_an_edit(file: Path) -> None:
    stored = begun(file, profile="smoke", numbers={"trials": 3, "seed": 7}, train={"gamma": 0.5})
    assert refuse_edits("mine", stored, edited(file, "trials", "# a comment\ntrials")) == 3


@pytest.mark.parametrize(("then", "now"), [(False, True), (True, False), (False, False)])
def test_a_confirmation_that_was_left_out_is_not_compared(file: Path, then: bool, now: bool) -> None:
    stored = begun(file, confirm=then)
    again = edited(file, "trials = 10", "confirm = { seeds = 7 }\ntrials = 10")
    assert refuse_edits("mine", stored, dataclasses.replace(again, confirm=now)) == 10


def test_another_file_is_compared_as_an_edited_one(file: Path) -> None:
    other = file.with_name("other.toml")
    other.write_text(TEXT.replace("0.97", "0.96"))
    with pytest.raises(SpecConflict, match="search of gamma"):
        refuse_edits("mine", begun(file), StudyRequest(task=str(other)))


def test_a_file_that_was_broken_is_refused_as_such(file: Path) -> None:
    stored = begun(file)
    with pytest.raises(ConfigError, match="unknown setting 'gama'"):
        refuse_edits("mine", stored, edited(file, "gamma", "gama"))


def test_a_study_of_a_release_that_stored_no_origin_is_continued(file: Path) -> None:
    stored = dataclasses.replace(begun(file), origin=None)
    assert refuse_edits("mine", stored, edited(file, "0.97", "0.9")) == 0
