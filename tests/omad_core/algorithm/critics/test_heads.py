"""The critic's heads against their definitions, written out plainly."""

import pytest
import torch

from omad_core.algorithm.critics import categorical, quantile


def plain_quantile_loss(z, y, tau):
    """Eq. 9 for one member with loops: z [C, N, M], y [N, n]."""
    total = 0.0
    for j in range(z.shape[0]):
        for m in range(z.shape[2]):
            u = y - z[j, :, m : m + 1]
            huber = torch.where(u.abs() <= 1, 0.5 * u**2, u.abs() - 0.5)
            total = total + (torch.where(u < 0, 1 - tau[m], tau[m]) * huber).mean(1).mean(0)
    return total


def test_the_quantile_loss_and_its_gradient_are_those_of_its_definition():
    torch.manual_seed(0)
    z = (3 * torch.randn(1, 2, 6, 5)).requires_grad_()
    y = 3 * torch.randn(1, 6, 10)
    tau, real = quantile.midpoints(torch.tensor([5.0]), 5)
    loss = quantile.loss(z, y, torch.full_like(y, 0.1), tau, real)
    expected = plain_quantile_loss(z[0], y[0], tau[0])
    torch.testing.assert_close(loss[0], expected)
    (gradient,) = torch.autograd.grad(loss.sum(), z, retain_graph=True)
    (wanted,) = torch.autograd.grad(expected, z)
    torch.testing.assert_close(gradient, wanted)


def test_padded_quantiles_change_nothing():
    torch.manual_seed(0)
    z, following = torch.randn(1, 2, 6, 4), torch.randn(1, 2, 6, 4)
    results = []
    for width in (4, 7):
        tau, real = quantile.midpoints(torch.tensor([4.0]), width)
        pad = lambda t, width=width: torch.nn.functional.pad(t, (0, width - 4), value=9.0)
        pooled, weight = quantile.pooled_targets(pad(following), real, torch.tensor([0.0]))
        loss = quantile.loss(pad(z), pooled, weight, tau, real)
        results.append((loss, quantile.mean(pad(z), real)))
    torch.testing.assert_close(results[0], results[1])


def test_truncation_leaves_out_the_largest_pooled_targets():
    z = torch.arange(8.0).reshape(1, 2, 1, 4)
    _, real = quantile.midpoints(torch.tensor([4.0]), 4)
    pooled, weight = quantile.pooled_targets(z, real, torch.tensor([1.0]))
    assert float((pooled * weight).sum()) == pytest.approx(sum(range(6)) / 6)


def test_the_projection_keeps_mass_and_where_nothing_is_clipped_the_mean():
    torch.manual_seed(0)
    v_max = torch.tensor([10.0, 3.0])
    p = torch.softmax(torch.randn(2, 5, 21), -1)
    inside = (2 * torch.rand(2, 5, 21) - 1) * 2.9
    projected = categorical.project(p, inside, v_max)
    torch.testing.assert_close(projected.sum(-1), torch.ones(2, 5))
    atoms = categorical.support(v_max, 21)
    torch.testing.assert_close((projected * atoms[:, None]).sum(-1), (p * inside).sum(-1))
    clipped = categorical.project(p, inside * 100, v_max)
    torch.testing.assert_close(clipped.sum(-1), torch.ones(2, 5))


def test_the_categorical_loss_is_least_at_the_target():
    target = torch.softmax(torch.randn(1, 4, 11), -1)
    bonus = torch.zeros(1)
    at_target = categorical.loss(target.log().unsqueeze(1), target, bonus)
    elsewhere = categorical.loss(torch.randn(1, 1, 4, 11), target, bonus)
    assert float(at_target) < float(elsewhere)


def test_edge_mass_is_the_probability_of_both_edge_atoms():
    logits = torch.zeros(1, 2, 3, 10)
    assert float(categorical.edge_mass(logits)) == pytest.approx(0.2)
