"""Films and pictures: drawn where that is possible, and no reason to fail where it is not."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_tracker import FakeTracker
from PIL import Image

from omad_core.config import EnvConfig
from omad_core.policy import Policy
from search.errors import CannotDraw
from search.reports import plots, renderer
from search.reports.video import render_video
from search.view.views import StudyView, TrialView


@pytest.mark.parametrize("task", ["hopper", "simple_spread_n3"])
def test_an_episode_becomes_a_video_that_moves(
    policy_folder: Callable[[str], Path], tmp_path: Path, task: str
) -> None:
    try:
        render_video(policy_folder(task), tmp_path / "out.gif", seed=3)
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
        render_video(tmp_path, tmp_path / "out.avi")
    with pytest.raises(CannotDraw, match="there is no folder"):
        render_video(tmp_path, tmp_path / "nowhere" / "out.gif")
    monkeypatch.setenv("MUJOCO_GL", "nonsense")
    with pytest.raises(CannotDraw, match="MUJOCO_GL"):
        render_video(policy_folder("hopper"), tmp_path / "out.gif")
    assert not list(tmp_path.iterdir())


def test_a_trial_that_cannot_be_filmed_costs_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {}

    class ModelTracker(FakeTracker):
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
        plots.keep_pictures(study, ModelTracker(), "parent")
    assert kept == {run: ["pictures/learning_curve.png"] for run in ("parent", "best")}
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("search")]
    assert line.startswith("no video of trial 1: ")
    assert "\n" not in line


def test_an_environment_of_the_users_own_is_not_drawn_and_no_warning_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = {}

    class PictureTracker(FakeTracker):
        def model_of(self, run_id):
            return "models:/m-1"

        def upload(self, run_id, files):
            kept[run_id] = sorted(files)

    best = TrialView(0, "complete", curve=(1.0, 2.0), curve_step=200, score=2.0, run_id="best")
    study = StudyView("mine", "worlds:make", "smoke", "", "", trials=[best])
    with caplog.at_level(logging.WARNING):
        plots.keep_pictures(study, PictureTracker(), "parent")
    assert kept == {run: ["pictures/learning_curve.png"] for run in ("parent", "best")}
    assert not caplog.records


def test_a_film_of_an_environment_of_the_users_own_says_why_there_is_none(
    policy_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = policy_folder("hopper")
    mine = dataclasses.replace(Policy.load(folder).spec, name="worlds:make")
    with pytest.raises(CannotDraw, match="worlds:make is an environment of your own"):
        renderer.frames_per_second(mine, EnvConfig())
    with pytest.raises(CannotDraw, match="worlds:make is an environment of your own"):
        renderer.drawer(mine, EnvConfig())


def test_the_learning_curves_are_a_picture(tmp_path: Path) -> None:
    trials = [
        TrialView(0, "complete", curve=(1.0, 2.0, 3.0), curve_step=300, score=3.0),
        TrialView(1, "complete", curve=(2.0, 4.0, 8.0), curve_step=300, score=8.0),
        TrialView(2, "pruned", curve=(5.0,), curve_step=100),
        TrialView(3, "waiting"),
    ]
    study = StudyView("hopper", "hopper", "smoke", "", "", trials=trials, default_number=0)
    with Image.open(plots.draw_curves(study, tmp_path / "curves.png")) as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    for wanted in (plots.BEST_COLOUR, plots.DEFAULT_COLOUR, plots.OTHER_COLOUR):
        assert tuple(bytes.fromhex(wanted[1:])) in colours
    assert plots._points(trials[1]) == ([100.0, 200.0, 300.0], [2.0, 4.0, 8.0])
