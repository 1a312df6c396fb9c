"""Worker: claims slots, trains their trials and commits the results."""

import logging
import time
from collections.abc import Sequence

from omad_core.events import Busy, Event
from search.errors import SearchError, StorageRefused, StudyDeleted, UnfitMachine
from search.launch.watchdog import Watchdog
from search.slots import budget
from search.slots.claim import read_desired_state
from search.slots.lease import MOVE_STATES
from search.slots.studies import StudyHandle
from search.storage.patience import PATIENCE_SECONDS
from search.storage.store import Store
from search.worker.admission import Admission
from search.worker.completion import TrialCompletion
from search.worker.context import GRACE_SECONDS, IDLE_SECONDS, WorkerContext, WorkerLocation
from search.worker.publisher import Publisher
from search.worker.recovery import Recovery
from search.worker.trial_pack import TrialPack
from search.worker.trial_runner import TrialRunner
from tracking.tracker import Tracker

log = logging.getLogger(__name__)


class Worker:
    """Works for one study until every slot has its result, or until `stop` is called."""

    def __init__(
        self,
        store: Store,
        handle: StudyHandle,
        tracker: Tracker,
        location: WorkerLocation,
        patience_seconds: float = PATIENCE_SECONDS,
        watchdog: Watchdog | None = None,
        waits: bool = True,
    ) -> None:
        """`waits`: whether it stays while all trials that are left are in the hands of others."""
        self._waits = waits
        self._context = WorkerContext(store, handle, tracker, location, patience_seconds, watchdog)
        self._pack = TrialPack(self._context)
        self._publisher = Publisher(self._context)
        self._completion = TrialCompletion(self._context, self._pack, self._publisher)
        self._admission = Admission(self._context, self._pack, self._completion)
        self._recovery = Recovery(self._context, self._publisher)
        self._moved = False

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Write checkpoints, release what is held and return from `run`; safe in a signal handler.

        What cannot be sent within the grace is left on this machine.
        """
        self._context.stop(grace_seconds)

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._context.stopping

    def run(self) -> None:
        """Work. Raises StorageUnavailable, StorageRefused, and UnfitMachine where this machine cannot train on."""
        with self._context.watchdog.working():
            try:
                self._run()
            except UnfitMachine:
                self._leave()
                raise
            except (StorageRefused, StudyDeleted):
                self._context.watchdog.unfit()
                raise
            finally:
                self._close()

    def _run(self) -> None:
        self._recovery.repair()
        self._recovery.sync()
        while not self.stopping and self._work():
            self._context.lease_keeper.raise_failure()
        self._leave()
        if not self._moved:  # of a study that was moved this storage knows only what was so before
            self._catch_up()

    def catch_up(self) -> None:
        """Train nothing: do what workers that are gone left undone, and send what they left here.

        Also what killed so many of them that others leave it alone.
        """
        try:
            self._catch_up(by_hand=True)
        finally:
            self._close()

    def _catch_up(self, by_hand: bool = False) -> None:
        self._recovery.repair()
        self._recovery.sync()
        self._recovery.publish_left(by_hand)

    def _work(self) -> bool:
        """One round; False when there is nothing left to do, now or later."""
        self._admission.fill()
        self._publisher.keep()
        if not self._pack.runners:
            return self._idle()
        self._train()
        return True

    def _idle(self) -> bool:
        """Wait: a trial of another worker may become free. False when there is nothing left to wait for."""
        store, handle = self._context.store, self._context.handle
        asked = self._context.patiently(
            lambda: read_desired_state(store, handle.study_id, handle.tracking_run)
        )
        if asked in MOVE_STATES:
            log.info("the study is %s: this worker leaves", asked)
            self._moved = True
            return False
        self._recovery.repair()
        left = self._context.patiently(lambda: budget.counts(store, handle.study_id))
        if left.ended or asked == "stopping":
            log.info("nothing is left to train" if left.ended else f"the study is {asked}")
            return False
        if not self._waits:
            return False
        self._pause()
        return True

    def _pause(self) -> None:
        """Wait a little; in short pieces, because a signal does not end a sleep."""
        end = time.monotonic() + IDLE_SECONDS
        while not self.stopping and time.monotonic() < end:
            time.sleep(0.05)

    def _train(self) -> None:
        group = self._pack.next_group()
        try:
            events = self._pack.advance(group)
        except Exception as error:  # the worker's border: an engine that raises fails its own trials
            log.exception("training failed")
            self._completion.fail(list(group.runners), error)
            self._pack.close_group(group)
            return
        for runner in list(group.runners):
            try:
                self._attend(runner, events)
            except SearchError:
                raise
            except Exception as error:  # the worker's border: a member that raises fails its trial
                log.exception("trial %d cannot go on", runner.trial.number)
                self._completion.fail([runner], error)

    def _attend(self, runner: TrialRunner, events: Sequence[Event]) -> None:
        """Pass a trial its events, then do what it needs."""
        members = set(runner.members)
        for event in events:
            if isinstance(event, Busy) or event.member in members:
                runner.handle_event(event)
        self._look_after(runner)

    def _look_after(self, runner: TrialRunner) -> None:
        """Do what a trial needs between two slices."""
        held_lease, completion = runner.held, self._completion
        if held_lease.lost is not None:
            log.warning("%s; it drops trial %d", held_lease.lost, runner.trial.number)
            self._pack.drop(runner)
        elif runner.diverged is not None:
            completion.finish(runner, "diverged", runner.diverged)
        elif runner.finished:
            completion.finish(runner, "complete", None)
        elif held_lease.prune:
            completion.finish(runner, "pruned", f"pruned at step {runner.steps:,}")
        elif held_lease.desired_state != "running":
            log.info("the study is %s", held_lease.desired_state)
            completion.release([runner])
        elif runner.due_for_checkpoint():
            runner.checkpoint()

    def _leave(self) -> None:
        """Release what is held; results are committed already."""
        runners = [runner for runner in self._pack.runners if runner.held.lost is None]
        if runners:
            self._completion.release(runners)
        self._completion.give_back(self._pack.waiting)

    def _close(self) -> None:
        self._context.close()
        self._pack.close()
