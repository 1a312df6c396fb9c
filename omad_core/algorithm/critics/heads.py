"""The three heads of the critic behind one face: what the atoms mean, and how far they are from their targets."""

from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

from omad_core.algorithm.critics import categorical, quantile


class Head(Protocol):
    """Meaning of the critic's outputs [P, C, N, M]."""

    def mean(self, out: Tensor) -> Tensor:
        """Mean of the return: [P, C, N]."""
        ...

    def spread(self, out: Tensor) -> Tensor:
        """Standard deviation of the return within one prediction, averaged: [P]."""
        ...

    def loss(
        self, out: Tensor, following: Tensor, reward: Tensor, discount: Tensor, value: bool = True
    ) -> Tensor:
        """Distance of `out` from reward + discount * (distribution `following`), eq. 9: [P].

        following: [P, C, N, M] of the next state, detached; reward (entropy included), discount: [P, N]. With `value`
        false only its gradient needs to be right.
        """
        ...

    def edge_mass(self, out: Tensor) -> Tensor:
        """Probability on the two edge atoms: [P]; 0 where there are none."""
        ...


@dataclass(frozen=True)
class QuantileHead:
    """M quantiles of each member, padded to the widest."""

    tau: Tensor
    real: Tensor
    """[P, M] 1 for real quantiles."""
    drop_top: Tensor
    """[P]"""

    def mean(self, out: Tensor) -> Tensor:
        return quantile.mean(out, self.real)

    def spread(self, out: Tensor) -> Tensor:
        centred = (out - self.mean(out)[..., None]).square()
        return quantile.mean(centred, self.real).sqrt().mean((1, 2))

    def loss(
        self, out: Tensor, following: Tensor, reward: Tensor, discount: Tensor, value: bool = True
    ) -> Tensor:
        pooled, weight = quantile.pooled_targets(following, self.real, self.drop_top)
        target = torch.addcmul(reward[..., None], discount[..., None], pooled)
        return quantile.loss(out, target, weight, self.tau, self.real, value)

    def edge_mass(self, out: Tensor) -> Tensor:
        return torch.zeros_like(self.drop_top)


@dataclass(frozen=True)
class CategoricalHead:
    """M fixed atoms on [-V_max, V_max] of each member."""

    atoms: Tensor
    """[P, M]"""
    v_max: Tensor
    """[P]"""
    entropy_bonus: Tensor
    """[P]"""

    def mean(self, out: Tensor) -> Tensor:
        return categorical.mean(out, self.atoms)

    def spread(self, out: Tensor) -> Tensor:
        squares = categorical.mean(out, self.atoms.square())
        return (squares - self.mean(out).square()).clamp(min=0.0).sqrt().mean((1, 2))

    def loss(
        self, out: Tensor, following: Tensor, reward: Tensor, discount: Tensor, value: bool = True
    ) -> Tensor:
        target = categorical.pooled_targets(following, self.atoms, reward, discount, self.v_max)
        return categorical.loss(out, target, self.entropy_bonus)

    def edge_mass(self, out: Tensor) -> Tensor:
        return categorical.edge_mass(out)


@dataclass(frozen=True)
class ScalarHead:
    """The mean alone; the target is the least of all critics', as in TD3 and SAC."""

    def mean(self, out: Tensor) -> Tensor:
        return out[..., 0]

    def spread(self, out: Tensor) -> Tensor:
        """There is none."""
        return torch.zeros_like(out[:, 0, 0, 0])

    def loss(
        self, out: Tensor, following: Tensor, reward: Tensor, discount: Tensor, value: bool = True
    ) -> Tensor:
        """sum_j mean_b (out_j - y)^2 with y = reward + discount * min_j following_j."""
        target = torch.addcmul(reward, discount, self.mean(following).amin(1))
        return (self.mean(out) - target[:, None]).square().mean(2).sum(1)

    def edge_mass(self, out: Tensor) -> Tensor:
        return torch.zeros_like(out[:, 0, 0, 0])


def overwrite(head: Head, other: Head) -> None:
    """Give a head the numbers of another one of its kind; its tensors stay where they are."""
    for field in fields(head):  # type: ignore[arg-type]
        getattr(head, field.name).copy_(getattr(other, field.name))
