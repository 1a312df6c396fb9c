"""The final evaluation: which models are played, and how often."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.reports import final_report
from search.study import catalog
from search.study.request import StudyRequest
from search.view.views import StudyView, TrialView


class Silence:
    """Implements `ProgressDisplay`."""

    def begin(self, stage: str) -> None:
        """Nothing is shown."""

    def progress(self, text: str) -> None:
        """Nothing is shown."""


class Played:
    """Returns of a model."""

    def __init__(self, value: float) -> None:
        self.returns = np.array([value, value + 2.0])


@pytest.mark.parametrize(
    ("scores", "played", "default"),
    [((5.0, 3.0), [0], 1.0), ((3.0, 5.0), [1, 0], 1.0)],
    ids=["the defaults are the best", "another is"],
)
def test_each_model_is_played_once(
    scores: tuple[float, float], played: list[int], default: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def model_of(trial: TrialView, tracker: object, folder: Path) -> int:
        return trial.number

    def assess(number: int, *_: Any, **__: Any) -> Played:
        seen.append(number)
        return Played(10.0 * number)

    monkeypatch.setattr(final_report, "model_of", model_of)
    monkeypatch.setattr(final_report, "assess", assess)
    monkeypatch.setattr(final_report, "assess_random", lambda *_, **__: Played(-5.0))
    trials = tuple(TrialView(n, "complete", {}, 300, 300, score=score) for n, score in enumerate(scores))
    study = StudyView("hopper", "hopper", "smoke", "", "", "running", trials, 0, 1.0, None)
    spec = catalog.build(catalog.find("hopper"), StudyRequest(profile="smoke"), has_gpu=False)
    report = final_report.report(study, spec, None, Silence())  # type: ignore[arg-type]
    assert seen == played
    assert report.default is not None
    assert report.default.mean == default
    assert report.best is not None
    assert report.best.mean == 10.0 * played[0] + 1.0
