"""Weights: everything of the members that training changes, and one member's way into and out of it."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from omad_core import critic as critics
from omad_core.actor import init_diffusion
from omad_core.adam import Adam
from omad_core.config import TrainConfig
from omad_core.errors import CheckpointError
from omad_core.gaussian import init_gaussian
from omad_core.layers import Params, over, put_row, row, stack
from omad_core.measures import Measures
from omad_core.state import check_array
from omad_core.streams import Stream, generator
from omad_core.task import TaskSpec

NETWORKS = ("temperature", "actor", "critic", "statistics")
"""What must be finite; a moment may overflow, or a loss, while training goes on."""
ATOM_TENSORS = ("last.weight", "last.bias")
"""Of the critic: their last axis is M, padded to the widest member's."""


class Weights:
    """Networks, statistics, temperatures, moments and measures of `capacity` members."""

    def __init__(
        self, spec: TaskSpec, config: TrainConfig, capacity: int, device: torch.device, quantiles: int
    ) -> None:
        self._spec, self._config, self._device = spec, config, device
        self.atoms = config.critic.categories if config.critic.head == "categorical" else quantiles
        actor, critic, statistics = self._fresh(config)
        self.actor: Params = _leaves(stack([actor] * capacity))
        self.critic: Params = _leaves(stack([critic] * capacity))
        self.statistics: Params = {k: v.clone() for k, v in stack([statistics] * capacity).items()}
        self.temperature: Params = {"log_alpha": torch.zeros(capacity, device=device)}
        self.adams = {
            "actor": Adam(self.actor),
            "critic": Adam(self.critic),
            "temperature": Adam(self.temperature),
        }
        self.measures = Measures(spec, capacity, device)
        self._kept: dict[str, Params] = {}

    def _fresh(self, config: TrainConfig) -> tuple[Params, Params, Params]:
        """One member's first weights, drawn on the CPU, so that every device starts from the same."""
        gen = generator(torch.device("cpu"), config.seed, Stream.INIT, 0)
        spec = self._spec
        init = init_diffusion if config.actor.kind == "diffusion" else init_gaussian
        actor = init(config.actor, spec.num_agents, spec.obs_width, spec.action_width, gen)
        atoms = config.critic.categories if config.critic.head == "categorical" else config.critic.quantiles
        gen = generator(torch.device("cpu"), config.seed, Stream.INIT, 1)
        critic, statistics = critics.init_critic(config.critic, spec.state_dim + spec.action_dim, atoms, gen)
        return self._to(actor), self._to(self._widen(critic)), self._to(statistics)

    def _to(self, params: Mapping[str, Tensor]) -> Params:
        return {name: tensor.to(self._device) for name, tensor in params.items()}

    def _widen(self, critic: Params) -> Params:
        """Pad a member's own atoms to the program's."""
        return {
            name: functional.pad(t, (0, self.atoms - t.shape[-1])) if name in ATOM_TENSORS else t
            for name, t in critic.items()
        }

    def start(self, place: int, config: TrainConfig) -> None:
        """A new member in `place`."""
        actor, critic, statistics = self._fresh(config)
        put_row(self.actor, place, actor)
        put_row(self.critic, place, critic)
        put_row(self.statistics, place, statistics)
        self.temperature["log_alpha"][place] = float(np.log(config.entropy.alpha))
        for adam in self.adams.values():
            adam.clear(place)
        self.measures.clear(place)

    def finite(self) -> list[bool]:
        """Whether each member's weights are all finite; waits for the device."""
        groups = self._groups()
        tensors = [tensor.detach() for group in NETWORKS for tensor in groups[group].values()]
        total = torch.zeros(tensors[0].shape[0], dtype=torch.float64, device=self._device)
        for tensor in tensors:
            total = total + tensor.reshape(len(tensor), -1).sum(1)
        return [bool(x) for x in torch.isfinite(total).tolist()]

    def remember(self) -> None:
        """Keep a copy of every member that is finite, for `recall`."""
        good = torch.tensor(self.finite(), device=self._device)
        for group, params in self._groups().items():
            kept = self._kept.setdefault(group, {name: t.detach().clone() for name, t in params.items()})
            for name, tensor in params.items():
                torch.where(over(good, tensor), tensor.detach(), kept[name], out=kept[name])

    def recall(self, place: int) -> None:
        """Put a member back to the last copy in which it was finite."""
        for group, params in self._groups().items():
            put_row(params, place, {name: t[place] for name, t in self._kept[group].items()})

    def _groups(self) -> dict[str, Params]:
        groups = {"actor": self.actor, "critic": self.critic, "statistics": self.statistics}
        groups["temperature"] = self.temperature
        for name, adam in self.adams.items():
            groups |= {
                f"{name}.first": adam.first,
                f"{name}.second": adam.second,
                f"{name}.steps": {"steps": adam.steps},
            }
        return groups | {"measures": self.measures.tensors}

    def row(self, place: int, config: TrainConfig) -> dict[str, NDArray[np.generic]]:
        """Everything of one member with this config, its atoms unpadded."""
        narrow = self._narrow(config)
        arrays: dict[str, NDArray[np.generic]] = {}
        for group, params in self._groups().items():
            for name, tensor in row(params, place).items():
                own = tensor[..., :narrow] if _has_atoms(group, name) else tensor
                arrays[f"{group}/{name}"] = own.cpu().contiguous().numpy().copy()
        return arrays

    def _narrow(self, config: TrainConfig) -> int:
        return config.critic.quantiles if config.critic.head == "quantile" else self.atoms

    def check(self, config: TrainConfig, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Raise CheckpointError unless `arrays` hold what `load` needs of a member with this config."""
        for group, params in self._groups().items():
            for name, tensor in params.items():
                shape = tuple(tensor.shape[1:])
                if _has_atoms(group, name):
                    shape = (*shape[:-1], self._narrow(config))
                check_array(arrays, f"{group}/{name}", shape)
                if group in NETWORKS and not np.isfinite(arrays[f"{group}/{name}"]).all():
                    raise CheckpointError(
                        f"the checkpoint's {group}/{name} is not finite; use an earlier one"
                    )

    def load(self, place: int, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Put one member back as `row` gave it."""
        for group, params in self._groups().items():
            own = {name: torch.from_numpy(np.array(arrays[f"{group}/{name}"])) for name in params}
            put_row(params, place, self._to(self._widen(own) if group.startswith("critic") else own))


def _has_atoms(group: str, name: str) -> bool:
    return group.startswith("critic") and name in ATOM_TENSORS


def _leaves(params: Params) -> Params:
    return {name: tensor.clone().requires_grad_(True) for name, tensor in params.items()}
