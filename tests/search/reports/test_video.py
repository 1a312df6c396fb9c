"""Films and pictures: drawn where that is possible, and no reason to fail where it is not."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.errors import CannotDraw
from search.records import picturing
from search.records.film import film
from search.slots.view import StudyView, TrialView
from tracking.null import NullTracker


@pytest.mark.parametrize("task", ["hopper", "simple_spread_n3"])
def test_an_episode_becomes_a_film_that_moves(
    policy_folder: Callable[[str], Path], tmp_path: Path, task: str
) -> None:
    try:
        film(policy_folder(task), tmp_path / "out.gif", seed=3)
    except CannotDraw as error:
        pytest.skip(f"{error}: apt-get install --no-install-recommends libegl1 or libosmesa6")
    with Image.open(tmp_path / "out.gif") as moving:
        assert moving.n_frames > 2
        first = np.asarray(moving.convert("RGB"))
        moving.seek(moving.n_frames - 1)
        last = np.asarray(moving.convert("RGB"))
    assert first.shape == last.shape
    assert (first != last).any()
    assert len(list(tmp_path.iterdir())) == 1


def test_what_cannot_be_drawn_is_told_in_one_sentence(
    policy_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CannotDraw, match=r"neither a .gif nor a .mp4"):
        film(tmp_path, tmp_path / "out.avi")
    with pytest.raises(CannotDraw, match="there is no folder"):
        film(tmp_path, tmp_path / "nowhere" / "out.gif")
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    with pytest.raises(CannotDraw, match="MUJOCO_GL"):
        film(policy_folder("hopper"), tmp_path / "out.gif")
    assert not list(tmp_path.iterdir())


def test_a_trial_that_cannot_be_filmed_costs_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {}

    class Tracker(NullTracker):
        def model_of(self, run_id):
            return "models:/m-1"

        def download_model(self, model_uri, folder):
            return folder

        def upload(self, run_id, files):
            kept[run_id] = sorted(files)

    best = TrialView(1, "complete", curve=(1.0, 2.0), curve_step=200, score=2.0, run_id="best")
    study = StudyView(
        "hopper", "hopper", "smoke", "", "", trials=[TrialView(0, "pruned", curve=(0.5,)), best]
    )
    with caplog.at_level(logging.WARNING):
        picturing.keep_pictures(study, Tracker(), "parent")
    assert kept == {run: ["pictures/learning_curve.png"] for run in ("parent", "best")}
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("search")]
    assert line.startswith("no film of trial 1: ")
    assert "\n" not in line


def test_the_learning_curves_are_a_picture(tmp_path: Path) -> None:
    trials = [
        TrialView(0, "complete", curve=(1.0, 2.0, 3.0), curve_step=300, score=3.0),
        TrialView(1, "complete", curve=(2.0, 4.0, 8.0), curve_step=300, score=8.0),
        TrialView(2, "pruned", curve=(5.0,), curve_step=100),
        TrialView(3, "waiting"),
    ]
    study = StudyView("hopper", "hopper", "smoke", "", "", trials=trials, default_number=0)
    with Image.open(picturing.draw_curves(study, tmp_path / "curves.png")) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    for wanted in (picturing.BEST_COLOUR, picturing.DEFAULT_COLOUR, picturing.OTHER_COLOUR):
        assert tuple(bytes.fromhex(wanted[1:])) in colours
    assert picturing._points(trials[1]) == ([100.0, 200.0, 300.0], [2.0, 4.0, 8.0])
