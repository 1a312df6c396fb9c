"""The engine: what one member does depends on itself alone."""

import importlib
import itertools
import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from member_checks import advance_to, assert_same, learned

from omad_core.checkpoint import checkpoint
from omad_core.engine import clock
from omad_core.envs import make_env
from omad_core.errors import CheckpointError, ConfigError, EnvironmentFailed
from omad_core.events import Broken, Evaluated, Finished, Progress, Warned
from omad_core.population import Population
from omad_core.rng.streams import Stream, env_seeds
from omad_core.settings import replace
from omad_core.training import train


def arrays_of(population, member):
    return population.snapshot(member).arrays


def trajectory(events, member):
    return [(e.env_steps, e.returns) for e in events if isinstance(e, Evaluated) and e.member == member]


def test_a_training_ends_at_its_steps_with_evaluations_on_the_way(small, run_to_end):
    population = Population(small(), slice_seconds=0)
    member = population.admit(small())
    events = run_to_end(population, {member})
    assert [e.env_steps for e in events if isinstance(e, Evaluated)] == [40, 60]
    assert [e for e in events if isinstance(e, Finished)] == [Finished(member, 60)]
    rows = [e for e in events if isinstance(e, Progress) and e.metrics]
    assert [r.env_steps for r in rows] == [20, 40, 60]
    assert rows[-1].updates == 40
    assert {"train/alpha", "train/run_cost_per_dim", "train/q_mean"} <= rows[-1].metrics.keys()
    population.close()


@pytest.mark.parametrize("task", ["hopper", "simple_spread_n3"])
@pytest.mark.parametrize("head", ["quantile", "categorical"])
def test_a_resumed_population_is_bit_for_bit_the_uninterrupted_one(small, run_to_end, tmp_path, task, head):
    configs = [
        small(task=task, critic__head=head, seed=s, gamma=g, n_step=3, replay_size=32)
        for s, g in ((1, 0.99), (2, 0.9))
    ]
    whole = Population(configs[0], 2, slice_seconds=0)
    members = [whole.admit(c) for c in configs]
    expected_events = run_to_end(whole, set(members))
    expected = [whole.snapshot(m) for m in members]
    whole.close()

    first = Population(configs[0], 2, slice_seconds=0)
    members = [first.admit(c) for c in configs]
    advance_to(first, members[0], 30)
    early = checkpoint.write(tmp_path, [first.snapshot(m) for m in members])
    advance_to(first, members[0], 50)
    states = [first.snapshot(m, stored) for m, stored in zip(members, early.stored, strict=True)]
    late = checkpoint.write(tmp_path, states, previous=early)
    first.close()

    second = Population(configs[0], 2, slice_seconds=0)
    states, _ = checkpoint.read(tmp_path, late.name, late.digest)
    members = [second.admit(c, s) for c, s in zip(configs, states, strict=True)]
    events = run_to_end(second, set(members))
    for member, state in zip(members, expected, strict=True):
        resumed = second.snapshot(member)
        assert_same(resumed.arrays, state.arrays)
        assert_same(resumed.replay.frames, state.replay.frames)
        assert_same(resumed.replay.finals, state.replay.finals)
        assert (resumed.counters, resumed.records) == (state.counters, state.records)
        assert (
            trajectory(events, member)
            == trajectory(expected_events, member)[-len(trajectory(events, member)) :]
        )
    second.close()


THEIRS = {
    "gamma": 0.5,
    "actor.learning_rate": 1e-3,
    "actor.denoising_steps": 6,
    "actor.sigma0": 1.5,
    "actor.dt": 0.2,
    "actor.mask_padding": False,
    "actor.grad_clip": 0.1,
    "critic.learning_rate": 2e-3,
    "critic.quantiles": 9,
    "critic.drop_top": 1,
    "critic.v_max": 20.0,
    "critic.entropy_bonus": 0.05,
    "critic.renorm_warmup": 5,
    "entropy.alpha": 0.3,
    "entropy.target": 2.0,
    "entropy.learning_rate": 1e-2,
}
"""Everything in which members of one program may differ, other than in `small`."""


