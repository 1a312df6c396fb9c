"""The line format of spooled curves: one JSON object a row, floats exact, NaN and infinities kept."""

import json

from tracking.errors import TrackingError
from tracking.row import Row


def encode(row: Row) -> bytes:
    """One line, its newline included."""
    content = {
        "step": row.step,
        "time_ms": row.time_ms,
        "metrics": {name: float(value) for name, value in row.metrics.items()},
    }
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Row:
    """The row of one line. Raises ValueError, TypeError, AttributeError or OverflowError where it holds none."""
    if not line.endswith(b"\n"):
        raise ValueError("its end is missing")
    content = json.loads(line)
    if not isinstance(content, dict) or set(content) != {"step", "time_ms", "metrics"}:
        raise ValueError("not a row of a curve")
    metrics = {str(name): float(value) for name, value in content["metrics"].items()}
    return Row(step=int(content["step"]), time_ms=int(content["time_ms"]), metrics=metrics)


def decode_all(lines: list[bytes], source: str, first: int = 1) -> list[Row]:
    """The rows of these lines; a damaged one is named by its place and number."""
    rows = []
    for number, line in enumerate(lines, start=first):
        try:
            rows.append(decode(line))
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise TrackingError(
                f"Line {number} of the curve {source} is damaged ({error}); "
                "remove it, and the curve continues from the trial's last checkpoint."
            ) from error
    return rows
