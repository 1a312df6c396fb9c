"""TrainConfig: every number of a training, each with its default, bounds and sentence in one place.

Help texts, documentation, TOML checks and command-line overrides all read these fields. The letters are
those of `docs/algorithm.md`; `[omad]` arXiv 2602.18291, `[dime]` arXiv 2502.02316, `[ours]` a decision here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, Literal

from omad_core.algorithms import ALGORITHMS, OMAD, HasacConfig, MadpmdConfig, check_algorithm, of_policy
from omad_core.errors import ConfigError
from omad_core.settings import check, get, replace, setting, walk

Scalar = bool | int | float | str
MORE_THAN_ZERO = "give a number above 0"


@dataclass(frozen=True)
class EnvConfig:
    """The world: what agents and critic see of it, and arguments of the simulator."""

    agent_obsk: int | None = setting(
        1,
        "MAMuJoCo: how many joints away an agent sees; none = the full observation",
        low=0,
        high=20,
        structure=True,
    )
    adversary: Literal["static", "random", "greedy"] = setting(
        "greedy", "Physical Deception: the fixed rule the adversary follows", structure=True
    )
    state: Literal["auto", "own", "observations"] = setting(
        "auto",
        "PettingZoo: global state from the environment's state() or from all observations; auto = own if it has one",
        structure=True,
    )
    args: Mapping[str, Scalar] = setting(
        factory=dict,
        help="Further keyword arguments of the simulator, such as ctrl_cost_weight",
        structure=True,
    )


@dataclass(frozen=True)
class ActorConfig:
    """The policies: one for each agent, separate weights."""

    kind: Literal["diffusion", "gaussian", "ddpm"] = setting(
        "diffusion", "SDE chain, tanh-squashed Gaussian or DDPM; follows from `algorithm`", structure=True
    )
    denoising_steps: int = setting(8, "K: steps of the diffusion chain [omad]", low=1, high=64)
    hidden_width: int = setting(256, "Width of the hidden layers [dime]", low=1, high=8192, structure=True)
    hidden_layers: int = setting(3, "Number of hidden layers [dime]", low=1, high=16, structure=True)
    learning_rate: float = setting(
        3e-4, "Adam's step size of the actors [dime]", low=0.0, high=1.0, idle=MORE_THAN_ZERO
    )
    activation: Literal["gelu", "relu", "mish"] = setting(
        "gelu", "Function after each hidden layer [dime]", structure=True
    )
    log_std: Literal["squashed", "clamped"] = setting(
        "squashed", "Gaussian: how the log standard deviation is kept within its bounds", structure=True
    )
    log_std_min: float = setting(
        -5.0, "Gaussian: least log standard deviation; the largest is 2", low=-20.0, high=1.0, structure=True
    )
    adam_beta1: float = setting(
        0.5, "Adam's beta1 of the actors, eq. 12 [dime]", low=0.0, high=0.999, structure=True
    )
    sigma0: float = setting(
        2.5, "Standard deviation of the chain's start, eq. 1 [dime]", low=1e-3, high=100.0
    )
    diffusion_time: float = setting(
        1.6, "Start of K times the learned step size of the chain, eq. 4 [dime]", low=1e-3, high=100.0
    )
    dt: float | None = setting(
        None,
        "Start of the learned step size itself, in diffusion_time's place; none = diffusion_time / K",
        low=1e-5,
        high=100.0,
    )
    grad_clip: float = setting(
        1.0,
        "Elementwise clip of the actors' gradients [dime]",
        low=0.0,
        high=1e9,
        idle=f"{MORE_THAN_ZERO}; a large one clips nothing",
    )

    mask_padding: bool = setting(
        True, "Keep padded action dimensions out of the chain; false in what earlier releases stored"
    )

    @property
    def first_dt(self) -> float:
        """Where the learned step size starts: `dt`, or what it is where that is none."""
        return self.diffusion_time / self.denoising_steps if self.dt is None else self.dt


@dataclass(frozen=True)
class CriticConfig:
    """The joint critic: an ensemble of distributions of the return, given state and all actions."""

    head: Literal["quantile", "categorical", "scalar"] = setting(
        "quantile",
        "Quantiles (no bound on the return), fixed categories on [-v_max, v_max], or the mean alone",
        structure=True,
    )
    quantiles: int = setting(25, "M of the quantile head [ours]", low=1, high=512)
    drop_top: int = setting(
        0, "Largest pooled target quantiles left out per critic, as in TQC", low=0, high=511
    )
    categories: int = setting(100, "M of the categorical head [omad]", low=2, high=1024, structure=True)
    v_max: float = setting(500.0, "Categorical head: largest absolute soft return", low=1e-3, high=1e9)
    entropy_bonus: float = setting(
        0.005, "Categorical head: weight of the prediction's entropy in the loss [omad]", low=0.0, high=10.0
    )
    ensemble: int = setting(2, "C: number of critics", low=1, high=16, structure=True)
    hidden_width: int = setting(2048, "Width of the hidden layers [dime]", low=1, high=16384, structure=True)
    hidden_layers: int = setting(2, "Number of hidden layers [dime]", low=1, high=16, structure=True)
    learning_rate: float = setting(
        3e-4, "Adam's step size of the critics [dime]", low=0.0, high=1.0, idle=MORE_THAN_ZERO
    )
    adam_beta1: float = setting(
        0.5, "Adam's beta1 of the critics, eq. 12 [dime]", low=0.0, high=0.999, structure=True
    )
    target_tau: float = setting(
        0.0,
        "Share by which target networks follow at each update; 0 = no target networks, as in CrossQ",
        low=0.0,
        high=1.0,
        structure=True,
    )
    norm: Literal["renorm", "none"] = setting(
        "renorm", "BatchRenorm before and after the hidden layers [dime], or none", structure=True
    )
    renorm_warmup: int = setting(
        100_000,
        "Updates with plain batch statistics before BatchRenorm corrects them [dime]",
        low=0,
        high=10**12,
    )


@dataclass(frozen=True)
class EntropyConfig:
    """The scale of the entropy bound in the objective: alpha, eq. 8 to 11."""

    mode: Literal["learned", "fixed"] = setting("learned", "Learn alpha towards `target`, or keep it")
    alpha: float = setting(
        1.0, "Alpha: its start when learned, its value when fixed [dime]", low=1e-8, high=1e4
    )
    target: float = setting(
        4.0,
        "Budget of run cost per action dimension that a learned alpha keeps to, eq. 11 [dime]",
        low=-100.0,
        high=100.0,
    )
    learning_rate: float = setting(
        1e-3,
        "Adam's step size of log alpha [dime]",
        low=0.0,
        high=1.0,
        idle=f"{MORE_THAN_ZERO}, or keep alpha as it is with entropy.mode = fixed",
    )
    adam_beta1: float = setting(
        0.9,
        "Adam's beta1 of log alpha, eq. 12; HASAC's temperatures, MADPMD's T [dime]",
        low=0.0,
        high=0.999,
        structure=True,
    )


@dataclass(frozen=True)
class EvaluationConfig:
    """How often and how the policy is evaluated while it trains."""

    every_steps: int = setting(10_000, "Environment steps between evaluations", low=1, high=10**12)
    episodes: int = setting(10, "Episodes of one evaluation [omad]", low=1, high=10_000, structure=True)
    deterministic: bool = setting(False, "Evaluate without the chain's noise (eps = 0, x_0 = 0)")


@dataclass(frozen=True)
class TrainConfig:
    """One training of one seed. Fields marked `structure` must agree within one `Population`."""

    task: str = setting("hopper", "Task name, or module:factory of a PettingZoo ParallelEnv", structure=True)
    algorithm: Literal["omad", "gaussian", "hasac", "madpmd"] = setting(
        "omad", "What policies and critics are trained towards; has defaults of its own", structure=True
    )
    seed: int = setting(0, "Everything random in this training follows from it", low=0, high=2**62)
    env_steps: int = setting(3_000_000, "Environment steps of the whole training [omad]", low=1, high=10**12)
    random_steps: int = setting(
        5_000, "First steps, with uniform actions and no updates [dime]", low=1, high=10**12
    )
    num_envs: int = setting(
        1, "E: environments of one member, stepped together", low=1, high=4096, structure=True
    )
    updates_per_step: int | float = setting(
        1,
        "Critic updates per environment step; a fraction such as 0.05 has up to three decimals [ours]",
        low=0.001,
        high=64,
        structure=True,
    )
    policy_delay: int = setting(3, "Critic updates per actor update [dime]", low=1, high=64, structure=True)
    batch_size: int = setting(256, "B: transitions of one update [omad]", low=2, high=2**20, structure=True)
    replay_size: int = setting(
        1_000_000, "Transitions that replay holds [omad]", low=2, high=10**9, structure=True
    )
    gamma: float = setting(0.99, "Discount of one step [dime]", low=0.0, high=1.0)
    n_step: int = setting(1, "Rewards summed before the bootstrap, eq. 9", low=1, high=64, structure=True)
    matmul_precision: Literal["highest", "high", "medium"] = setting(
        "highest", "torch's float32 products; medium is about twice as fast on CPUs with bf16", structure=True
    )
    log_every_steps: int = setting(
        200, "Environment steps between two rows of train/ metrics", low=1, high=10**9
    )
    env: EnvConfig = field(default_factory=EnvConfig)
    actor: ActorConfig = field(default_factory=ActorConfig)
    critic: CriticConfig = field(default_factory=CriticConfig)
    entropy: EntropyConfig = field(default_factory=EntropyConfig)
    hasac: HasacConfig = field(default_factory=HasacConfig)
    madpmd: MadpmdConfig = field(default_factory=MadpmdConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        check(self)
        check_algorithm(self.algorithm, self.actor.kind, vars(self))
        _check_together(self)

    @classmethod
    def implied(cls, before: "TrainConfig", values: Mapping[str, Any]) -> dict[str, Any]:
        """What settings that are given say of others: an algorithm its kind of policy, a kind alone its algorithm."""
        if "algorithm" in values:
            named = ALGORITHMS.get(values["algorithm"])
            return {"actor.kind": named.policy} if named else {}
        kind = values.get("actor.kind", before.actor.kind)
        return {} if kind == ALGORITHMS[before.algorithm].policy else {"algorithm": of_policy(kind)}


def default_config(task: str, algorithm: str = OMAD) -> TrainConfig:
    """An algorithm's own defaults. Raises ConfigError for an unknown one."""
    named = ALGORITHMS.get(algorithm)
    return replace(TrainConfig(task=task), {"algorithm": algorithm, **(named.defaults if named else {})})