@pytest.mark.parametrize("head", ["quantile", "categorical"])
@pytest.mark.parametrize("mode", ["learned", "fixed"])
def test_a_member_among_others_trains_as_it_does_alone(small, run_to_end, head, mode):
    config = small(seed=5, critic__head=head, entropy__mode=mode)
    alone = Population(config, slice_seconds=0)
    member = alone.admit(config)
    run_to_end(alone, {member})
    expected = learned(arrays_of(alone, member))
    alone.close()

    changed = {"entropy.mode": "learned" if mode == "fixed" else "fixed", "env_steps": 90, "seed": 6}
    other = replace(config, THEIRS | changed)
    # The program is made for the other one: what it takes from there instead of from its member is wrong.
    crowd = Population(other, 3, max_quantiles=9, slice_seconds=0)
    crowd.admit(other)
    advance_to(crowd, 0, 14)
    member = crowd.admit(config)
    run_to_end(crowd, {member})
    assert_same(learned(arrays_of(crowd, member)), expected, exact=False)
    crowd.close()


def test_evicting_a_member_changes_nothing_for_the_others(small, run_to_end):
    config, other = small(seed=1), small(seed=2, actor__denoising_steps=5)
    ends = []
    for evict in (False, True):
        population = Population(config, 2, slice_seconds=0)
        stays, goes = population.admit(config), population.admit(other)
        advance_to(population, stays, 30)
        if evict:
            population.evict(goes)
            population.admit(small(seed=9, actor__denoising_steps=2))
        run_to_end(population, {stays})
        ends.append(learned(arrays_of(population, stays)))
        population.close()
    assert_same(ends[0], ends[1], exact=False)


def test_a_member_evicted_from_its_evaluation_leaves_nothing_there(small, run_to_end):
    config = small(seed=1, actor__denoising_steps=2, evaluation__every_steps=120)
    population = Population(config, 2, slice_seconds=0)
    goes, stays = (
        population.admit(replace(config, {"actor.denoising_steps": 6, "seed": 2})),
        population.admit(config),
    )
    while population.between_evaluations(goes):
        population.advance()
    population.advance()
    population.evict(goes)
    comes = population.admit(small(seed=3, actor__denoising_steps=2))
    run_to_end(population, {stays, comes})
    population.close()


def test_a_diverged_member_ends_alone_with_its_last_finite_state(small, run_to_end):
    good, bad = (
        small(seed=1),
        small(seed=2, critic__learning_rate=1.0, actor__learning_rate=1.0, env_steps=400),
    )
    population = Population(good, 2, slice_seconds=0)
    kept, lost = population.admit(good), population.admit(bad)
    advance_to(population, lost, 40)
    with torch.no_grad():
        population._member_batch.learner.actor["last.bias"][1].fill_(torch.nan)
    events = run_to_end(population, {kept, lost})
    assert [type(e).__name__ for e in events if e.member == lost][-1] == "Diverged"
    assert any(isinstance(e, Finished) and e.member == kept for e in events)
    assert all(np.isfinite(a).all() for a in learned(arrays_of(population, lost)).values())
    population.close()


def test_divergence_is_noticed_while_a_neighbours_evaluation_begins(small, monkeypatch):
    config = small(evaluation__every_steps=40)
    population = Population(config, 2, slice_seconds=0)
    evaluated = population.admit(config)
    advance_to(population, evaluated, 20)
    lost = population.admit(replace(config, {"seed": 2}))
    advance_to(population, evaluated, 38)
    step = population._trainer.step

    def break_down(*given):
        events = step(*given)
        with torch.no_grad():
            population._member_batch.learner.actor["last.bias"][1].fill_(torch.nan)
        return events

    monkeypatch.setattr(population._trainer, "step", break_down)
    population._slice_seconds = 3.5
    with monkeypatch.context() as clock:
        clock.setattr(
            time, "monotonic", itertools.count().__next__
        )  # a second a look: one step, then an evaluation
        events = population.advance()
    assert population._evaluator.running
    assert [type(e).__name__ for e in events if e.member == lost] == ["Diverged"]
    assert all(np.isfinite(a).all() for a in learned(arrays_of(population, lost)).values())
    population.close()


