"""Plain lines: each thing that happens is said once, and a study that is continued does not repeat itself."""

import dataclasses
from typing import Any

import pytest

from cli.show.plain_lines import PlainLines, parameters
from search.view.views import StudyView


def with_trial(study: StudyView, number: int, **changes: Any) -> StudyView:
    trials = list(study.trials)
    trials[number] = dataclasses.replace(trials[number], **changes)
    return dataclasses.replace(study, trials=tuple(trials))


class Log:
    """What was said since it was asked last."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys, self._lines = capsys, PlainLines()

    def __call__(self, study: StudyView) -> list[str]:
        self._lines.show(study)
        return [line[9:] for line in self._capsys.readouterr().out.splitlines()]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Log:
    return Log(capsys)


def test_a_continued_study_counts_what_ended_before(study: StudyView, said: Log) -> None:
    assert said(study) == [
        "study hopper: 10 trials of task hopper (sqlite:///omad.db, MLflow sqlite:///mlflow.db)",
        "5 of its trials ended before",
    ]


def test_a_trial_is_announced_once_its_parameters_are_complete(study: StudyView, said: Log) -> None:
    said(study)
    assert said(study) == ["trial 5 goes on at step 4,300: " + parameters(study.trials[5])]
    params = dict(study.trials[4].params)
    assert said(with_trial(study, 7, state="running", params=dict(list(params.items())[:2]))) == []
    sampled = with_trial(study, 7, state="running", params=params)
    assert said(sampled) == []
    assert said(sampled) == ["trial 7 begins: " + parameters(sampled.trials[7])]
    assert said(sampled) == []


def test_an_evaluation_is_said_with_its_own_step(study: StudyView, said: Log) -> None:
    said(study)
    said(study)
    later = with_trial(study, 5, curve=(*study.trials[5].curve, 412.6), curve_step=5_000)
    assert said(later) == ["trial 5 at step 5,000/6,000: return 412.6 (68 updates/s)"]


def test_an_end_is_said_with_its_reason_and_whether_it_is_the_best(study: StudyView, said: Log) -> None:
    said(study)
    said(study)
    assert said(with_trial(study, 5, state="complete", score=5_000.0)) == [
        "trial 5 is complete: score 5,000.0, the best so far"
    ]
    assert said(with_trial(study, 5, state="pruned", note="pruned at step 5,000")) == [
        "trial 5 is pruned at step 5,000"
    ]


def test_a_reason_of_several_lines_is_one_line(study: StudyView, said: Log) -> None:
    said(study)
    said(study)
    reason = "failed: worlds:make raised ValueError in step:\n  shapes (3,)\n  and (4,)"
    assert said(with_trial(study, 5, state="failed", note=reason)) == [
        "trial 5 is failed: worlds:make raised ValueError in step: shapes (3,) and (4,)"
    ]


def test_one_trial_is_no_trials(study: StudyView, said: Log) -> None:
    one = dataclasses.replace(study, trials=study.trials[7:8])
    assert said(one)[0].startswith("study hopper: 1 trial of task hopper")


def test_a_trial_that_is_taken_up_again_is_announced_again(study: StudyView, said: Log) -> None:
    said(study)
    said(study)
    lines = said(with_trial(study, 6, state="running"))
    assert [line.partition(":")[0] for line in lines] == ["trial 6 goes on at step 1,100"]


def test_a_slot_that_waits_is_not_taken_for_the_trial_of_its_number(study: StudyView, said: Log) -> None:
    trials = [dataclasses.replace(t, number=8) if t.number == 5 else t for t in study.trials]
    shifted = dataclasses.replace(study, trials=trials)
    said(shifted)
    said(shifted)
    assert said(shifted) == []


def test_silence_is_broken_at_least_every_half_minute(
    study: StudyView, said: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("cli.show.plain_lines.time.monotonic", lambda: now[0])
    said(study)
    said(study)
    assert said(study) == []
    now[0] += 20.0
    assert said(study) == []
    now[0] += 9.0
    assert said(study) == ["5/10 trials, about 5 min left"]
    assert said(study) == []


def test_what_is_looked_at_after_its_end_breaks_its_silence_too(
    study: StudyView, said: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("cli.show.plain_lines.time.monotonic", lambda: now[0])
    ended = dataclasses.replace(study, trials=study.trials[:5], parent="ant")
    said(ended)
    now[0] += 29.0
    assert said(ended) == ["all 5 held-out trainings have ended; their workers send the last results"]
