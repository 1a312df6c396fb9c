"""Policy: what a user takes home and calls. It needs torch, numpy and safetensors, and no simulator."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omad_core.algorithm.policies.facts import PolicyFacts
from omad_core.algorithm.policies.kinds import policy_kind
from omad_core.checkpoint.files import (
    Arrays,
    digest,
    pack,
    read_bytes,
    read_json,
    to_json,
    unpack,
    write_bytes,
)
from omad_core.checkpoint.state import MemberState
from omad_core.config import ActorConfig, EnvConfig
from omad_core.errors import CheckpointError, ConfigError
from omad_core.nn.layers import real_columns
from omad_core.rng.noise_source import Source, noise_from
from omad_core.rng.streams import Stream, generator
from omad_core.settings import from_dict, to_dict
from omad_core.stored_settings import actor_config, resolved
from omad_core.task import TaskSpec

FORMAT = 2
KIND = "omad-policy"
FloatArray = NDArray[np.float32]


class Policy:
    """The decentralised policies of all agents of one task: each acts from its own observation."""

    def __init__(
        self,
        spec: TaskSpec,
        actor: ActorConfig,
        env: EnvConfig,
        weights: Mapping[str, NDArray[np.generic]],
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        self.spec, self.actor, self.env = spec, actor, env
        self.notes = dict(notes or {})
        self._kind = policy_kind(actor)
        self._weights = {name: torch.from_numpy(np.array(array))[None] for name, array in weights.items()}

    @classmethod
    def of_member(cls, spec: TaskSpec, state: MemberState) -> "Policy":
        """The policy that a member's state holds."""
        weights = {name[6:]: array for name, array in state.arrays.items() if name.startswith("actor/")}
        return cls(spec, resolved(state.config).actor, state.config.env, weights)

    @classmethod
    def load(cls, folder: Path | str) -> "Policy":
        """Read a policy folder. Raises CheckpointError."""
        folder = Path(folder)
        path = folder / "policy.json"
        document = read_json(read_bytes(path), str(path), KIND, FORMAT)
        if document.pop("seal", "") != digest(to_json(document)):
            raise CheckpointError(f"{path} was altered: its seal is not the one of its content")
        try:
            content = read_bytes(folder / "policy.safetensors", document["digest"])
            spec, notes = _spec_from(dict(document["spec"])), dict(document["notes"])
            actor = actor_config(document["actor"])
            env = from_dict(EnvConfig, dict(document["env"]))
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise CheckpointError(f"{path} is not a policy this release can read: {error}") from error
        weights = unpack(content, str(folder / "policy.safetensors"))
        _check_shapes(spec, actor, weights, folder)
        return cls(spec, actor, env, weights, notes)

    def save(self, folder: Path | str, notes: Mapping[str, Any] | None = None) -> None:
        """Write `policy.safetensors` and `policy.json`; `notes` are kept beside what is there already."""
        folder = Path(folder)
        content = pack({name: tensor[0].numpy() for name, tensor in self._weights.items()})
        document = {
            "kind": KIND,
            "format": FORMAT,
            "digest": write_bytes(folder / "policy.safetensors", content),
            "spec": dataclasses.asdict(self.spec),
            "actor": to_dict(self.actor),
            "env": to_dict(self.env),
            "notes": {**self.notes, **(notes or {})},
        }
        document = json.loads(to_json(document))
        write_bytes(folder / "policy.json", to_json({**document, "seal": digest(to_json(document))}))

    def act(
        self,
        obs: Mapping[str, NDArray[Any]],
        *,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
        seed: int | None = None,
    ) -> dict[str, FloatArray]:
        """Actions in the environment's units, {agent: [..., d_i]}, for observations {agent: [..., O_i]}.

        Agents may be asked alone, and for a whole batch of observations. To act over time repeatably, make one
        generator before the first step, `torch.Generator().manual_seed(0)`, and give it to every call: it advances
        through the agents asked in the task's order. A `seed` repeats the same noise in every call; an agent
        asked alone draws as among the others. With neither, every call draws anew. Torch's global generator is
        never used. Raises ConfigError for an unknown agent, an observation of another width, a generator that is not
        on the CPU, or one beside a seed.
        """
        source = noise_from(generator, seed, deterministic)
        checked = {
            agent: self._check_obs(agent, np.asarray(observation)) for agent, observation in obs.items()
        }
        order = [agent for agent in self.spec.agents if agent in checked]
        actions = {agent: self._act_alone(agent, checked[agent], source) for agent in order}
        return {agent: actions[agent] for agent in obs}

    def act_joint(
        self,
        obs: NDArray[Any],
        *,
        deterministic: bool = False,
        generator: torch.Generator | None = None,
        seed: int | None = None,
    ) -> FloatArray:
        """Joint actions [n, sum of d_i] for joint observations [n, sum of O_i], agents side by side in order.

        Noise is drawn as in `act`.
        """
        widths = list(self.spec.obs_dims)
        if obs.ndim != 2 or obs.shape[1] != sum(widths):
            raise ConfigError(
                f"joint observations are [n, {sum(widths)}], got an array of shape {list(obs.shape)}"
            )
        parts = np.split(obs, np.cumsum(widths)[:-1], axis=1)
        given = dict(zip(self.spec.agents, parts, strict=True))
        actions = self.act(given, deterministic=deterministic, generator=generator, seed=seed)
        return np.concatenate([actions[agent] for agent in self.spec.agents], axis=1)

    def _check_obs(self, agent: str, obs: NDArray[Any]) -> NDArray[Any]:
        """These observations of an agent, if they can be. Raises ConfigError."""
        if agent not in self.spec.agents:
            raise ConfigError(
                f"no agent {agent!r} in {self.spec.name}; its agents are {', '.join(self.spec.agents)}"
            )
        width = self.spec.obs_dims[self.spec.agents.index(agent)]
        if obs.ndim == 0 or obs.shape[-1] != width:
            raise ConfigError(
                f"agent {agent!r} observes {width} numbers, got an array of shape {list(obs.shape)}"
            )
        return obs

    def _act_alone(self, agent: str, obs: NDArray[Any], source: Source) -> FloatArray:
        index, width = self.spec.agents.index(agent), obs.shape[-1]
        flat = torch.zeros(1, 1, int(np.prod(obs.shape[:-1])), self.spec.obs_width)
        flat[0, 0, :, :width] = torch.from_numpy(obs.reshape(-1, width).astype(np.float32))
        noise = source(index, (self.noises, 1, 1, flat.shape[2], self.spec.action_width))
        squashed = self._run(slice(index, index + 1), flat, noise)
        action: FloatArray = self.to_box(index, squashed[0, 0]).numpy()
        return action.reshape(*obs.shape[:-1], self.spec.action_dims[index])

    @property
    def noises(self) -> int:
        """Normal numbers that one action dimension takes."""
        return self._kind.noises(self.actor)

    def squashed(self, obs: Tensor, noise: Tensor | None) -> Tensor:
        """Actions [1, A, N, U] in [-1, 1] of all agents for obs [1, A, N, O].

        noise: [noises, 1, A, N, U] standard normal numbers; None: the deterministic policy.
        """
        return self._run(slice(None), obs, noise)

    def squashed_at(
        self, obs: NDArray[np.floating[Any]], seed: int, step: int, deterministic: bool
    ) -> NDArray[np.float64]:
        """Actions [n, A, U] in [-1, 1] for obs [n, A, O] at `step` of n episodes of a final evaluation.

        The noise is a function of (seed, step, n).
        """
        batch = torch.from_numpy(obs.astype(np.float32)).transpose(0, 1)[None]
        shape = (self.noises, *batch.shape[:3], self.spec.action_width)
        gen = generator(torch.device("cpu"), seed, Stream.FINAL, 1, step)
        noise = None if deterministic else torch.randn(shape, generator=gen)
        return self.squashed(batch, noise)[0].transpose(0, 1).numpy().astype(np.float64)

    @torch.no_grad()
    def _run(self, agents: slice, obs: Tensor, noise: Tensor | None) -> Tensor:
        weights = {name: tensor[:, agents] for name, tensor in self._weights.items()}
        numbers = {name: torch.tensor([float(read(self.actor))]) for name, read in self._kind.reads.items()}
        mask = real_columns(self.spec.action_dims)[agents]
        padded = self.spec.action_width > min(self.spec.action_dims)
        shape = self._kind.shape(PolicyFacts(self.actor, numbers, mask, self.noises, padded=padded))
        if noise is None:
            return self._kind.deterministic(weights, shape, obs)
        return self._kind.act(weights, shape, obs, noise)

    def to_box(self, index: int, squashed: Tensor) -> Tensor:
        """Actions [n, d_i] of the agent at `index` in the environment's units, for actions [n, U] in [-1, 1]."""
        low = torch.tensor(self.spec.action_low[index], dtype=torch.float32)
        high = torch.tensor(self.spec.action_high[index], dtype=torch.float32)
        real = squashed[:, : self.spec.action_dims[index]]
        return low + (real + 1.0) * 0.5 * (high - low)