def test_a_state_that_is_not_finite_is_refused(small):
    config = small()
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    advance_to(population, member, 30)
    state = population.snapshot(member)
    population.evict(member)
    state.arrays["critic/last.bias"][0] = np.nan
    with pytest.raises(CheckpointError, match=r"critic/last\.bias is not finite"):
        population.admit(config, state)
    state.arrays["critic/last.bias"][0] = 0.0
    state.arrays["critic.second/last.bias"][0] = np.inf
    population.admit(config, state)
    population.close()


@pytest.mark.parametrize("head", ["quantile", "categorical"])
def test_weights_lost_in_the_last_update_are_no_result(small, run_to_end, head):
    config = small(env_steps=40, critic__head=head)
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    advance_to(population, member, 38)
    learn = population._member_batch.learner.update_critic

    def break_down(*given):
        learn(*given)
        with torch.no_grad():
            population._member_batch.learner.actor["last.bias"].fill_(torch.nan)

    population._member_batch.learner.update_critic = break_down
    events = run_to_end(population, {member})
    assert not [e for e in events if isinstance(e, Evaluated | Finished)]
    population.close()


def test_nan_in_a_categorical_critic_ends_the_member_and_raises_nothing(small, run_to_end):
    config = small(critic__head="categorical")
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    advance_to(population, member, 30)
    with torch.no_grad():
        population._member_batch.learner.critic["last.bias"].fill_(torch.nan)
    assert type(run_to_end(population, {member})[-1]).__name__ == "Diverged"
    population.close()


def test_a_member_that_had_finished_says_so_again_and_how_far_it_is_where_it_is_taken_up(small, run_to_end):
    first = Population(small(), slice_seconds=0)
    member = first.admit(small())
    made = [e.updates for e in run_to_end(first, {member}) if isinstance(e, Progress)]
    state = first.snapshot(member)
    first.close()
    second = Population(small(), slice_seconds=0)
    member = second.admit(small(), state)
    events = second.advance()
    assert Finished(member, 60) in events
    assert events.index(Progress(member, 60, max(made), {})) < events.index(Finished(member, 60))
    second.close()


def test_between_evaluations_nothing_is_running_or_due(small):
    population = Population(small(), slice_seconds=0)
    member = population.admit(small())
    advance_to(population, member, 38)
    assert population.between_evaluations(member)
    advance_to(population, member, 40)
    assert not population.between_evaluations(member)
    while not population.between_evaluations(member):
        population.advance()
    assert len(population.snapshot(member).records["evaluations"]) == 1
    population.close()


def test_members_of_another_structure_are_refused_by_name(small):
    population = Population(small(), slice_seconds=0)
    with pytest.raises(ConfigError, match="batch_size = 8"):
        population.admit(small(batch_size=8))
    with pytest.raises(ConfigError, match=r"critic\.quantiles = 6"):
        population.admit(small(critic__quantiles=6))
    population.admit(small())
    with pytest.raises(ConfigError, match="evict"):
        population.admit(small())


def test_a_checkpoint_of_other_settings_is_refused(small, run_to_end):
    population = Population(small(), slice_seconds=0)
    member = population.admit(small())
    run_to_end(population, {member})
    state = population.snapshot(member)
    population.evict(member)
    with pytest.raises(CheckpointError, match="other settings"):
        population.admit(small(gamma=0.5), state)


def test_too_small_a_v_max_is_warned_of_once(small, run_to_end):
    config = small(
        critic__head="categorical", critic__v_max=0.01, critic__categories=100, critic__learning_rate=1e-2
    )
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    warnings = [e.message for e in run_to_end(population, {member}) if isinstance(e, Warned)]
    population.close()
    assert len(warnings) == 1
    assert "critic.v_max = 0.01 is too small" in warnings[0]


def test_returns_that_fit_are_no_reason_to_warn_also_while_the_critic_knows_nothing(small, run_to_end):
    config = small(critic__head="categorical", critic__v_max=1e5, critic__categories=100)
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    assert not [e for e in run_to_end(population, {member}) if isinstance(e, Warned)]
    population.close()


