"""Whatever users' code raises or answers is one sentence that says where, and costs its own environment alone."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import omad_search
from omad_core.config import EnvConfig
from omad_core.envs import make_env, make_spec
from omad_core.envs.base import StepRaised
from omad_core.errors import CheckpointError, ConfigError, EnvironmentFailed, NotFinite, OmadError, TaskError

STEP = 3
"""The step in which worlds of a kind are peculiar."""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def begun(build: Any, kind: str, task: str = "odd_worlds:make", **settings: Any) -> Any:
    env = build(task, env=EnvConfig(args={"kind": kind} if kind else {}, **settings))
    env.reset([0], [0])
    return env


def actions(env: Any) -> np.ndarray:
    return np.zeros((env.num_envs, env.spec.num_agents, env.spec.action_width))


def failure(env: Any, steps: int = STEP) -> EnvironmentFailed:
    """What the environment fails with in this step."""
    for _ in range(steps - 1):
        env.step(actions(env))
    with pytest.raises(StepRaised) as raised:
        env.step(actions(env))
    return raised.value.errors[0]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("raises", "raised ValueError in step (step 3): the simulator failed, tests/"),
        ("exits", "raised SystemExit in step (step 3): 3, "),
        ("interrupts", "raised KeyboardInterrupt in step (step 3): "),
        ("generator exits", "raised GeneratorExit in step (step 3): "),
        ("is mute", "raised Mute in step (step 3): "),
    ],
)
def test_what_is_raised_is_told_with_call_step_and_line(
    kind: str, words: str, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[4])
    error = failure(begun(build, kind))
    text = Path(__file__).with_name("odd_worlds.py").read_text().splitlines()
    line = next(n for n, code in enumerate(text, 1) if f'case "{kind}"' in code) + 1
    assert str(error).startswith(f"odd_worlds:make {words}")
    assert str(error).endswith(f"tests/omad_core/envs/pettingzoo/odd_worlds.py line {line}")
    assert error.__cause__ is not None, "the user's own traceback is kept"


def test_ctrl_c_in_users_code_is_nobodys_failure(build: Any) -> None:
    env = begun(build, "is interrupted")
    env.step(actions(env))
    env.step(actions(env))
    with pytest.raises(KeyboardInterrupt):
        env.step(actions(env))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nan reward", "the reward of agent a1 was nan at step 3 of the environment"),
        ("infinite reward", "the reward of agent a0 was -inf at step 3 of the environment"),
        (
            "huge reward",
            "the reward of agent a0 was 1e+39 at step 3 of the environment, beyond what float32 holds",
        ),
        (
            "nan observation",
            "the observation of agent a1 was nan in 1 of 4 numbers at step 3 of the environment",
        ),
        ("infinite observation", "the observation of agent a0 was inf in 3 of 3 numbers at step 3"),
    ],
)
def test_numbers_that_cannot_be_trained_with_are_told_with_agent_and_step(
    kind: str, words: str, build: Any
) -> None:
    error = failure(begun(build, kind))
    assert isinstance(error, NotFinite)
    assert words in str(error)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no number", "the reward of agent a0 is None, not a number"),
        ("two rewards", "the reward of agent a0 is array([1., 1.]), not a number"),
        ("no reward", "there is no reward of agent a1 at step 3"),
        ("one for three", "the observation of agent a0 has shape [1], its space says [3]"),
        ("transposed", "the observation of agent a1 has shape [4], its space says [2, 2]"),
        ("words", "the observation of agent a0 is 'north', not numbers of shape [3]"),
        ("no observation", "there is no observation of agent a0 at step 3"),
    ],
)
def test_answers_that_do_not_fit_are_refused_by_name(kind: str, words: str, build: Any) -> None:
    assert words in str(failure(begun(build, kind)))


def test_forms_that_most_libraries_take_are_taken(build: Any, caplog: pytest.LogCaptureFixture) -> None:
    env = begun(build, "", "odd_worlds:lenient")
    assert caplog.text.count("its reset takes no seed") == 1
    steps = [env.step(actions(env)) for _ in range(5)]
    assert [step.reward[0] for step in steps] == [3.0] * 5
    assert [step.terminated[0] for step in steps] == [False] * 4 + [True]
    assert steps[1].obs[0].tolist() == [[2, 2, 2, 0], [2, 2, 2, 2]]


def old_step(self: Any, given: Any) -> Any:
    return {}, {}, {}, {"a0": {}}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda self, given: None, "step gave 1 value; a ParallelEnv gives observations, rewards, term"),
        (old_step, "step gave 4 values"),
        (lambda self, given: ([], {}, {}, {}, {}), "step gave list as observations, not a dict by agent"),
        (lambda self, given: ({}, 1.0, {}, {}, {}), "step gave float as rewards, not a dict by agent"),
    ],
)
def test_an_answer_of_another_form_is_refused(
    answer: Any, words: str, build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = begun(build, "plain")
    monkeypatch.setattr("odd_worlds.World.step", answer)
    assert words in str(failure(env, 1))


def test_agents_that_leave_in_the_middle_and_come_in_another_order_keep_their_places(build: Any) -> None:
    env = begun(build, "", "odd_worlds:leaving")
    steps = [env.step(actions(env)) for _ in range(5)]
    assert [step.obs[0].tolist() for step in steps[1:4]] == [
        [[2, 2, 2, 0], [2, 2, 2, 2]],
        [[3, 3, 3, 0], [3, 3, 3, 3]],
        [[0, 0, 0, 0], [4, 4, 4, 4]],
    ]
    assert [step.reward[0] for step in steps] == [2, 2, 2, 1, 1]
    assert [(step.terminated[0], step.truncated[0]) for step in steps] == [(False, False)] * 4 + [
        (True, False)
    ]


HINT = "; --set env.state=observations does without state()"


def test_a_state_is_not_asked_for_after_the_end(build: Any) -> None:
    env = build("odd_worlds:stated", env=EnvConfig(args={"needed": "a1"}))
    env.reset([0], [0])
    steps = [env.step(actions(env)) for _ in range(5)]
    assert steps[4].terminated[0]
    assert [step.state[0, 0] for step in steps] == [1, 2, 3, 4, 4], "after the end it stays"


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"args": {"needed": "a0"}}, 3),
        ({"args": {"needed": "a1", "cut": True}}, 5),
        ({"args": {"needed": "a1"}, "state": "own"}, 5),
    ],
    ids=["in the middle", "at a cut, beyond which returns count", "its own at every step"],
)
def test_a_state_that_worked_once_and_raises_is_told_with_what_to_do(
    settings: Any, steps: int, build: Any
) -> None:
    env = build("odd_worlds:stated", env=EnvConfig(**settings))
    env.reset([0], [0])
    error = str(failure(env, steps))
    assert f"odd_worlds:stated raised AttributeError in state (step {steps}): 'NoneType'" in error
    assert error.endswith(HINT)


def test_observations_can_be_the_state(build: Any) -> None:
    env = build("odd_worlds:stated", env=EnvConfig(state="observations"))
    env.reset([0], [0])
    assert env.spec.state_dim == 7
    steps = [env.step(actions(env)) for _ in range(5)]
    assert [step.state[0].tolist() for step in steps[2:]] == [[3] * 7, [0] * 3 + [4] * 4, [0] * 3 + [5] * 4]


def test_a_state_that_is_asked_for_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"env.state=own, but odd_worlds:make has no state"):
        make_spec("odd_worlds:make", EnvConfig(state="own"))
    with pytest.raises(ConfigError, match=r"env.state=observations is for .* hopper has its own"):
        make_spec("hopper", EnvConfig(state="observations"))
    with pytest.raises(ConfigError, match=r"env.state=observations is for"):
        make_env("simple_spread_n3", EnvConfig(state="observations"))


def process_settings() -> list[object]:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return [*handlers, torch.get_default_dtype(), torch.is_grad_enabled(), np.geterr(), Path.cwd()]


def test_settings_of_the_process_that_users_code_changes_are_put_back(build: Any) -> None:
    before = process_settings()
    env = build("odd_worlds:meddling")
    env.reset([0], [0])
    assert process_settings() == before


@pytest.mark.parametrize("way", ["exits", "raises", "goes on"])
def test_a_process_that_users_code_forks_off_does_not_go_on_as_this_program(
    way: str, build: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    env = build("odd_worlds:forking", env=EnvConfig(args={"way": way}))
    env.reset([0], [0])
    with (tmp_path / "processes").open("a") as file:
        file.write("here\n")
    assert (tmp_path / "processes").read_text() == "here\n"
    assert ("in the copy" in capfd.readouterr().err) == (way == "raises")


def test_spaces_that_change_are_told(build: Any) -> None:
    env = build("odd_worlds:growing")
    with pytest.raises(EnvironmentFailed, match=r"the action space of agent a1 was .* and is now .* stay"):
        env.reset([0], [0])
    with pytest.raises(
        EnvironmentFailed, match=r"its agents were a0, a1 and are now a0|were a0 and are now a0, a1"
    ):
        build("odd_worlds:fewer", 2)


def test_what_cannot_be_closed_hides_nothing(build: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TaskError, match="actions of a0 are three buttons"):
        make_spec("odd_worlds:switches", EnvConfig())
    assert "odd_worlds:switches raised RuntimeError in close: closed already" in caplog.text
    make_env("odd_worlds:unclosable").close()
    assert "odd_worlds:unclosable raised RuntimeError in close: closed already" in caplog.text


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("odd_worlds:nothing", "gives None and no environment"),
        ("odd_worlds:exits", "odd_worlds:exits raised SystemExit in exits: "),
    ],
)
def test_a_factory_that_gives_nothing_says_so(task: str, words: str) -> None:
    with pytest.raises(OmadError, match=words):
        make_spec(task, EnvConfig())


def test_what_cannot_be_saved_or_restored_is_a_checkpoint_error(build: Any) -> None:
    env = begun(build, "", "odd_worlds:saving")
    with pytest.raises(CheckpointError, match="save_state gave 'kind' as object; only arrays of numbers"):
        env.save(0)
    env.reset([0], [0])
    saved = {
        "seed": np.array(0, np.uint64),
        "elapsed": np.array(0),
        "obs": np.zeros((2, 4)),
        "state": np.zeros(7),
    }
    with pytest.raises(CheckpointError, match="raised SystemExit in restore_state: not today"):
        env.restore(0, saved)
    env.reset([0], [0])


def test_a_failure_costs_its_neighbours_nothing(build: Any) -> None:
    env = build("odd_worlds:make", 2, env=EnvConfig(args={"kind": "raises"}))
    env.reset([0, 1], [0, 1])
    env.step(actions(env)[:1], [0])
    env.step(actions(env))
    with pytest.raises(StepRaised) as raised:
        env.step(actions(env))
    assert list(raised.value.errors) == [0]
    assert raised.value.answer.obs[1, 0].tolist() == [2, 2, 2, 0]
    env.reset([0], [0])
    assert env.step(actions(env)[:1], [0]).reward.tolist() == [2.0]


WORLD = "from odd_worlds import make\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder whose modules can be imported, and are forgotten after the test; our names are taken."""
    omad_search.claim_names()
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["tracking", "search", "cli", "studies"])
@pytest.mark.parametrize(
    "code",
    ["from {0} import note\n", "import {0}\n{0}.note()\n", "import {0}.notes\n"],
    ids=["name", "use", "module"],
)
def test_a_module_of_the_users_whose_name_is_taken_is_told(name: str, code: str, folder: Path) -> None:
    (folder / f"{name}.py").write_text("def note(): pass\n")
    (folder / "clashing.py").write_text(code.format(name) + WORLD)
    with pytest.raises(
        OmadError, match=f"clashing:make cannot use {name}.py of its own: the name `{name}` belongs"
    ):
        make_spec("clashing:make", EnvConfig())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 / 0\n", "raised ZeroDivisionError in import broken: division by zero, broken.py line 1"),
        ("raise SystemExit(2)\n", "raised SystemExit in import broken: 2, broken.py line 1"),
        ("def (:\n", "raised SyntaxError in import broken: .*broken.py line 1"),
        ("import no_such_package\n", "raised ModuleNotFoundError .*'no_such_package', broken.py line 1"),
        ("from tracking import no_such_name\n", "raised ImportError in import broken: cannot import name"),
    ],
)
def test_what_an_import_raises_is_told(code: str, words: str, folder: Path) -> None:
    (folder / "broken.py").write_text(code)
    with pytest.raises(OmadError, match=words):
        make_spec("broken:make", EnvConfig())
