"""Export: a trial's policy as files that need nothing of this project's search or tracking."""

import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from omad_core.policy import Policy
from search.errors import ExportRefused

SCRIPT = "policy.torchscript"
ABOUT = "about.json"
TRACED_ROWS, CHECKED_ROWS = 2, 5
TOLERANCE = 1e-4


class DeterministicPolicy(nn.Module):
    """Joint actions [n, sum of d_i] for joint observations [n, sum of O_i], without the chain's noise."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._policy = policy

    def forward(self, obs: Tensor) -> Tensor:
        """Agents side by side, in the environment's units."""
        spec = self._policy.spec
        parts = torch.split(obs, list(spec.obs_dims), dim=1)
        batch = torch.stack([nn.functional.pad(p, (0, spec.obs_width - p.shape[1])) for p in parts])[None]
        squashed = self._policy.squashed(batch, None)[0]
        return torch.cat([self._policy.to_box(at, squashed[at]) for at in range(spec.num_agents)], dim=1)


def export(policy: Policy, folder: Path) -> list[Path]:
    """Write the policy folder, its deterministic form in TorchScript, and what they are. Raises ExportRefused."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportRefused(f"{folder} exists already and is not empty; name another folder with --to")
    try:
        policy.save(folder)
        _script(policy).save(str(folder / SCRIPT))
        (folder / ABOUT).write_text(json.dumps(about(policy), indent=2))
    except OSError as error:
        raise ExportRefused(f"{folder} cannot be written: {error.strerror or error}") from error
    return sorted(folder.iterdir())


def about(policy: Policy) -> dict[str, object]:
    """What a user of the files needs to know, above all the order of the columns."""
    spec = policy.spec
    return {
        "task": spec.name,
        "environment": spec.env_id,
        "versions": spec.versions,
        "agents": [
            {"name": name, "observation_width": obs, "action_width": action, "low": low, "high": high}
            for name, obs, action, low, high in zip(
                spec.agents, spec.obs_dims, spec.action_dims, spec.action_low, spec.action_high, strict=True
            )
        ],
        "notes": policy.notes,
        "files": {
            "policy.safetensors": "weights, one stack for all agents",
            "policy.json": "shapes, settings of the actor and the digest of the weights",
            SCRIPT: "float32 [n, sum of observation widths] -> float32 [n, sum of action widths], without noise",
        },
    }


def _script(policy: Policy) -> torch.jit.ScriptModule:
    """The traced policy, checked against the policy itself on another number of rows. Raises ExportRefused."""
    width = sum(policy.spec.obs_dims)
    draw = torch.Generator().manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of constants, and that it has a successor
        traced: torch.jit.ScriptModule = torch.jit.trace(
            DeterministicPolicy(policy), torch.randn(TRACED_ROWS, width, generator=draw)
        )
    obs = torch.randn(CHECKED_ROWS, width, generator=draw)
    expected = policy.act_joint(obs.numpy(), deterministic=True)
    if not np.allclose(traced(obs).numpy(), expected, atol=TOLERANCE):
        raise ExportRefused(
            "the policy in TorchScript answers otherwise than the policy itself; nothing is kept"
        )
    return traced