def test_the_time_of_snapshots_is_told_apart(small, run_to_end):
    population = Population(small(), slice_seconds=0)
    member = population.admit(small())
    advance_to(population, member, 30)
    for _ in range(20):
        population.snapshot(member)
    events = run_to_end(population, {member})
    population.close()
    shares = [e.metrics["time/saving_share"] for e in events if isinstance(e, Progress) and e.metrics]
    assert max(shares) > 0.0


def test_what_a_population_writes_is_part_of_saving(small, run_to_end, monkeypatch):
    ticks = (
        itertools.count()
    )  # a clock that goes on by one whenever it is read, and by 1,000 while something is written
    written = [0]
    monkeypatch.setattr(
        clock, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks) + 1_000 * written[0]))
    )
    population = Population(small(), slice_seconds=0)
    member = population.admit(small())
    advance_to(population, member, 20)
    with population.saving():
        population.snapshot(member)  # a block within the block: it counts once
        written[0] += 1
    events = run_to_end(population, {member})
    population.close()
    rows = [e.metrics for e in events if isinstance(e, Progress) and e.metrics]
    shares = [sum(row[name] for name in row if name.endswith("_share")) for row in rows]
    assert rows[0]["time/saving_share"] > 0.5
    assert all(row["time/saving_share"] == 0.0 for row in rows[1:])
    assert all(share <= 1.0 for share in shares)


@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_a_researcher_sees_every_metric(small, run_to_end, kind):
    config = small(actor__kind=kind, critic__head="categorical", log_every_steps=10, env_steps=100)
    population = Population(config, slice_seconds=0)
    events = run_to_end(population, {population.admit(config)})
    population.close()
    rows = [e.metrics for e in events if isinstance(e, Progress) and e.metrics]
    agents = [f"entropy_bound_{name}" for name in population.spec.agents]
    updates = ["critic_loss", "q_mean", "q_spread", "edge_mass", "critic_grad_norm", "actor_loss", "alpha"]
    updates += ["run_cost_per_dim", "entropy_bound", "actor_grad_norm", *agents]
    times = ["env_steps_per_second", "updates_per_second"]
    times += [f"{name}_share" for name in ("environment", "acting", "learning", "evaluating", "saving")]
    wanted = {f"train/{n}" for n in updates} | {f"time/{n}" for n in times}
    assert wanted <= rows[-1].keys()
    assert {"train/return_mean", "train/episode_length"} <= {name for row in rows for name in row}
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    each = sum(rows[-1][f"train/{name}"] for name in agents)
    assert each == pytest.approx(rows[-1]["train/entropy_bound"], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("per_step", "delay"), [(1, 3), (2, 1), (3, 2), (0.05, 1), (0.5, 3)])
def test_actors_are_updated_after_every_so_many_updates_of_the_critics(small, run_to_end, per_step, delay):
    config = small(updates_per_step=per_step, policy_delay=delay)
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    last = [e for e in run_to_end(population, {member}) if isinstance(e, Progress) and e.metrics][-1]
    arrays = arrays_of(population, member)
    population.close()
    # The first 20 of 60 steps are random.
    assert last.updates == arrays["critic.steps/steps"] == 40 * per_step
    assert arrays["actor.steps/steps"] == pytest.approx(40 * per_step / delay, abs=1)
    assert arrays["temperature.steps/steps"] == arrays["actor.steps/steps"]


def test_evaluation_is_sampled_or_deterministic_as_the_config_says(small, run_to_end):
    returns = {}
    for deterministic in (True, False):
        config = small(
            task="simple_spread_n3", evaluation__deterministic=deterministic, actor__learning_rate=0.0
        )
        population = Population(config, slice_seconds=0)
        member = population.admit(config)
        returns[deterministic] = trajectory(run_to_end(population, {member}), member)
        policy = population.policy(member)
        if deterministic:
            env = make_env(config.task, config.env, 1)
            seeds = env_seeds(config.seed, Stream.EVALUATION_RESET, 0, range(30, 31))
            assert returns[True][-1][1][0] == pytest.approx(played(env, policy, seeds), rel=1e-4)
        population.close()
    assert returns[True] != returns[False]


