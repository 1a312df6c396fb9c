"""The code of a published model: MLflow runs this file when it loads one ("model from code").

Input: joint observations [n, sum of the agents' observation widths], agents side by side in order. Output: joint
actions [n, sum of the action widths], in the environment's units. With the parameter `agent`, one agent alone: its own
observations [n, its width] and its actions. `deterministic` turns the noise off; `seed` makes a sample repeatable.
"""

from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from omad_core.policy import Policy


class ServedPolicy(PythonModel):
    """All agents' policies; each agent's action depends on its own columns alone."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the policy folder among the model's artifacts."""
        self.policy = Policy.load(context.artifacts["policy"])

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> Any:
        """Joint actions for joint observations; both 2-D arrays."""
        options = params or {}
        seed = int(options.get("seed", -1))
        how: dict[str, Any] = {
            "deterministic": bool(options.get("deterministic", False)),
            "seed": None if seed < 0 else seed,
        }
        observations, agent = np.asarray(model_input, np.float32), str(options.get("agent", ""))
        if agent:
            return self.policy.act({agent: observations}, **how)[agent]
        return self.policy.act_joint(observations, **how)


mlflow.models.set_model(ServedPolicy())
