"""The temperature alpha: learned so that the run cost keeps to its budget, eq. 11."""

import torch
from torch import Tensor


def gradient(log_alpha: Tensor, run_cost: Tensor, target: Tensor, action_dim: int) -> Tensor:
    """Gradient of -alpha (mean(sum_i c_i) - target d) with respect to log alpha: [P].

    run_cost: [P] mean over the batch of sum_i c_i; target: [P] budget per action dimension.
    """
    return -torch.exp(log_alpha) * (run_cost - target * action_dim)
