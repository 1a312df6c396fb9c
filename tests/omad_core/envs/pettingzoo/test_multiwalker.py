"""PettingZoo's own multiwalker with its defaults: its state() raises once a walker has fallen."""

from typing import Any

import pytest

from omad_core.errors import EnvironmentFailed
from omad_core.events import Evaluated, Progress, Warned
from omad_core.population import Population
from omad_core.training import train

# PettingZoo's of its own import paths, and SWIG's.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
pytest.importorskip("Box2D", reason="pip install 'pettingzoo[sisl]'")
TASK = "pettingzoo.sisl.multiwalker_v9:parallel_env"
SHORT = {"env_steps": 224, "random_steps": 216, "evaluation__every_steps": 224}


def test_it_trains_is_evaluated_and_resumes(small: Any, run_to_end: Any) -> None:
    config = small(task=TASK, **SHORT)
    first = Population(config, slice_seconds=0)
    member = first.admit(config)
    events = []
    while not any(e.env_steps >= 216 for e in events if isinstance(e, Progress)):
        events += first.advance()
    episodes = first._member_batch.collector.episodes
    assert sum(sum(each.begun) for each in episodes) > config.num_envs, "a walker has fallen"
    state = first.snapshot(member)
    first.close()
    second = Population(config, slice_seconds=0)
    member = second.admit(config, state)
    events = run_to_end(second, {member})
    second.close()
    assert any("begin anew" in e.message for e in events if isinstance(e, Warned))
    (evaluated,) = (e for e in events if isinstance(e, Evaluated))
    assert max(evaluated.lengths) < 500


def test_walkers_that_leave_in_the_middle_leave_no_state(small: Any) -> None:
    falls = {"env.args": {"terminate_on_fall": False}}
    with pytest.raises(
        EnvironmentFailed, match=r"in state \(step \d+\).*env.state=observations does without"
    ):
        list(train(small(task=TASK, **SHORT, **falls)))
    without = small(task=TASK, env__state="observations", **SHORT, **falls)
    assert any(isinstance(event, Evaluated) for event in train(without))
