"""How often what workers do is looked at."""

import pytest

from cli.process.workers_monitor import pause_after


@pytest.mark.parametrize(("took", "pause"), [(0.0, 0.5), (0.025, 0.5), (0.1, 2.0), (0.25, 5.0), (30.0, 5.0)])
def test_looking_takes_a_twentieth_of_the_time_at_most_and_is_never_given_up(
    took: float, pause: float
) -> None:
    assert pause_after(took) == pytest.approx(pause)
