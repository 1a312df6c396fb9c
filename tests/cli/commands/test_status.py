"""status: who works at what and until when, and how it goes on through pauses, outages and moves."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ended_trials import end_trials

from cli.commands import status
from cli.main import main
from cli.setup import lookup
from cli.show.status import StatusView
from search.confirmation.creation import ensure
from search.confirmation.pair import confirmation_of
from search.errors import StorageUnavailable
from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.keys import MOVED_TO
from search.slots.lease import DesiredState, Lease
from search.slots.studies import StudyHandle, create_study, delete_study, optuna_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.view.views import StudyView, TrialView

Run = Callable[..., str]
OpenedStudy = tuple[Store, StudyHandle]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenedStudy]:
    """A study `hopper` of five trials, looked at without long pauses."""
    monkeypatch.setattr(status, "WATCH_SECONDS", 0.01)
    spec = catalog.build(catalog.find("hopper"), StudyRequest(numbers={"trials": 5}), has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        yield store, create_study(store, "hopper", 5, spec.to_json(), [spec.defaults()])


def take(opened: OpenedStudy, owner: str, device: str, seconds: float) -> Lease:
    """A trial in the hands of a worker that told something, with a lease of so many seconds."""
    store, handle = opened
    lease = claim(store, handle.study_id, Claimant(owner, 3_600.0))
    assert lease is not None
    lease, _ = trial_binding.bind(store, optuna_study(store, handle), lease)
    told = {"token": lease.token, "step": 4_300, "env_steps_per_second": 71.2, "device": device}
    lease_writes.renew(store, lease, seconds, told)
    return lease


def end_all(store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE omad_slot SET state = 'failed', outcome = 'failed', published = true"
        )


def row(text: str, beginning: str) -> str:
    """The line of a table that begins so."""
    (line,) = [line for line in text.splitlines() if line.startswith(f" {beginning}")]
    return " ".join(line.split())


def test_it_shows_every_lease_its_worker_and_how_long_it_runs(run: Run, opened: OpenedStudy) -> None:
    store, handle = opened
    lease = take(opened, "gpu-07:4711", "cuda:1", 60.0)
    take(opened, "gpu-07:4711", "cuda:1", 7_100.0)
    take(opened, "laptop:9", "cpu", -12.0)
    assert claim(store, handle.study_id, Claimant("laptop:10", 90.0)) is not None, (
        "the trial of laptop:9 is taken up"
    )
    take(opened, "laptop:11", "cpu", -75.0)
    outcomes.finish(store, optuna_study(store, handle), lease, "complete", 7.0, seconds=90.0)
    text = run("status", "hopper")
    assert "2 workers at work, 1 lease ran out" in text
    first, second = (line for line in text.splitlines() if line.startswith(" gpu-07:4711"))
    assert re.fullmatch(r"gpu-07:4711 cuda:1 0 5,000 [6-9]\d s left \(sending\)", " ".join(first.split()))
    assert " ".join(second.split()).startswith("gpu-07:4711 cuda:1 1 4,300 71 1 1:58:")
    assert re.fullmatch(r"laptop:10 2 0 - 2 [6-9]\d s left", row(text, "laptop:10")), (
        "it has told nothing yet"
    )
    assert re.fullmatch(r"laptop:11 cpu 3 0 ran out [7-9]\d s ago", row(text, "laptop:11"))
    assert text.index("laptop:11") < text.index("gpu-07"), "what is wrong comes first"
    seen = json.loads(run("status", "--json"))
    assert seen["workers"] == ["gpu-07:4711", "laptop:10"]
    trial = seen["trials"][0]
    assert (trial["worker"], trial["device"], trial["attempt"]) == ("gpu-07:4711", "cuda:1", 0)
    assert 60 < trial["lease_seconds"] < 91
    assert seen["trials"][4]["lease_seconds"] is None


def test_it_leaves_alone_what_takes_long_to_import(opened: OpenedStudy) -> None:
    code = """
import sys
from cli.main import main
try:
    main(["status", "hopper", "--storage", sys.argv[1]])
except SystemExit as left:
    assert not left.code, left.code
