"""Plots of a search: ticks that say what a person would, names in full, colours that are seen on any ground."""

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from search.reports.page.figures import search_plots
from search.reports.page.figures.style import SCALE, whole_ticks

RATE, STEPS = "critic.learning_rate", "actor.denoising_steps"


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    made = optuna.create_study(direction="maximize")
    distributions = {RATE: FloatDistribution(1e-4, 1e-2, log=True), STEPS: IntDistribution(1, 3)}
    for number in range(6):
        trial = optuna.trial.create_trial(
            params={RATE: 1e-4 * 2**number, STEPS: 1 + number % 3},
            distributions=distributions,
            value=float(number),
            user_attrs={"number": number},
        )
        made.add_trial(trial)
    return made


def test_between_two_whole_numbers_there_is_no_tick() -> None:
    assert whole_ticks([1, 2, 3.0]) == {"dtick": 1}
    assert whole_ticks([0, 200]) == whole_ticks([0.5, 2]) == whole_ticks(["a", "b"]) == whole_ticks([]) == {}


def test_trials_and_whole_parameters_have_whole_ticks(study: optuna.Study) -> None:
    assert search_plots.draw_history([("hopper", study)]).layout.xaxis.dtick == 1
    assert search_plots.draw_slice(study, STEPS).layout.xaxis.dtick == 1


def test_a_logarithmic_axis_says_its_values_in_full(study: optuna.Study) -> None:
    axis = search_plots.draw_slice(study, RATE).layout.xaxis
    assert (axis.type, axis.tickformat) == ("log", "~g")
    assert search_plots.draw_slice(study, STEPS).layout.xaxis.tickformat is None


def test_all_parameters_are_named_in_full_in_their_order(study: optuna.Study) -> None:
    names = search_plots.draw_parallel(study).layout.xaxis.ticktext
    assert [name.replace("<br>", "") for name in names] == ["score", STEPS, RATE]


def test_large_scores_are_whole_numbers_beside_their_axis(study: optuna.Study) -> None:
    large = optuna.create_study(direction="maximize")
    for trial in study.trials:
        trial.values = [1_000.0 * (trial.number + 1)]
        large.add_trial(trial)
    said = [each.text for each in search_plots.draw_parallel(large).layout.annotations]
    assert "6,000" in said
    assert not [each for each in said if "e+" in each]


def test_every_colour_of_a_score_is_seen_on_light_and_on_dark_ground() -> None:
    for colour in SCALE:
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        assert max(red, green, blue) > 130, colour