def _check_together(config: TrainConfig) -> None:
    """Refuse settings that are each fine and contradict one another."""
    _check_step_size(config.actor)
    critic = config.critic
    if critic.head == "quantile" and critic.drop_top >= critic.quantiles:
        raise ConfigError(
            f"critic.drop_top = {critic.drop_top} leaves none of critic.quantiles = {critic.quantiles}; "
            "choose a smaller critic.drop_top"
        )
    if 1_000 % _exact(config.updates_per_step).denominator:
        raise ConfigError(
            f"updates_per_step = {config.updates_per_step} has more than three decimals; "
            f"round it, say to {max(0.001, round(config.updates_per_step, 3)):g}"
        )
    if config.replay_size < config.batch_size:
        raise ConfigError(
            f"replay_size = {config.replay_size} is smaller than batch_size = {config.batch_size}; "
            "make replay_size larger"
        )


def _check_step_size(actor: ActorConfig) -> None:
    """Refuse a chain whose step size is said in two ways that differ; a stored one says it in both."""
    divided = actor.diffusion_time / actor.denoising_steps
    if actor.diffusion_time != ActorConfig.diffusion_time and actor.dt not in (None, divided):
        raise ConfigError(
            f"actor.diffusion_time = {actor.diffusion_time:g} and actor.dt = {actor.dt:g} both say where the chain's "
            "step size starts; give one of them (actor.dt = none leaves it to actor.diffusion_time)"
        )


@cache
def _exact(number: float) -> Fraction:
    """A number as it is written: 0.05 is 1/20."""
    return Fraction(str(number))


def update_rate(config: TrainConfig) -> Fraction:
    """Updates of the critics per vector step of E environments."""
    return config.num_envs * _exact(config.updates_per_step)


def in_effect(config: TrainConfig, path: str) -> Any:
    """The value that holds for a setting: of `actor.dt` the number also where it is none."""
    return config.actor.first_dt if path == "actor.dt" else get(config, path)


def structure(config: TrainConfig) -> dict[str, Any]:
    """The fields that members of one population must share, by dotted path."""
    return {path: value for path, value, info in walk(config) if info.structure}
