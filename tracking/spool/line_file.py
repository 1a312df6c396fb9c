"""LineFile: an append-only file of lines, read from any line on without reading those before it."""

import os
from array import array
from pathlib import Path

from tracking.spool import atomic_file


class LineFile:
    """Complete lines only: a torn last line, left by a killed writer, does not exist for readers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends: array[int] = array("q")
        self._identity: tuple[int, int] | None = None
        self._tail_checked = False

    def count(self) -> int:
        """The number of complete lines, those of other processes included."""
        self._scan()
        return len(self._ends)

    def lines(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """Lines from `start` up to `stop`, newlines included."""
        last = self.count() if stop is None else min(stop, self.count())
        if start >= last:
            return []
        begin, end = self._begin(start), self._begin(last)
        with self.path.open("rb") as stream:
            stream.seek(begin)
            return stream.read(end - begin).splitlines(keepends=True)

    def append(self, content: bytes) -> None:
        """Add complete lines; what a killed or failed writer left torn is cut off first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._tail_checked:
            self._cut_tail()
        self._tail_checked = False
        with self.path.open("ab") as stream:
            stream.write(content)
        self._tail_checked = True

    def replace(self, content: bytes) -> None:
        """Exchange the whole content in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_file.write(self.path, content)
        self._forget()

    def _begin(self, line: int) -> int:
        return self._ends[line - 1] if line else 0

    def _forget(self) -> None:
        self._ends = array("q")
        self._identity = None

    def _cut_tail(self) -> None:
        """Truncate behind the last complete line."""
        if self.path.exists():
            self._scan()
            os.truncate(self.path, self._begin(len(self._ends)))

    def _scan(self) -> None:
        """Learn the ends of lines written since the last look."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._forget()
            return
        known = self._begin(len(self._ends))
        identity = (status.st_dev, status.st_ino)
        if identity != self._identity or status.st_size < known:
            self._forget()
            self._identity, known = identity, 0
        if status.st_size > known:
            self._scan_from(known)

    def _scan_from(self, position: int) -> None:
        with self.path.open("rb") as stream:
            stream.seek(position)
            for line in stream:
                position += len(line)
                if line.endswith(b"\n"):
                    self._ends.append(position)
