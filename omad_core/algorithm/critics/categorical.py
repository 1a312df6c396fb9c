"""The categorical head: the return as probabilities of M fixed atoms on [-V_max, V_max], eq. 9."""

import torch
from torch import Tensor
from torch.nn import functional


def support(v_max: Tensor, categories: int) -> Tensor:
    """The atoms of members with `v_max` [P]: [P, M]."""
    unit = torch.linspace(-1.0, 1.0, categories, device=v_max.device)
    return unit * v_max[:, None]


def mean(logits: Tensor, atoms: Tensor) -> Tensor:
    """Mean of the return: logits [P, C, N, M], atoms [P, M] -> [P, C, N]."""
    return (functional.softmax(logits, -1) * atoms[:, None, None, :]).sum(-1)


def project(probabilities: Tensor, positions: Tensor, v_max: Tensor) -> Tensor:
    """Mass at arbitrary positions, clipped and split between the two nearest atoms.

    probabilities, positions: [P, N, M]; v_max: [P]. Keeps the total mass, and the mean where nothing is clipped.
    """
    categories = probabilities.shape[-1]
    spacing = 2.0 * v_max[:, None, None] / (categories - 1)
    at = ((positions + v_max[:, None, None]) / spacing).clamp(0.0, categories - 1.0)
    # NaN is no index; it stays in the probabilities, where divergence is noticed.
    probabilities, at = torch.where(at.isnan(), torch.nan, probabilities), at.nan_to_num(0.0)
    lower = at.floor()
    upper_share = at - lower
    lower_index = lower.long()
    upper_index = (lower_index + 1).clamp(max=categories - 1)
    out = torch.zeros_like(probabilities)
    out.scatter_add_(-1, lower_index, probabilities * (1.0 - upper_share))
    return out.scatter_add_(-1, upper_index, probabilities * upper_share)


def pooled_targets(logits: Tensor, atoms: Tensor, reward: Tensor, discount: Tensor, v_max: Tensor) -> Tensor:
    """Mean over critics of their projected targets: [P, N, M].

    logits: [P, C, N, M] of the next state; reward, discount: [P, N], so that an atom moves to reward + discount * atom.
    """
    positions = reward[..., None] + discount[..., None] * atoms[:, None, :]
    return project(functional.softmax(logits, -1).mean(1), positions, v_max)


def loss(logits: Tensor, target: Tensor, entropy_bonus: Tensor) -> Tensor:
    """Cross entropy less `entropy_bonus` [P] x the prediction's entropy, summed over critics: [P].

    logits: [P, C, N, M]; target: [P, N, M].
    """
    log_probabilities = functional.log_softmax(logits, -1)
    cross = -(target.unsqueeze(1) * log_probabilities).sum(-1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(-1)
    return (cross - entropy_bonus[:, None, None] * entropy).mean(2).sum(1)


def edge_mass(logits: Tensor) -> Tensor:
    """Mean probability of the two edge atoms: [P]. Above 1 %, and what ignorance puts there, V_max is too small."""
    probabilities = functional.softmax(logits, -1)
    return (probabilities[..., 0] + probabilities[..., -1]).mean((1, 2))
