"""The end of `run` where trials failed: grouped reasons, and only advice that can be followed."""

import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ended_trials import end_trials

from cli.process import publication
from cli.process.conclusion import commands, ended_view
from cli.process.publication import await_publication
from cli.process.status_line import status_line
from cli.setup.creation import OpenedStudy
from cli.show.plain_lines import failure_lines
from search.confirmation.creation import ensure
from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec
from search.view.views import StudyView, TrialView

SPEC = catalog.build(catalog.find("hopper"), StudyRequest(profile="smoke"), has_gpu=False)
OPENED = OpenedStudy(StudyHandle("mine", 1, "uid", SPEC.to_json(), "running", 0.0), SPEC, "run", True, 0)


def view(*trials: TrialView) -> StudyView:
    return StudyView("mine", "hopper", "smoke", "sqlite:///omad.db", "", trials=trials)


def failed(number: int, note: str) -> TrialView:
    return TrialView(number, "failed", note=note)


def test_failures_are_grouped_by_their_reason() -> None:
    trials = [failed(n, "the arm broke\nsecond line") for n in (4, 2)] + [
        failed(7, ""),
        TrialView(1, "complete"),
    ]
    assert failure_lines(view(*trials)) == [
        "trials 2, 4 failed: the arm broke",
        "trial 7 failed: no reason is known",
    ]


def test_a_search_that_was_not_confirmed_is_to_be_confirmed_next() -> None:
    seen = view(TrialView(0, "complete", score=1.0))
    assert commands(seen, OPENED, confirmed=False)[0][0] == "omad-search confirm mine"
    assert not any("confirm" in command for command, _ in commands(seen, OPENED))


def test_the_time_of_a_search_is_that_of_its_own_trials(tmp_path: Path) -> None:
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "mine", 2, SPEC.to_json(), [SPEC.defaults()])
        end_trials(store, handle, [1.0, 2.0])
        last = dataclasses.replace(view(TrialView(0, "complete", score=1.0)), elapsed_seconds=900.0)
        ended = ended_view(store, handle, last)
        assert ended.trials == last.trials
        assert ended.elapsed_seconds == ended_view(store, handle, None).elapsed_seconds
        assert 0.0 < ended.elapsed_seconds < 600.0


def test_many_failures_stay_a_few_lines() -> None:
    lines = failure_lines(
        view(
            *[failed(n, f"reason {n % 7}") for n in range(100)],
            *[failed(n, "reason 0") for n in range(50)],
        )
    )
    assert len(lines) == 6
    assert lines[0] == "65 trials failed: reason 0"
    assert lines[-1] == "28 more ended without a result for 2 other reasons"


def test_where_nothing_completed_those_that_diverged_are_named_too() -> None:
    diverged = [
        TrialView(n, "diverged", note=f"the reward of agent a0 was nan at step {n + 11} of the environment")
        for n in range(3)
    ]
    pruned = TrialView(3, "pruned", note="pruned at step 1,200")
    assert failure_lines(view(*diverged, pruned, failed(4, "broken"))) == [
        "trials 0, 1, 2 diverged: the reward of agent a0 was nan at step 11 of the environment",
        "trial 3 was pruned: at step 1,200",
        "trial 4 failed: broken",
    ]
    best = dataclasses.replace(TrialView(5, "complete"), score=1.0)
    assert failure_lines(view(*diverged, pruned, best)) == []
    assert failure_lines(view(*diverged, TrialView(5, "running"))) == []


def test_where_all_failed_retry_is_next_and_no_champion_is_named() -> None:
    said = [command for command, _ in commands(view(failed(0, "x"), failed(1, "x")), OPENED)]
    assert said[:2] == ["omad-search retry mine --failed", "omad-search run --study mine"]
    assert not [command for command in said if "champion" in command]


def test_where_all_diverged_nothing_is_there_to_retry() -> None:
    said = " ".join(command for command, _ in commands(view(TrialView(0, "diverged")), OPENED))
    assert "retry" not in said
    assert "champion" not in said


def test_a_study_with_a_best_offers_it_and_more_trials() -> None:
    best = dataclasses.replace(TrialView(0, "complete"), score=1.0)
    said = [command for command, _ in commands(view(best, failed(1, "x")), OPENED)]
    assert "omad-search evaluate models:/omad-mine@champion" in said
    assert "omad-search retry mine --failed" in said
    assert said[-1] == "omad-search run --study mine --trials 12"


def test_a_long_wait_says_in_a_pipe_that_it_lives(capsys: pytest.CaptureFixture[Any]) -> None:
    with status_line("evaluating", line_seconds=0.05) as wait:
        wait.begin("random play")
        wait.progress("3 of 50 ended, 700 steps")
        end, said = time.monotonic() + 10.0, ""
        while said.count("random play: 3 of 50 ended, 700 steps") < 2 and time.monotonic() < end:
            time.sleep(0.2)
            said += capsys.readouterr().err
    assert time.monotonic() < end


def test_results_that_a_living_worker_sends_are_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "LOOK_SECONDS", 0.05)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "mine", 1, SPEC.to_json(), [SPEC.defaults()])
        lease = claim(store, handle.study_id, Claimant("elsewhere:1", 3_600.0))
        assert lease is not None
        lease, _ = trial_binding.bind(store, optuna_study(store, handle), lease)
        ended = outcomes.finish(store, optuna_study(store, handle), lease, "complete", 1.0, seconds=3_600.0)
        publishing = threading.Timer(0.5, lambda: lease_writes.publish(store, ended))
        publishing.start()
        assert await_publication(store, handle)
        publishing.join()
        assert not budget.unpublished(store, handle.study_id)
        assert not await_publication(store, handle)
    assert "waiting for workers that send 1 result to MLflow" in capsys.readouterr().err


def test_results_of_a_confirmation_are_waited_for_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "LOOK_SECONDS", 0.05)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "mine", 1, SPEC.to_json(), [SPEC.defaults()])
        for study in (handle, None):
            study = study or ensure(store, handle)
            assert study is not None
            lease = claim(store, study.study_id, Claimant("elsewhere:1", 3_600.0))
            assert lease is not None
            optuna = optuna_study(store, study)
            lease, trial = trial_binding.bind(store, optuna, lease)
            StudySpec.from_json(study.spec).configs(trial)
            ended = outcomes.finish(store, optuna, lease, "complete", 1.0, seconds=3_600.0)
            if study == handle:
                lease_writes.publish(store, ended)
        publishing = threading.Timer(0.5, lambda: lease_writes.publish(store, ended))
        publishing.start()
        assert await_publication(store, handle)
        publishing.join()
        assert not await_publication(store, handle)


def test_the_results_of_a_dead_worker_are_not_waited_for(tmp_path: Path) -> None:
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "mine", 1, SPEC.to_json(), [SPEC.defaults()])
        lease = claim(store, handle.study_id, Claimant("elsewhere:1", 3_600.0))
        assert lease is not None
        lease, _ = trial_binding.bind(store, optuna_study(store, handle), lease)
        outcomes.finish(store, optuna_study(store, handle), lease, "complete", 1.0, seconds=-1.0)
        assert not await_publication(store, handle)
        assert budget.unpublished(store, handle.study_id)
