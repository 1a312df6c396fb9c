"""Weights: everything of the members that training changes, and one member's way into and out of it."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from omad_core.algorithm.critics import critic as critics
from omad_core.algorithm.objectives.objective import FirstWeights, Objective
from omad_core.algorithm.policies.kinds import policy_kind
from omad_core.algorithm.update_metrics import Measures
from omad_core.checkpoint.state import check_array
from omad_core.config import TrainConfig
from omad_core.errors import CheckpointError
from omad_core.nn.adam import BETA1, Adam
from omad_core.nn.layers import Params, over, put_row, row, stack
from omad_core.rng.streams import Stream, generator
from omad_core.task import TaskSpec

ATOM_TENSORS = ("last.weight", "last.bias")
"""Of the critic: their last axis is M, padded to the widest member's."""


class Weights:
    """Networks, statistics, an objective's own state, moments and measures of `capacity` members."""

    def __init__(
        self,
        spec: TaskSpec,
        config: TrainConfig,
        objective: Objective,
        capacity: int,
        device: torch.device,
        quantiles: int,
    ) -> None:
        self._spec, self._device, self._objective = spec, device, objective
        self.atoms = quantiles if config.critic.head == "quantile" else _atoms(config)
        self._with_atoms = {"critic", *(name for name, group in objective.groups.items() if group.atoms)}
        first = {name: stack([params] * capacity) for name, params in self._first(config).items()}
        self.actor, self.critic = _leaves(first.pop("actor")), _leaves(first.pop("critic"))
        self.statistics: Params = first.pop("statistics")
        self.own: Mapping[str, Params] = first
        self.adams = {
            "actor": Adam(self.actor, objective.actor_counted, config.actor.adam_beta1),
            "critic": Adam(self.critic, beta1=config.critic.adam_beta1),
        }
        for name, group in objective.groups.items():
            if group.counted:
                beta1 = BETA1 if group.beta1 is None else group.beta1(config)
                self.adams[name] = Adam(self.own[name], group.counted, beta1)
        self.measures = Measures(spec, objective.metrics(spec), capacity, device)
        self._kept: dict[str, Params] = {}

    def _first(self, config: TrainConfig) -> dict[str, Params]:
        """One member's first values, by group, its atoms padded."""
        fresh = self._fresh(config)
        groups = dict(vars(fresh))
        for name, group in self._objective.groups.items():
            groups[name] = group.initial(config, self._spec, fresh)
        return {name: self._to(self._widen(name, params)) for name, params in groups.items()}

    def _fresh(self, config: TrainConfig) -> FirstWeights:
        """One member's first weights, drawn on the CPU, so that every device starts from the same."""
        gen = generator(torch.device("cpu"), config.seed, Stream.INIT, 0)
        spec = self._spec
        actor = policy_kind(config.actor).initialise(
            config.actor, spec.num_agents, spec.obs_width, spec.action_width, gen
        )
        gen = generator(torch.device("cpu"), config.seed, Stream.INIT, 1)
        critic, statistics = critics.init_critic(
            config.critic, spec.state_dim + spec.action_dim, _atoms(config), gen
        )
        return FirstWeights(actor, critic, statistics)

    def _to(self, params: Mapping[str, Tensor]) -> Params:
        return {name: tensor.to(self._device) for name, tensor in params.items()}

    def _has_atoms(self, group: str, name: str) -> bool:
        return group.partition(".")[0] in self._with_atoms and name in ATOM_TENSORS

    def _widen(self, group: str, params: Params) -> Params:
        """Pad a member's own atoms to the program's."""
        return {
            name: functional.pad(t, (0, self.atoms - t.shape[-1])) if self._has_atoms(group, name) else t
            for name, t in params.items()
        }

    def start(self, lane: int, config: TrainConfig) -> None:
        """A new member in `lane`."""
        first, networks = self._first(config), self._networks()
        for group, params in networks.items():
            put_row(params, lane, first[group])
        for adam in self.adams.values():
            adam.clear(lane)
        self.measures.clear(lane)

    def finite(self) -> list[bool]:
        """Whether each member's weights are all finite; waits for the device."""
        tensors = [tensor.detach() for params in self._networks().values() for tensor in params.values()]
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

    def recall(self, lane: int) -> None:
        """Put a member back to the last copy in which it was finite."""
        for group, params in self._groups().items():
            put_row(params, lane, {name: t[lane] for name, t in self._kept[group].items()})

    def _networks(self) -> dict[str, Params]:
        """What must be finite; a moment or a loss may overflow and training can still continue."""
        return {"actor": self.actor, "critic": self.critic, "statistics": self.statistics, **self.own}

    def _groups(self) -> dict[str, Params]:
        groups = self._networks()
        for name, adam in self.adams.items():
            groups |= {
                f"{name}.first": adam.first,
                f"{name}.second": adam.second,
                f"{name}.steps": {"steps": adam.steps},
            }
        return groups | {"measures": self.measures.tensors}

    def row(self, lane: int, config: TrainConfig) -> dict[str, NDArray[np.generic]]:
        """Everything of one member with this config, its atoms unpadded."""
        narrow = _atoms(config)
        arrays: dict[str, NDArray[np.generic]] = {}
        for group, params in self._groups().items():
            for name, tensor in row(params, lane).items():
                unpadded = tensor[..., :narrow] if self._has_atoms(group, name) else tensor
                arrays[f"{group}/{name}"] = unpadded.cpu().contiguous().numpy().copy()
        return arrays

    def check(
        self, config: TrainConfig, arrays: Mapping[str, NDArray[np.generic]], measures: Sequence[str]
    ) -> None:
        """Raise CheckpointError unless `arrays` hold what `load` needs of a member with this config."""
        networks = self._networks()
        for group, params in self._groups().items():
            for name, tensor in params.items():
                shape = tuple(tensor.shape[1:])
                if (group, name) == ("measures", "sums"):
                    shape = (len(measures),)
                if self._has_atoms(group, name):
                    shape = (*shape[:-1], _atoms(config))
                check_array(arrays, f"{group}/{name}", shape)
                if group in networks and not np.isfinite(arrays[f"{group}/{name}"]).all():
                    raise CheckpointError(
                        f"the checkpoint's {group}/{name} is not finite; use an earlier one"
                    )

    def load(self, lane: int, arrays: Mapping[str, NDArray[np.generic]], measures: Sequence[str]) -> None:
        """Put one member back as `row` gave it; `measures` are the names of the sums it had."""
        for group, params in self._groups().items():
            loaded = {name: torch.from_numpy(np.array(arrays[f"{group}/{name}"])) for name in params}
            if group == "measures":
                loaded["sums"] = self.measures.arrange(loaded["sums"], measures)
            put_row(params, lane, self._to(self._widen(group, loaded)))


def _atoms(config: TrainConfig) -> int:
    """M of a member: outputs of each of its critics."""
    critic = config.critic
    return {"quantile": critic.quantiles, "categorical": critic.categories, "scalar": 1}[critic.head]


def _leaves(params: Params) -> Params:
    return {name: tensor.clone().requires_grad_(True) for name, tensor in params.items()}
