"""omad-search bench: what it prints of a machine, for people and for programs."""

import functools
import json
import re
from collections.abc import Callable

import pytest

from omad_core.algorithms import ALGORITHMS
from omad_core.bench import checkpoint_cost, environments, updates

SMALL = (
    "actor.hidden_width=8",
    "actor.hidden_layers=1",
    "actor.denoising_steps=1",
    "critic.hidden_width=8",
    "critic.hidden_layers=1",
    "critic.quantiles=2",
    "batch_size=2",
)
TINY = {
    "madpmd": ("--set", "madpmd.candidates=2", "--set", "madpmd.states=2", "--set", "madpmd.chunk=2"),
}
"""What else an algorithm needs to be small."""
WORDS = ("bench", "--task", "hopper", "--seconds", "1", *(w for pair in SMALL for w in ("--set", pair)))


@pytest.fixture(autouse=True)
def _little_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter courses and fewer transitions than a person's measurement has; several members on a busy machine too."""
    monkeypatch.setattr(updates, "LEAST_SECONDS", float("inf"))
    monkeypatch.setattr(environments, "STEPS", 16)
    monkeypatch.setattr(updates, "TRANSITIONS", 32)
    monkeypatch.setattr(environments, "measure", functools.partial(environments.measure, num_envs=2))
    few = functools.partial(checkpoint_cost.measure, transitions=400, new=20)
    monkeypatch.setattr(checkpoint_cost, "measure", few)


def test_bench_prints_what_was_measured_and_what_to_make_of_it(run: Callable[..., str]) -> None:
    said = run(*WORDS)
    assert "hopper, omad, one torch thread" in said
    for row in (
        "environment steps/s a core, 2 at once",
        "mj_step alone",
        "update, P = 16",
        "acting",
        "checkpoint",
    ):
        assert row in said
    assert re.search(r"its matrix products alone, P = 1 .* an update takes \d+\.\d\d x", said), said
    suggested = re.search(r"Suggested: --workers (\d+), and (\d+) members? a program on cpu\.", said)
    assert suggested, said
    assert int(suggested[1]) >= 1
    assert int(suggested[2]) in (1, 4, 16)


def test_bench_says_the_same_to_programs(run: Callable[..., str]) -> None:
    told = json.loads(run(*WORDS, "--json"))
    assert told["suggestion"]["workers"] >= 1
    assert told["suggestion"]["members"] in (1, 4, 16)
    assert set(told["updates"]["ms"]) == {"1", "4", "16"}
    assert told["environment"]["ours"] > 0
    assert told["saving"]["new"] >= 20
    assert told["config"]["actor.hidden_width"] == 8
    assert told["ratios"]["update_over_gaussian"] > 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_bench_measures_every_algorithm_beside_its_own_products(
    algorithm: str, run: Callable[..., str]
) -> None:
    told = json.loads(run(*WORDS, "--algorithm", algorithm, *TINY.get(algorithm, ()), "--json"))
    assert told["config"]["algorithm"] == algorithm
    assert told["ratios"]["update_over_products"] > 0


def test_bench_refuses_what_it_cannot_measure_before_it_begins(run: Callable[..., str]) -> None:
    assert "hopper" in run("bench", "--task", "hoper", code=2)
    assert "actor.hidden_width" in run(*WORDS, "--set", "actor.hiden_width=8", code=2)
