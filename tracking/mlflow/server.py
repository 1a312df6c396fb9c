"""MLflow servers: asked once, with short patience, whether they are there and take this client."""

from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import requests
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import MlflowHostCreds, http_request, verify_rest_response

from tracking.mlflow import probe

ANSWER_SECONDS = 5.0
_request: Callable[..., requests.Response] = http_request
_login: Callable[[str], MlflowHostCreds] = get_default_host_creds
_ENDPOINT = "/api/2.0/mlflow/experiments/search"


def greet(address: str) -> None:
    """Ask for one experiment: proves a server, that it is MLflow, and that it accepts this client."""
    response = _request(
        _login(address),
        _ENDPOINT,
        "POST",
        json={"max_results": 1},
        max_retries=0,
        timeout=(probe.SECONDS, ANSWER_SECONDS),
    )
    verify_rest_response(response, _ENDPOINT)


def page(address: str, experiment_id: str, run_id: str) -> str:
    """Where the server shows a run, without the login that the address may hold."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    path = f"{parts.path.rstrip('/')}/"
    run = f"/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"
    return urlunsplit((parts.scheme, host, path, "", run))
