"""Objective: the parts of an algorithm that the engine does not know, and what they may ask of the networks.

All of it computes on tensors [P, ...] of all members at once, is recorded as a graph on a CUDA device and must obey its
rules: no value is asked of the device, nothing depends on a host's branch (a period follows from a counter on the
device, such as Adam's steps), and every write of state happens only where `learning` [P] is true.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

from omad_core.algorithm.batch import Transitions
from omad_core.algorithm.policies.diffusion import Draw
from omad_core.config import TrainConfig
from omad_core.nn.layers import Params
from omad_core.rng.draw_blocks import DrawKind
from omad_core.task import TaskSpec

Draws = Mapping[str, Tensor]
"""What was drawn for one update, by the names under which the objective declared it."""


@dataclass(frozen=True)
class DrawSpec:
    """Random numbers that an update takes: each member's own, a function of its seed, the stream and a counter."""

    stream: int
    """A value of `rng.streams.Stream`, appended there, used by nothing else."""
    shape: Callable[[TaskSpec, TrainConfig], tuple[int, ...]]
    """Shape of one member's draw, from the structure of its config: such as (A, B, U)."""
    kind: DrawKind = "normal"
    rows: Callable[[TrainConfig], int] | None = None
    """Length of a leading axis in which members may differ, padded with zeros: the draw is [rows, P, *shape].

    None: there is no such axis, the draw is [P, *shape].
    """
    update: Literal["critic", "actor"] = "critic"
    """Whether it is drawn for every update of the critics, or for the updates of the actors."""
    block: int = 32
    """Updates drawn at a time; 1 where they would take too much memory."""


@dataclass(frozen=True)
class FirstWeights:
    """One member's first weights, on the CPU, without the axis P and the padding of atoms."""

    actor: Params
    critic: Params
    statistics: Params


@dataclass(frozen=True)
class Group:
    """Tensors of an objective's own: checkpointed, padded, copied in and out with a member, and kept finite."""

    initial: Callable[[TrainConfig, TaskSpec, FirstWeights], Params]
    """One member's first values."""
    counted: int = 0
    """Leading axes of which each entry has its own moments and step count in Adam: 1 = [P], 2 = [P, A]; 0 = no Adam."""
    beta1: Callable[[TrainConfig], float] | None = None
    """Adam's beta1, a function of the structure of a config; None for that of actors and critics."""
    atoms: bool = False
    """Whether it has the critic's last layer, whose atoms are padded to the widest member's."""


@dataclass(frozen=True)
class Target:
    """What the critics' prediction is moved towards: reward + discount * Z(s', action)."""

    action: Tensor
    """[P, A, B, U] joint action at the next state."""
    reward: Tensor
    """[P, B] reward of the batch and what the objective adds to it."""
    critic: tuple[Mapping[str, Tensor], Mapping[str, Tensor]] | None = None
    """Parameters and statistics of the critics that say Z(s', action), in evaluation mode.

    None: the live ones, with (s, a) and (s', a') in one batch in training mode, as CrossQ does.
    """


class Networks(Protocol):
    """What an objective finds: all members' networks, and the operations on them."""

    spec: TaskSpec
    config: TrainConfig
    """Of any member, for what all of them share: its structure."""
    capacity: int
    actor: Params
    critic: Params
    statistics: Params
    shape: Any
    """What the functions of the kind of policy need beside parameters."""
    own: Mapping[str, Params]
    """The objective's groups, by name."""

    def number(self, name: str) -> Tensor:
        """A number that the objective `reads`: [P]."""
        ...

    def steps(self, group: str) -> Tensor:
        """Steps of Adam so far in `actor`, `critic` or a group of the objective's: [P], or [P, A] where so counted."""
        ...

    def draw(self, obs: Tensor, noise: Tensor, actor: Mapping[str, Tensor] | None = None) -> Draw:
        """Actions of all agents for obs [P, A, N, O] and noise [noises, P, A, N, U]; `actor`: other parameters."""
        ...

    def draw_one(self, agent: Tensor, obs: Tensor, noise: Tensor) -> Draw:
        """As `draw`, of one agent of each member: agent [P]; the axis A has length 1."""
        ...

    def value(
        self,
        state: Tensor,
        action: Tensor,
        critic: tuple[Mapping[str, Tensor], Mapping[str, Tensor]] | None = None,
    ) -> Tensor:
        """Mean returns [P, C, N] of joint actions [P, A, N, U], critics frozen and in evaluation mode."""
        ...

    def step_actor(self, loss: Tensor, learning: Tensor, agent: Tensor | None = None) -> list[Tensor]:
        """One step of the policies along a loss [P], clipped; of one `agent` [P] of each member if given.

        Returns the gradients before they were clipped.
        """
        ...

    def step(self, group: str, gradients: Sequence[Tensor], rate: Tensor, learning: Tensor) -> None:
        """One step of Adam in a group of the objective's; learning: [P], or [P, A] where so counted; rate: [P]."""
        ...


class Objective(Protocol):
    """An algorithm's equations. It holds no tensors: its state lies with the members'."""

    @property
    def reads(self) -> Mapping[str, Callable[[TrainConfig], float]]:
        """Settings that the members of a population may differ in, by name."""
        ...

    @property
    def draws(self) -> Mapping[str, DrawSpec]:
        """What an update takes, by name."""
        ...

    @property
    def groups(self) -> Mapping[str, Group]:
        """Its own state, by name."""
        ...

    @property
    def actor_counted(self) -> int:
        """1: one step count for all agents of a member; 2: one for each agent, for agents that step in turn."""
        ...

    def metrics(self, spec: TaskSpec) -> Sequence[str]:
        """Names of what `update_actors` returns."""
        ...

    def target(self, networks: Networks, batch: Transitions, draws: Draws) -> Target:
        """What the critics learn; called without gradients."""
        ...

    def after_critics(self, networks: Networks, learning: Tensor) -> None:
        """What follows every update of the critics, such as moving a target network."""
        ...

    def update_actors(
        self, networks: Networks, batch: Transitions, draws: Draws, learning: Tensor
    ) -> Mapping[str, Tensor]:
        """One update of the policies and of the objective's own state; its metrics, [P] each."""
        ...
