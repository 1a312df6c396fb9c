"""TrainConfig: every number of a training, each with its default, bounds and sentence in one place.

Help texts, documentation, TOML checks and command-line overrides all read these fields. The letters are
those of `docs/algorithm.md`; `[omad]` arXiv 2602.18291, `[dime]` arXiv 2502.02316, `[ours]` a decision here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from omad_core.errors import ConfigError
from omad_core.settings import check, setting, walk

Scalar = bool | int | float | str


@dataclass(frozen=True)
class EnvConfig:
    """The world: what of it an agent sees, and arguments of the simulator."""

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
    args: Mapping[str, Scalar] = setting(
        factory=dict,
        help="Further keyword arguments of the simulator, such as ctrl_cost_weight",
        structure=True,
    )


@dataclass(frozen=True)
class ActorConfig:
    """The policies: one for each agent, separate weights."""

    kind: Literal["diffusion", "gaussian"] = setting(
        "diffusion", "Diffusion chain, or a tanh-squashed Gaussian to compare with", structure=True
    )
    denoising_steps: int = setting(8, "K: steps of the diffusion chain [omad]", low=1, high=64)
    hidden_width: int = setting(256, "Width of the hidden layers [dime]", low=1, high=8192, structure=True)
    hidden_layers: int = setting(3, "Number of hidden layers [dime]", low=1, high=16, structure=True)
    learning_rate: float = setting(3e-4, "Adam's step size of the actors [dime]", low=0.0, high=1.0)
    sigma0: float = setting(
        2.5, "Standard deviation of the chain's start, eq. 1 [dime]", low=1e-3, high=100.0
    )
    dt: float = setting(0.1, "Start of the learned step size of the chain, eq. 4 [dime]", low=1e-4, high=10.0)
    grad_clip: float = setting(1.0, "Elementwise clip of the actors' gradients [dime]", low=0.0, high=1e9)

    @property
    def noises(self) -> int:
        """Normal draws of one action: x_0 and one a denoising step; a Gaussian takes one."""
        return 1 + self.denoising_steps if self.kind == "diffusion" else 1


@dataclass(frozen=True)
class CriticConfig:
    """The joint critic: an ensemble of distributions of the return, given state and all actions."""

    head: Literal["quantile", "categorical"] = setting(
        "quantile",
        "Quantiles (no bound on the return), or fixed categories on [-v_max, v_max]",
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
    learning_rate: float = setting(3e-4, "Adam's step size of the critics [dime]", low=0.0, high=1.0)
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
    learning_rate: float = setting(1e-3, "Adam's step size of log alpha [dime]", low=0.0, high=1.0)


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
    seed: int = setting(0, "Everything random in this training follows from it", low=0, high=2**62)
    env_steps: int = setting(3_000_000, "Environment steps of the whole training [omad]", low=1, high=10**12)
    random_steps: int = setting(
        5_000, "First steps, with uniform actions and no updates [dime]", low=1, high=10**12
    )
    num_envs: int = setting(
        1, "E: environments of one member, stepped together", low=1, high=4096, structure=True
    )
    updates_per_step: int = setting(
        1, "Critic updates per environment step [ours]", low=1, high=64, structure=True
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
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        check(self)
        _check_together(self)


def _check_together(config: TrainConfig) -> None:
    """Refuse settings that are each fine and contradict one another."""
    critic = config.critic
    if critic.head == "quantile" and critic.drop_top >= critic.quantiles:
        raise ConfigError(
            f"critic.drop_top = {critic.drop_top} leaves none of critic.quantiles = {critic.quantiles}; "
            "choose a smaller critic.drop_top"
        )
    if config.replay_size < config.batch_size:
        raise ConfigError(
            f"replay_size = {config.replay_size} is smaller than batch_size = {config.batch_size}; "
            "make replay_size larger"
        )


def structure(config: TrainConfig) -> dict[str, Any]:
    """The fields that members of one population must share, by dotted path."""
    return {path: value for path, value, info in walk(config) if info.structure}