def played(env, policy, seeds):
    """Return of one episode of the deterministic policy, played by hand."""
    env.reset([0], seeds)
    total, over = 0.0, False
    while not over:
        obs = torch.from_numpy(env.observe()[0].astype(np.float32)).transpose(0, 1)[None]
        noise = torch.zeros(policy.noises, 1, policy.spec.num_agents, 1, policy.spec.action_width)
        step = env.step(policy.squashed(obs, noise)[0].transpose(0, 1).numpy().astype(np.float64))
        total, over = total + float(step.reward[0]), bool(step.truncated[0])
    return total


def test_a_users_own_environment_trains_and_says_that_its_episodes_begin_anew(small, run_to_end, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "envs"))
    config = small(task="toy_worlds:relay")
    first = Population(config, slice_seconds=0)
    member = first.admit(config)
    advance_to(first, member, 32)
    state = first.snapshot(member)
    first.close()
    second = Population(config, slice_seconds=0)
    member = second.admit(config, state)
    events = run_to_end(second, {member})
    warned = [e.message for e in events if isinstance(e, Warned)]
    assert warned == ["toy_worlds:relay cannot save its state: the running episodes were cut and begin anew"]
    assert [e.env_steps for e in events if isinstance(e, Evaluated)] == [40, 60]
    second.close()


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["after it", "before it"])
@pytest.mark.parametrize(
    ("stream", "env", "episode", "steps", "env_steps"),
    [
        (Stream.RESET, 0, 0, 0, 0),
        (Stream.RESET, 1, 2, 0, 18),
        (Stream.RESET, 1, 2, 4, 28),
        (Stream.EVALUATION_RESET, 1, 20, 0, 40),
        (Stream.EVALUATION_RESET, 1, 20, 3, 40),
    ],
    ids=["at its beginning", "in a later reset", "in a step", "before an evaluation", "in an evaluation"],
)
def test_a_member_whose_environment_raises_harms_nobody(
    small, run_to_end, monkeypatch, stream, env, episode, steps, env_steps, order
):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "envs"))
    (refused,) = (seed % 2**32 for seed in env_seeds(2, stream, env, range(episode, episode + 1)))
    config = small(task="toy_worlds:locked", **{"env.args": {"refused": int(refused), "steps": steps}})
    alone = Population(config, capacity=2, slice_seconds=0)
    member = alone.admit(replace(config, {"seed": 1}))
    expected = trajectory(run_to_end(alone, {member}), member)
    alone.close()
    population = Population(config, capacity=2, slice_seconds=0)
    members = {seed: population.admit(replace(config, {"seed": seed})) for seed in order}
    well, broken = members[1], members[2]
    events = run_to_end(population, {well})
    (told,) = [e for e in events if isinstance(e, Broken)]
    what = "raised ValueError in " + (
        f"step (step {steps + 1}): no way on, " if steps else "reset: no way in, "
    )
    assert (told.member, told.env_steps) == (broken, env_steps)
    assert what in str(told.error)
    assert trajectory(events, well) == expected
    after = events[events.index(told) :]
    assert not [e for e in after if isinstance(e, Progress | Evaluated) and e.member == broken]
    with pytest.raises(CheckpointError, match="broken"):
        population.snapshot(broken)
    assert population.policy(broken) is not None
    population.evict(broken)
    third = population.admit(replace(config, {"seed": 3}))
    assert trajectory(run_to_end(population, {third}), third)
    population.close()
    with pytest.raises(EnvironmentFailed, match=re.escape(what)):
        list(train(replace(config, {"seed": 2})))


def test_an_environment_that_died_is_built_anew_for_whoever_comes_next(small, run_to_end, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "envs"))
    config = small(task="toy_worlds:mortal")
    population = Population(config, slice_seconds=0)
    population.admit(config)
    monkeypatch.setattr(importlib.import_module("toy_worlds").Mortal, "deaths", 1)
    (told,) = (e for _ in range(10) for e in population.advance() if isinstance(e, Broken))
    assert "raised BrokenPipeError in step (step 3): the simulator died, " in str(told.error)
    population.evict(told.member)
    again = population.admit(config)
    assert [at for at, _ in trajectory(run_to_end(population, {again}), again)] == [40, 60]
    population.close()


def test_an_episode_without_agents_breaks_its_member_alone(small, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "envs"))
    config = small(task="toy_worlds:deserted")
    population = Population(config, slice_seconds=0)
    population.admit(config)
    (told,) = (e for _ in range(10) for e in population.advance() if isinstance(e, Broken))
    assert "has no agents after a reset" in str(told.error)
    population.close()


