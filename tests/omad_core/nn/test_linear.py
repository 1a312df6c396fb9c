"""Stacked layers against plain products."""

import pytest
import torch

from omad_core.nn.layers import NARROW, flat, linear


@pytest.mark.parametrize("outputs", [1, 3, NARROW + 5])
def test_a_layer_and_its_gradients_are_those_of_plain_products(outputs):
    gen = torch.Generator().manual_seed(0)
    x = torch.randn(6, 9, 7, generator=gen, requires_grad=True)
    weight = torch.randn(2, 3, 7, outputs, generator=gen, requires_grad=True)
    bias = torch.randn(2, 3, outputs, generator=gen, requires_grad=True)
    ours = linear(flat({"a.weight": weight, "a.bias": bias}), "a", x)
    plain = torch.einsum("gni,gio->gno", x, weight.flatten(0, 1)) + bias.flatten(0, 1)[:, None]
    torch.testing.assert_close(ours, plain)
    factor = torch.randn(6, 9, outputs, generator=gen)
    got = torch.autograd.grad((ours * factor).sum(), (x, weight, bias))
    for mine, theirs in zip(got, torch.autograd.grad((plain * factor).sum(), (x, weight, bias)), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_frozen_weight_costs_no_gradient():
    x = torch.randn(1, 4, 5, requires_grad=True)
    weights = {"a.weight": torch.randn(1, 5, 2), "a.bias": torch.zeros(1, 1, 2)}
    (gradient,) = torch.autograd.grad(linear(weights, "a", x).sum(), x)
    torch.testing.assert_close(gradient, weights["a.weight"].sum(-1)[:, None].expand(1, 4, 5))
