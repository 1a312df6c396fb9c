"""Batch: the transitions that an update is computed from."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Transitions:
    """A batch drawn for every member."""

    obs: Tensor
    """[P, A, B, O]"""
    state: Tensor
    """[P, B, S]"""
    action: Tensor
    """[P, A, B, U] in [-1, 1]"""
    reward: Tensor
    """[P, B] sum_{i<m} gamma^i r_{t+i}"""
    discount: Tensor
    """[P, B] gamma^m, 0 where the episode terminated"""
    next_obs: Tensor
    """[P, A, B, O]"""
    next_state: Tensor
    """[P, B, S]"""
