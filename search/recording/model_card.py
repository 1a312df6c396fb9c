"""The model card: what a user of a published policy should know, in Markdown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omad_core.policy import Policy
from omad_core.results.statistics import Summary
from search.study.study_spec import StudySpec


@dataclass(frozen=True)
class Facts:
    """What is known of a trial whose policy is published."""

    spec: StudySpec
    number: int
    params: Mapping[str, Any]
    score: float
    step: int
    returns: Summary | None = None
    """Of its own policy on fresh episodes, once the study has its report."""
    confirmed: Sequence[str] = ()
    """What training it again on held-out seeds showed, a line each."""


def figure(value: Any) -> str:
    """A parameter as shown to people: four significant digits; the run stores it as sampled."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def request(policy: Policy) -> str:
    """The body of a request to `mlflow models serve`: one joint observation of zeros."""
    return json.dumps({"inputs": [[0.0] * sum(policy.spec.obs_dims)], "params": {"deterministic": True}})


def lone_request(policy: Policy) -> str:
    """The same for the last agent alone."""
    params = {"agent": policy.spec.agents[-1], "deterministic": True}
    return json.dumps({"inputs": [[0.0] * policy.spec.obs_dims[-1]], "params": params})


def model_card(facts: Facts, uri: str, policy: Policy) -> str:
    """The card in Markdown, short enough for a version's description in MLflow."""
    spec, study = policy.spec, facts.spec
    params = "\n".join(f"| `{name}` | {figure(value)} |" for name, value in facts.params.items())
    versions = ", ".join(f"{name} {version}" for name, version in sorted(spec.versions.items()))
    widths = zip(spec.agents, spec.obs_dims, spec.action_dims, strict=True)
    agents = ", ".join(f"`{agent}` ({obs} -> {act})" for agent, obs, act in widths)
    algorithm = str(policy.notes.get("algorithm", study.config.algorithm)).upper()
    return f"""# {study.name}: trial {facts.number}

Decentralised {algorithm} policies for `{spec.name}` ({spec.env_id}), trained for {facts.step:,} environment steps.

{_returns(facts, uri)}
- Measured with {versions}; other versions give other returns.
- Agents (observation -> action widths): {agents}.

| parameter | value |
|---|---|
{params}

```python
import mlflow
model = mlflow.pyfunc.load_model("{uri}")
actions = model.predict(observations)   # float32 [n, {sum(spec.obs_dims)}] -> [n, {sum(spec.action_dims)}]
action = model.predict(own, params={{"agent": "{spec.agents[-1]}"}})   # float32 [n, {spec.obs_dims[-1]}] -> \
[n, {spec.action_dims[-1]}]
```

Agents stand side by side in the joint arrays; alone, each acts from its own columns. Actions are sampled; \
`params={{"deterministic": True}}` turns the noise off, `"seed"` makes a sample repeatable.

```
mlflow models serve -m {uri} --env-manager local -p 5001
curl -H 'Content-Type: application/json' http://127.0.0.1:5001/invocations -d '{lone_request(policy)}'
```

It knows the task it was trained on and nothing else: other bodies, observations or action ranges are not covered, \
and returns were measured in simulation only.
"""


def _returns(facts: Facts, uri: str) -> str:
    score = (
        f"- Score: {facts.score:.1f}, the mean return of its last {facts.spec.score_evaluations} evaluations "
        "while it trained; it was chosen by that, so the score flatters it."
    )
    confirmed = "".join(f"- {line}\n" for line in facts.confirmed)
    if facts.returns is None:
        return f"{confirmed}{score}\n  `omad-search evaluate {uri}` measures it on fresh episodes."
    returns = facts.returns
    return (
        f"{confirmed}- Return of this policy on {returns.count} fresh episodes: {returns.mean:.1f}, "
        f"95 % interval over episodes {returns.low:.1f} to {returns.high:.1f}; training again with another seed gives "
        f"another policy.\n{score}"
    )
