"""BatchRenorm against plain autograd over its definition."""

import pytest
import torch

from omad_core.nn.batch_renorm import EPS, bounds, fold, init_renorm, normalise, renormalise
from omad_core.nn.layers import flat


def plain(x, gain, shift, mean_run, var_run, warm):
    var, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
    std, std_run = (var + EPS).sqrt(), (var_run + EPS).sqrt()
    r = (std / std_run).clamp(1 / 3, 3).detach() if warm else 1.0
    d = ((mean - mean_run) / std_run).clamp(-5, 5).detach() if warm else 0.0
    return ((x - mean) / std * r + d) * gain + shift


@pytest.mark.parametrize("warm", [True, False])
def test_renormalising_and_its_gradients_are_those_of_the_definition(warm):
    torch.manual_seed(0)
    _, statistics = init_renorm("n", 2, 5, torch.device("cpu"))
    statistics = {k: (v + torch.rand_like(v))[None] for k, v in statistics.items()}
    x = (2 * torch.randn(2, 40, 5) + 1).requires_grad_()
    gain, shift = torch.randn(1, 2, 5, requires_grad=True), torch.randn(1, 2, 5, requires_grad=True)
    y, batch = renormalise(
        flat({"n.scale": gain, "n.shift": shift}), statistics, "n", x, bounds(torch.tensor([warm]), 2)
    )
    mean_run, var_run = statistics["n.mean"][0][:, None], statistics["n.var"][0][:, None]
    expected = plain(x, gain[0][:, None], shift[0][:, None], mean_run, var_run, warm)
    torch.testing.assert_close(y, expected)
    weight = torch.randn_like(y)
    ours = torch.autograd.grad((y * weight).sum(), (x, gain, shift), retain_graph=True)
    theirs = torch.autograd.grad((expected * weight).sum(), (x, gain, shift))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(batch.var[0], x.detach().var(1, correction=0))


def test_running_statistics_move_by_a_hundredth_where_a_member_learns():
    params, statistics = init_renorm("n", 1, 3, torch.device("cpu"))
    params, statistics = ({k: v.repeat(2, 1, 1) for k, v in t.items()} for t in (params, statistics))
    x = torch.randn(2, 64, 3) * 4 + 2
    _, batch = renormalise(flat(params), statistics, "n", x, bounds(torch.tensor([False, False]), 1))
    fold(statistics, {"n": batch}, torch.tensor([True, False]))
    torch.testing.assert_close(statistics["n.mean"][0, 0], 0.01 * x[0].mean(0))
    assert (statistics["n.mean"][1] == 0).all()
    y = normalise(flat(params), statistics, "n", x)
    expected = (x[0] - statistics["n.mean"][0, 0]) / (statistics["n.var"][0, 0] + EPS).sqrt()
    torch.testing.assert_close(y[0], expected)