def test_an_evaluation_of_which_only_those_were_left_that_are_evicted_ends(small, run_to_end, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "envs"))
    at = range(20, 21)
    first, *_ = [seed % 2**32 for seed in env_seeds(2, Stream.EVALUATION_RESET, 0, at)]
    config = small(task="toy_worlds:locked", **{"env.args": {"refused": int(first), "steps": 3}})
    population = Population(config, capacity=3, slice_seconds=0)
    well, broken, other = (population.admit(replace(config, {"seed": seed})) for seed in (1, 2, 3))
    episodes = range(config.evaluation.episodes)
    short = {s % 2**32 for n in episodes for s in env_seeds(1, Stream.EVALUATION_RESET, n, at)}
    monkeypatch.setattr(importlib.import_module("toy_worlds").Locked, "short", short)
    told = []
    while not told:
        told = [e.member for e in population.advance() if isinstance(e, Broken)]
    assert told == [broken]
    for member in (broken, other):
        population.evict(member)
    assert [at for at, _ in trajectory(run_to_end(population, {well}), well)] == [40, 60]
    population.close()


def test_two_members_whose_environments_raise_at_once_are_both_told(small, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "envs"))
    (refused,) = (seed % 2**32 for seed in env_seeds(2, Stream.RESET, 0, range(1)))
    config = small(task="toy_worlds:locked", seed=2, **{"env.args": {"refused": int(refused), "steps": 3}})
    population = Population(config, capacity=2, slice_seconds=0)
    members = [population.admit(config) for _ in range(2)]
    told = [e.member for _ in range(10) for e in population.advance() if isinstance(e, Broken)]
    assert told == members
    population.close()


def dies(env, *_):
    """Stands for a method of an environment, which does nothing ever after."""

    def gone(*_, **__):
        raise BrokenPipeError("the simulator is gone")

    env.reset = gone
    raise RuntimeError("out of memory")


def test_a_member_whose_environment_cannot_save_itself_has_no_snapshot(small, run_to_end, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "envs"))
    config = small(task="toy_worlds:saving_relay")
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    advance_to(population, member, 20)
    monkeypatch.setattr("toy_worlds.SavingRelay.save_state", dies)
    with pytest.raises(CheckpointError, match=r"RuntimeError in save_state \(step \d+\): out of memory"):
        population.snapshot(member)
    population.evict(member)
    again = population.admit(config)
    assert [at for at, _ in trajectory(run_to_end(population, {again}), again)] == [40, 60], (
        "it was built anew"
    )
    population.close()


def test_a_member_whose_environment_cannot_take_its_state_back_leaves_its_place_free(
    small, run_to_end, monkeypatch
):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "envs"))
    config = small(task="toy_worlds:saving_relay")
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    advance_to(population, member, 20)
    state = population.snapshot(member)
    population.evict(member)
    with monkeypatch.context() as patch:
        patch.setattr("toy_worlds.SavingRelay.restore_state", dies)
        with pytest.raises(CheckpointError, match="RuntimeError in restore_state: out of memory"):
            population.admit(config, state)
    member = population.admit(config, state)
    assert [at for at, _ in trajectory(run_to_end(population, {member}), member)] == [40, 60]
    population.close()


def test_environments_are_restored_once_and_before_the_member_begins(small, run_to_end, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "envs"))
    config = small(task="toy_worlds:saving_relay")
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    advance_to(population, member, 20)
    state = population.snapshot(member)
    # What was snapshot stays as it was while the member trains on.
    expected = trajectory(run_to_end(population, {member}), member)
    population.evict(member)
    restore, restored = importlib.import_module("toy_worlds").SavingRelay.restore_state, []
    monkeypatch.setattr(
        "toy_worlds.SavingRelay.restore_state",
        lambda world, *saved: restored.append(world) or restore(world, *saved),
    )
    member = population.admit(config, state)
    assert len(restored) == config.num_envs
    assert trajectory(run_to_end(population, {member}), member) == expected
    assert len(restored) == config.num_envs
    population.close()