def _spec_from(values: Mapping[str, Any]) -> TaskSpec:
    """The spec of a document. Raises TypeError, ValueError where its parts do not fit together."""

    def frozen(value: Any) -> Any:
        return tuple(frozen(v) for v in value) if isinstance(value, list) else value

    spec = TaskSpec(**{name: frozen(value) for name, value in values.items()})
    agents = zip(spec.agents, spec.obs_dims, spec.action_dims, spec.action_low, spec.action_high, strict=True)
    for agent, obs, action, low, high in agents:
        if not (obs > 0 and action > 0 and len(low) == len(high) == action):
            raise ValueError(f"agent {agent} has other widths than bounds")
    return spec


def _check_shapes(spec: TaskSpec, actor: ActorConfig, weights: Arrays, folder: Path) -> None:
    """Refuse weights that are not those of this actor for this task. Raises CheckpointError."""
    expected = policy_kind(actor).initialise(
        actor, spec.num_agents, spec.obs_width, spec.action_width, torch.Generator()
    )
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    for name in sorted(shapes.keys() | weights.keys()):
        shape, needed = weights.get(name), shapes.get(name)
        if shape is None or needed is None or tuple(shape.shape) != needed or shape.dtype != np.float32:
            has = "none" if shape is None else f"{shape.dtype} {list(shape.shape)}"
            needs = "none" if needed is None else f"float32 {list(needed)}"
            raise CheckpointError(
                f"{folder} holds no policy for {spec.name}: of {name} its actor needs {needs}, the file has {has}"
            )
