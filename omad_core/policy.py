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

from omad_core.actor import init_diffusion, time_features
from omad_core.chain import ChainShape, act
from omad_core.config import ActorConfig, EnvConfig
from omad_core.errors import CheckpointError, ConfigError
from omad_core.folder import Arrays, digest, pack, read_bytes, read_json, to_json, unpack, write_bytes
from omad_core.gaussian import act_gaussian, init_gaussian
from omad_core.sampling import Source, noise_from
from omad_core.settings import from_dict, to_dict
from omad_core.state import MemberState
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
        self._weights = {name: torch.from_numpy(np.array(array))[None] for name, array in weights.items()}

    @classmethod
    def of_member(cls, spec: TaskSpec, state: MemberState) -> "Policy":
        """The policy that a member's state holds."""
        weights = {name[6:]: array for name, array in state.arrays.items() if name.startswith("actor/")}
        return cls(spec, state.config.actor, state.config.env, weights)

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
            actor = from_dict(ActorConfig, dict(document["actor"]))
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
        generator before the first step, `torch.Generator().manual_seed(0)`, and give it to every call: it goes on,
        through the agents asked in the task's order. A `seed` repeats the same noise in every call; an agent
        asked alone draws as among the others. With neither, every call draws anew. Torch's global generator is
        never used. Raises ConfigError for an unknown agent, an observation of another width, a generator that is not
        on the CPU, or one beside a seed.
        """
        source = noise_from(generator, seed, deterministic)
        checked = {agent: self._checked(agent, np.asarray(seen)) for agent, seen in obs.items()}
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

    def _checked(self, agent: str, obs: NDArray[Any]) -> NDArray[Any]:
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
        noise = source(index, (self.actor.noises, 1, 1, flat.shape[2], self.spec.action_width))
        squashed = self._run(slice(index, index + 1), flat, noise)
        action = self._to_box(index, squashed[0, 0].numpy())
        return action.reshape(*obs.shape[:-1], self.spec.action_dims[index])

    def squashed(self, obs: Tensor, noise: Tensor) -> Tensor:
        """Actions [1, A, N, U] in [-1, 1] of all agents for obs [1, A, N, O] and noise [1 + K, 1, A, N, U]."""
        return self._run(slice(None), obs, noise)

    @torch.no_grad()
    def _run(self, agents: slice, obs: Tensor, noise: Tensor) -> Tensor:
        weights = {name: tensor[:, agents] for name, tensor in self._weights.items()}
        if self.actor.kind == "gaussian":
            return act_gaussian(weights, obs, noise)
        steps = self.actor.denoising_steps
        shape = ChainShape(
            denoising_steps=torch.tensor([float(steps)]),
            sigma0=torch.tensor([self.actor.sigma0]),
            action_mask=torch.ones(obs.shape[1], self.spec.action_width),
            features=time_features(steps, torch.device("cpu")),
            ragged=False,
        )
        return act(weights, shape, obs, noise)

    def _to_box(self, index: int, squashed: FloatArray) -> FloatArray:
        low = np.asarray(self.spec.action_low[index], np.float32)
        high = np.asarray(self.spec.action_high[index], np.float32)
        real = squashed[:, : self.spec.action_dims[index]]
        scaled: FloatArray = low + (real + 1.0) * 0.5 * (high - low)
        return scaled


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
    init = init_gaussian if actor.kind == "gaussian" else init_diffusion
    wanted = init(actor, spec.num_agents, spec.obs_width, spec.action_width, torch.Generator())
    shapes = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
    for name in sorted(shapes.keys() | weights.keys()):
        found, needed = weights.get(name), shapes.get(name)
        if found is None or needed is None or tuple(found.shape) != needed or found.dtype != np.float32:
            has = "none" if found is None else f"{found.dtype} {list(found.shape)}"
            needs = "none" if needed is None else f"float32 {list(needed)}"
            raise CheckpointError(
                f"{folder} holds no policy for {spec.name}: of {name} its actor needs {needs}, the file has {has}"
            )
