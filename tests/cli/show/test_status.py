"""The live view: everything that matters fits, at 80 columns and at 160, with many trials and with none."""

import dataclasses
from collections.abc import Callable

import pytest

from cli.show.leases import format_remaining
from cli.show.status import StatusView, choose_shown
from search.view.views import StudyView, TrialView

Show = Callable[..., str]


@pytest.mark.parametrize("width", [80, 100, 160, 220])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(
    study: StudyView, show: Show, width: int
) -> None:
    text = show(StatusView(study, "Ctrl-C: save and stop"), width)
    assert all(len(line) <= width for line in text.splitlines())
    table = text.partition("best so far")[2]
    assert "…" not in table.partition("\n")[2]


@pytest.mark.parametrize("width", [80, 160])
def test_it_shows_states_steps_rates_best_and_time_left(study: StudyView, show: Show, width: int) -> None:
    text = show(StatusView(study), width)
    for word in ("complete", "pruned", "diverged", "running", "released", "4,300/6,000", "71", "68"):
        assert word in text
    assert "5/10 trials" in text
    assert "6:52 elapsed" in text
    assert "about 5 min left" in text
    assert "best so far: trial 3 with return 1,412.7; the defaults have 219.0" in text


@pytest.mark.parametrize("width", [58, 80, 160])
def test_a_confirmation_is_shown_in_words_of_its_own(study: StudyView, show: Show, width: int) -> None:
    labelled = [dataclasses.replace(t, label=f"held-out {t.number} of defaults") for t in study.trials[:6]]
    text = show(
        StatusView(dataclasses.replace(study, name="hopper-confirm", parent="hopper", trials=labelled)), width
    )
    assert "5/6 trainings" in text
    assert "confirming hopper: 5 of 6 held-out trainings have ended" in text
    assert "held-out 5 of defaults" in text
    assert "best" not in text
    assert "gamma" not in text


def test_parameters_are_columns_where_they_fit_and_lines_where_not(study: StudyView, show: Show) -> None:
    wide, narrow = show(StatusView(study), 160), show(StatusView(study), 80)
    assert "actor.learning_rate=" not in wide
    assert sum("0.000317" in line for line in wide.splitlines()) == 7
    assert "best 3" in narrow
    assert "running 5" in narrow
    assert "critic.learning_rate=0.000317" in narrow


def test_forty_columns_have_room_for_held_out_trainings(study: StudyView, show: Show) -> None:
    labelled = [dataclasses.replace(t, label=f"held-out {t.number} of defaults") for t in study.trials[:6]]
    text = show(StatusView(dataclasses.replace(study, parent="hopper", trials=labelled)), 40)
    rows = [line for line in text.splitlines() if " of defaults" in line]
    assert len(rows) == 6
    assert not [line for line in rows if "…" in line]
    assert "held-out  state" in text


def test_a_study_that_has_ended_has_no_speeds(study: StudyView, show: Show) -> None:
    ended = dataclasses.replace(study, trials=[trial for trial in study.trials if trial.ended])
    assert "updates/s" in show(StatusView(study), 160)
    assert "steps/s" not in show(StatusView(ended), 160)


def test_a_better_curve_is_drawn_higher(study: StudyView, show: Show) -> None:
    lines = {line.split()[0]: line for line in show(StatusView(study), 80).splitlines() if "complete" in line}
    assert "█" in lines["3"]
    assert "█" not in lines["0"]


def test_terminals_without_unicode_get_ascii(study: StudyView, show: Show) -> None:
    assert show(StatusView(study), 80, encoding="ascii").isascii()


def test_waiting_trials_take_no_lines(study: StudyView, show: Show) -> None:
    assert "waiting" not in show(StatusView(study), 80)


def test_a_study_that_has_not_begun_can_be_shown(study: StudyView, show: Show) -> None:
    fresh = dataclasses.replace(study, trials=(TrialView(0, "waiting"),), eta_seconds=None)
    text = show(StatusView(fresh), 80)
    assert "0/1 trial  " in text
    assert "time left not known yet" in text


def test_of_many_trials_those_in_work_the_best_and_the_last_are_shown(study: StudyView, show: Show) -> None:
    many = [dataclasses.replace(study.trials[2], number=number) for number in range(100, 300)]
    full = dataclasses.replace(study, trials=(*study.trials, *many))
    numbers = [trial.number for trial in choose_shown(full, 12)]
    assert {0, 3, 5, 6, 299, 298} <= set(numbers)
    assert numbers == sorted(numbers)
    assert len(numbers) == 12


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("height", [24, 30, 50])
def test_it_fits_the_height(study: StudyView, show: Show, width: int, height: int) -> None:
    many = [dataclasses.replace(study.trials[5], number=number) for number in range(100, 300)]
    full = dataclasses.replace(study, trials=(*study.trials, *many))
    text = show(StatusView(full, "Ctrl-C: save and stop"), width, height=height)
    assert height - 6 <= len(text.splitlines()) <= height
    assert "more: omad-search trials hopper" in text


def test_a_study_that_was_told_to_pause_says_so(study: StudyView, show: Show) -> None:
    assert "hopper (paused)  task hopper" in show(
        StatusView(dataclasses.replace(study, wanted="paused")), 120
    )


@pytest.mark.parametrize(
    ("seconds", "told"), [(12.0, "12 s left"), (-75.0, "ran out 75 s ago"), (-0.0, "its process is gone")]
)
def test_what_is_left_of_a_lease_is_told(seconds: float, told: str) -> None:
    assert format_remaining(TrialView(0, "running", lease_seconds=seconds)) == told
