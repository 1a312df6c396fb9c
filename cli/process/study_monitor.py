"""The monitor of `run`: shows a study while its workers train, live or as plain lines, and stops them at Ctrl-C."""

import time

from cli.process.workers_monitor import WorkersMonitor
from cli.show.plain_lines import PlainLines
from cli.show.status import StatusView
from search.confirmation.pair import confirmation_of
from search.errors import StorageUnavailable
from search.launch.supervisor import Supervisor
from search.slots.studies import StudyHandle
from search.storage.store import Store
from search.view import status
from search.view.views import StudyView


class StudyMonitor(WorkersMonitor):
    """Shows a study, and then its confirmation."""

    def __init__(
        self,
        workers: Supervisor,
        store: Store,
        handle: StudyHandle,
        tracking: str,
        search: bool = True,
        confirm: bool = True,
    ) -> None:
        super().__init__(workers)
        self._store, self._handle, self._tracking = store, handle, tracking
        self._search, self._confirm = search, confirm
        self.confirmation: StudyView | None = None
        self._began = time.monotonic()
        self._lines: dict[str, PlainLines] = {}
        self._view = self._read()

    def run(self) -> StudyView:
        """Show the study until its workers have ended; its state then."""
        self.watch()
        return self._view

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train, of the confirmation neither."""
        searched = self._view.ended or not self._search
        return searched and (self.confirmation is None or self.confirmation.ended)

    def look(self) -> None:
        """Read the study."""
        self._view = self._read()

    def render(self) -> StatusView:
        """The study that is worked at."""
        return StatusView(self._now, self.note)

    def speak(self) -> None:
        """What is new in it."""
        self._lines.setdefault(self._now.name, PlainLines()).show(self._now)

    @property
    def _now(self) -> StudyView:
        """What is worked at: the search, then its confirmation."""
        return self._view if self.confirmation is None else self.confirmation

    def _read(self) -> StudyView:
        """The study now; while the storage is unavailable, as it was read last."""
        try:
            view = status.read(self._store, self._handle, self._tracking, self._began)
            if self._confirm and (view.ended or not self._search):
                self.confirmation = self._read_confirmation()
            return view
        except StorageUnavailable:
            if not hasattr(self, "_view"):
                raise
            return self._view

    def _read_confirmation(self) -> StudyView | None:
        handle = confirmation_of(self._store, self._handle)
        return None if handle is None else status.read(self._store, handle, self._tracking, self._began)
