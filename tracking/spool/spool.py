"""Spool: the local curve of a trial, written before anything is sent."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from tracking.errors import TrackingError
from tracking.row import Row
from tracking.spool import atomic_file, curve_format
from tracking.spool.line_file import LineFile


@dataclass(frozen=True)
class Unsent:
    """Rows to send next, with the mark to write once they are sent."""

    rows: list[Row]
    end: int
    """How many rows of the spool have been sent after these."""
    edition: int
    """The spool's edition when they were read: replacing the curve or forgetting what was sent starts a new one."""


class Spool:
    """One trial's curve in a folder, one row a line; one writer, any number of readers and threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = LineFile(folder / "curve.jsonl")
        self._mark = folder / "curve.sent"
        self._edition = 0
        self._lock = threading.RLock()

    @property
    def path(self) -> Path:
        """The file of the curve."""
        return self._file.path

    def append(self, rows: Iterable[Row]) -> None:
        """Write rows at the end and hand them to the operating system."""
        content = b"".join(map(curve_format.encode, rows))
        with self._lock, self._writing():
            self._file.append(content)

    def rows(self, after: int = 0, limit: int | None = None) -> list[Row]:
        """The rows behind the first `after` ones, at most `limit` of them."""
        with self._lock, self._reading():
            lines = self._file.lines(after, None if limit is None else after + limit)
        return curve_format.decode_all(lines, str(self.path), first=after + 1)

    def count(self) -> int:
        """The number of rows."""
        with self._lock, self._reading():
            return self._file.count()

    def dump(self) -> bytes:
        """The whole curve, to travel inside a checkpoint."""
        with self._lock, self._reading():
            return b"".join(self._file.lines())

    def replace(self, content: bytes, sent: int = 0) -> None:
        """Put a dumped curve, of which `sent` rows had been sent, in the place of this one.

        Rows that both begin with stay as sent as they were here.
        """
        lines = content.splitlines(keepends=True)
        curve_format.decode_all(lines, "in the checkpoint")
        with self._lock:
            pairs = zip(self.dump().splitlines(keepends=True), lines, strict=False)
            common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            self._exchange(content, min(max(sent, min(common, self.sent)), len(lines)))

    @property
    def sent(self) -> int:
        """How many of the first rows have been sent."""
        with self._lock, self._reading():
            try:
                mark = int(self._mark.read_text())
            except (FileNotFoundError, ValueError):
                return 0
            return max(0, min(mark, self._file.count()))

    def unsent(self, up_to_step: int, limit: int) -> Unsent:
        """The next rows to send, up to an environment step and at most `limit` of them."""
        with self._lock:
            sent, edition = self.sent, self._edition
            rows = self.rows(after=sent, limit=limit)
        due = next((index for index, row in enumerate(rows) if row.step > up_to_step), len(rows))
        return Unsent(rows[:due], sent + due, edition)

    def mark_sent(self, unsent: Unsent) -> None:
        """Remember that rows were sent, unless another edition was started meanwhile."""
        with self._lock:
            if unsent.edition == self._edition:
                self._write_mark(unsent.end)

    def forget_sent(self) -> None:
        """Mark all rows as not sent: the run that they were sent to is gone."""
        with self._lock:
            self._edition += 1
            self._write_mark(0)

    def _exchange(self, content: bytes, sent: int) -> None:
        """Change the content: the mark first, so that a crash between repeats rows and loses none."""
        self._edition += 1
        self._write_mark(sent)
        with self._writing():
            self._file.replace(content)

    def _write_mark(self, sent: int) -> None:
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic_file.write(self._mark, str(sent).encode())

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrackingError(
                f"The curve cannot be written to {self.folder}: {error.strerror or error}. "
                "Free space there, or make the folder writable, and start again."
            ) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrackingError(
                f"The curve in {self.folder} cannot be read: {error.strerror or error}. "
                "Make the folder readable, or remove it to start the curve anew."
            ) from error