heavy = {"torch", "mlflow", "mujoco", "alembic"} & set(sys.modules)
assert not heavy, heavy
"""
    address = str(opened[0].url)
    root = Path(status.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, address],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "hopper" in done.stdout


def test_with_nobody_at_work_it_says_what_adds_a_worker(run: Run, opened: OpenedStudy) -> None:
    assert "nobody is at work: omad-search worker hopper" in run("status")
    end_all(opened[0])
    assert "omad-search worker" not in run("status")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("paused", "nobody is at work: omad-search resume hopper"),
        ("stopping", "nobody is at work: omad-search run --study hopper"),
        ("moving", "has it go on where it is"),
        ("moved", "was moved from sqlite:///omad.db to postgresql://db/omad"),
    ],
)
def test_of_a_study_at_rest_it_says_what_has_it_go_on(
    run: Run, opened: OpenedStudy, wanted: DesiredState, said: str
) -> None:
    store, handle = opened
    store.rdb.set_study_user_attr(handle.study_id, MOVED_TO, "postgresql://db/omad")
    budget.set_desired_state(store, handle.study_id, wanted)
    text = run("status")
    assert said in text
    assert "omad-search worker" not in text, "workers are refused, or find nothing to do"


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("height", [24, 30, 50])
@pytest.mark.parametrize("leases", [0, 3, 200])
def test_it_fits_the_terminal_with_many_leases_and_an_alarm(
    study: StudyView, show: Run, width: int, height: int, leases: int
) -> None:
    one = dataclasses.replace(study.trials[5], device="cuda:3", lease_seconds=7_000.0)
    workers = [f"node-{n}.of.a.cluster.example.org:4711" for n in range(100, 100 + leases)]
    held = [dataclasses.replace(one, number=n, worker=name) for n, name in enumerate(workers, start=100)]
    ended = [dataclasses.replace(study.trials[2], number=number) for number in range(400, 500)]
    full = dataclasses.replace(study, trials=(*study.trials, *held, *ended), workers=["a"])
    view = StatusView(full, "Ctrl-C ends this view", "the storage is away: " + "x" * 300, leases=True)
    lines = show(view, width, height=height).splitlines()
    assert height - 9 <= len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert ("more leases: omad-search status hopper --json" in "\n".join(lines)) == (leases == 200)
    if leases:
        assert sum("cuda:3" in line and " left" in line for line in lines) == min(leases, height // 5)
        assert not any("cuda:3" in line and line.endswith("…") for line in lines), (
            "workers are cut, numbers never"
        )


def watched(monkeypatch: pytest.MonkeyPatch, *moments: Callable[[], None]) -> None:
    """Have these things happen, one before each look."""
    read, left = lookup.read, list(moments)

    def reading(store: Store, handle: StudyHandle, tracking: str | None, recent: int | None) -> StudyView:
        if left:
            left.pop(0)()
        return read(store, handle, tracking, recent)

    monkeypatch.setattr(lookup, "read", reading)


def outage() -> None:
    raise StorageUnavailable("storage postgresql://db/omad: no answer")


def test_watch_as_json_is_one_object_a_line_and_goes_on_through_an_outage(
    opened: OpenedStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store, handle = opened
    requests = [
        lambda w=w: budget.set_desired_state(store, handle.study_id, w) for w in ("paused", "running")
    ]
    watched(
        monkeypatch,
        lambda: None,
        requests[0],
        outage,
        outage,
        requests[1],
        outage,
        lambda: None,
        lambda: end_all(store),
    )
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["status", "hopper", "--storage", f"sqlite:///{tmp_path}/omad.db", "--watch", "--json"])
    said = capsys.readouterr()
    seen = [json.loads(line) for line in said.out.splitlines()]
    assert [view["wanted"] for view in seen] == ["running", "paused", "running", "running", "running"]
    ended = [sum(trial["state"] == "failed" for trial in view["trials"]) for view in seen]
    assert ended == [0] * (len(seen) - 1) + [5]
    sentence = "storage away, trying again; this is how it was: storage postgresql://db/omad: no answer"
    assert said.err.splitlines() == [sentence] * 2, "once an outage"


def test_watch_in_a_pipe_says_what_is_new(
    run: Run, opened: OpenedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched(monkeypatch, lambda: None, outage, lambda: end_all(opened[0]))
    text = run("status", "hopper", "--watch")
    assert "study hopper: 5 trials of task hopper" in text
    assert "trial 4 is failed" in text


def test_watch_goes_on_with_the_confirmation_of_a_search_that_has_ended(
    run: Run, opened: OpenedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, handle = opened

    def confirmed() -> None:
        found = confirmation_of(store, handle)
        assert found is not None
        end_trials(store, found, [7.0, 4.0, 7.1, 4.2, 7.3, 4.1])

    nothing: Callable[[], None] = lambda: None
    begins = (nothing, nothing, lambda: ensure(store, handle), nothing, nothing)  # type: ignore[arg-type]
    watched(
        monkeypatch, nothing, lambda: end_trials(store, handle, [1.0, 9.0, 2.0, 3.0, 4.0]), *begins, confirmed
    )
    text = run("status", "hopper", "--watch")
    search, _, held_out = text.partition("confirming hopper: 6 trainings with held-out seeds")
    assert "trial 4 is complete: score 4.0" in search
    assert "held-out 0 of trial 1 is complete: score 7.0" in held_out
    assert "best so far" not in held_out
    assert "hopper: better than the defaults on 3 of 3 held-out seeds" in held_out


def test_watch_does_not_wait_for_a_confirmation_that_nobody_begins(
    run: Run, opened: OpenedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, handle = opened
    monkeypatch.setattr(status, "CREATION_SECONDS", 0.2)
    watched(monkeypatch, lambda: None, lambda: end_trials(store, handle, [1.0, 9.0, 2.0, 3.0, 4.0]))
    assert "confirming" not in run("status", "hopper", "--watch")


def test_watch_in_a_terminal_shows_the_last_view_through_an_outage(
    opened: OpenedStudy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "120"), ("LINES", "40"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    watched(monkeypatch, lambda: None, outage, lambda: end_all(opened[0]))
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["status", "hopper", "--storage", f"sqlite:///{tmp_path}/omad.db", "--watch"])
    text = capsys.readouterr().out
    alarm = text.index("storage away, trying again; this is how it was")
    assert text.index("0/5 trials") < text.rindex("0/5 trials", 0, alarm) < alarm < text.index("5/5 trials")
    assert "Ctrl-C ends this view" not in text[text.rindex("5/5 trials") :], "nothing is left to be ended"


def test_watch_of_a_study_that_is_moved_ends_with_its_new_address(
    run: Run, opened: OpenedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, handle = opened
    store.rdb.set_study_user_attr(handle.study_id, MOVED_TO, "postgresql://db/omad")
    wish: list[Callable[[], None]] = [
        lambda w=w: budget.set_desired_state(store, handle.study_id, w, ("running", "moving"))  # type: ignore[misc]
        for w in ("moving", "moved")
    ]
    watched(monkeypatch, lambda: None, *wish)
    assert "was moved from sqlite:///omad.db to postgresql://db/omad" in run("status", "--watch", code=2)


def test_a_storage_that_is_away_at_the_beginning_is_told_at_once(
    run: Run, opened: OpenedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched(monkeypatch, outage)
    assert "postgresql://db/omad: no answer" in run("status", "--watch", code=1)


def test_a_trial_of_which_nothing_is_known_yet_can_be_shown(study: StudyView, show: Run) -> None:
    fresh = TrialView(0, "running", worker="laptop:1", lease_seconds=60.0, attempt=1)
    text = show(StatusView(dataclasses.replace(study, trials=[fresh], workers=["laptop:1"]), leases=True), 80)
    assert row(text, "laptop:1") == "laptop:1 0 0 - 1 60 s left"


def test_it_says_why_trials_failed_reasons_grouped(run: Run, opened: OpenedStudy) -> None:
    store, handle = opened
    for reason in ("the arm broke\nsecond line", "no floor", "the arm broke\nother line"):
        lease = claim(store, handle.study_id, Claimant("here", 60.0))
        assert lease is not None
        lease, _ = trial_binding.bind(store, optuna_study(store, handle), lease)
        outcomes.finish(store, optuna_study(store, handle), lease, "failed", reason=reason, seconds=0.0)
    text = run("status", "hopper")
    assert "trials 0, 2 failed: the arm broke\ntrial 1 failed: no floor\n" in text
    assert "second line" not in text


def test_watch_of_a_study_that_is_deleted_meanwhile_says_so(
    run: Run, opened: OpenedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, handle = opened
    watched(monkeypatch, lambda: None, lambda: delete_study(store, handle))
    assert "study 'hopper' was deleted from storage" in run("status", "hopper", "--watch", code=1)
