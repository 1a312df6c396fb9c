"""The monitor of `compare`: shows all its algorithms while workers train, and stops these at Ctrl-C."""

import time
from collections.abc import Callable

from cli.process.workers_monitor import WorkersMonitor
from cli.show import numbers
from cli.show.comparison.live import ComparisonLiveView, progress
from cli.show.console import say
from cli.show.plain_lines import HEARTBEAT_SECONDS, PlainLines
from search.comparison.view import ComparisonView
from search.errors import StorageUnavailable
from search.launch.supervisor import Supervisor
from search.view.views import StudyView


class ComparisonMonitor(WorkersMonitor):
    """Shows a comparison."""

    def __init__(
        self, workers: Supervisor, read: Callable[[], ComparisonView], *, lines_to_stderr: bool = False
    ) -> None:
        """`read`: the comparison as it stands. `lines_to_stderr`: stdout is kept for what is said in the end."""
        super().__init__(workers)
        self._read, self._stderr = read, lines_to_stderr
        self._began = self._spoke = time.monotonic()
        self._lines: dict[str, PlainLines] = {}
        self.view = read()

    def look(self) -> None:
        """Read the comparison."""
        try:
            self.view = self._read()
        except StorageUnavailable:
            return

    def render(self) -> ComparisonLiveView:
        """All algorithms, and what is at work."""
        return ComparisonLiveView(self.view, time.monotonic() - self._began, self.note)

    def speak(self) -> None:
        """What is new in any of its studies; at least every half minute that it lives."""
        now, elapsed = time.monotonic(), time.monotonic() - self._began
        spoken = [
            self._speaker(algorithm.name, study).show(study, elapsed)
            for algorithm in self.view.algorithms
            for study in algorithm.studies
        ]
        if not any(spoken) and now - self._spoke > HEARTBEAT_SECONDS and not self.view.ended:
            say(f"{numbers.duration(elapsed):>7}  {progress(self.view)}", stderr=self._stderr)
            spoken = [True]
        if any(spoken):
            self._spoke = now

    def _speaker(self, algorithm: str, study: StudyView) -> PlainLines:
        if study.name not in self._lines:
            self._lines[study.name] = PlainLines(f"{algorithm}: ", heartbeat=False, stderr=self._stderr)
        return self._lines[study.name]
