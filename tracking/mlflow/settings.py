"""MLflow's process-wide settings, for a client that must not wait long nor write to the terminal.

MLflow reads them from the environment. Each is set only where the user has not set it.
"""

import logging
import os

SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "PGCONNECT_TIMEOUT": "5",
}
"""One immediate retry mends a connection that the server closed; longer outages are the sender's. The
rest: 30 s for an answer, no addresses and no progress bars in a live view, a model's requirements as given
and not from a uv.lock that happens to lie in the working folder, 5 s to connect to PostgreSQL."""


def apply() -> None:
    """Set what the user has not, and keep MLflow's chatter off the terminal."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        # its database errors come with long traces, and again as exceptions, which are translated
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        # it warns of every try on the way to an error, which then says so itself
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        # it warns of every batch that repeats points, which MLflow then drops
        logging.getLogger("psycopg").setLevel(logging.ERROR)
