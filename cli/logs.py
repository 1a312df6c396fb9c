"""Logs: warnings of all rooms go to stderr in one line each, without passwords."""

import logging

from tracking.redaction import redact

FORMAT = "%(levelname)s %(name)s: %(message)s"
OURS = ("cli", "search", "tracking", "omad_core")
CHATTY = ("optuna.storages", "optuna.study", "optuna.trial", "alembic")
"""Set before they are imported, below the roots whose levels they set themselves."""


class RedactingFormatter(logging.Formatter):
    """Hides passwords and tokens of addresses in the records of all loggers."""

    def format(self, record: logging.LogRecord) -> str:
        """The line as it may be shown."""
        return redact(super().format(record))


def configure(debug: bool) -> None:
    """Send logs to stderr: warnings, and with `debug` also what our own rooms say of their work."""
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(FORMAT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for room in OURS:
        logging.getLogger(room).setLevel(logging.DEBUG if debug else logging.WARNING)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def configure_worker() -> None:
    """A worker's log: what it does, with the time."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(RedactingFormatter(f"%(asctime)s {FORMAT}"))
    for room in OURS:
        logging.getLogger(room).setLevel(min(logging.INFO, logging.getLogger(room).level or logging.INFO))
