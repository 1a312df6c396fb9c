"""Admission: how a worker fills its pack with claimed trials."""

import logging

from search.checkpoints.store import goes_back
from search.errors import LeaseLost, SearchError, StorageUnavailable
from search.slots.lease import Lease
from search.worker.claimer import Claimer
from search.worker.completion import TrialCompletion
from search.worker.context import WorkerContext
from search.worker.trial_pack import TrialPack
from search.worker.trial_runner import TrialRunner
from tracking.errors import TrackingUnavailable

log = logging.getLogger(__name__)


class Admission:
    """Claims trials for one worker and lets them train."""

    def __init__(self, context: WorkerContext, pack: TrialPack, completion: TrialCompletion) -> None:
        self._context, self._pack, self._completion = context, pack, completion
        self._claimer = Claimer(context)

    def fill(self) -> None:
        """Admit the trials that wait, then claim others while there is room. Raises UnfitMachine."""
        for runner in list(self._pack.waiting):
            self._attend_waiting(runner)
        while self._has_room():
            try:
                lease = self._claim()
            except StorageUnavailable as error:
                if not len(self._pack):
                    raise
                log.warning("%s; the claimed trials train on", error)
                return
            if lease is None:
                return
            claimed = self._claimer.prepare(lease)
            if claimed is not None and self._pack.takes(claimed):
                self._admit(claimed)
            elif claimed is not None:
                self._pack.waiting.append(claimed)

    def _has_room(self) -> bool:
        """Whether to claim another trial; none beside one that ended or failed its last worker without progress.

        What is wrong with that one may end this process: it costs no other trial an attempt.
        """
        suspicious = any(runner.held.lease.attempt > 1 for runner in self._pack.runners)
        return not self._context.stopping and not suspicious and len(self._pack) < self._context.location.pack

    def _claim(self) -> Lease | None:
        if len(self._pack):
            return self._claimer.claim(untried=True)
        return self._context.patiently(self._claimer.claim)

    def _attend_waiting(self, runner: TrialRunner) -> None:
        """Admit a waiting trial once there is a population for it; give it up as one that trains would be."""
        if runner.held.lost is not None:
            log.warning("%s; it drops trial %d", runner.held.lost, runner.trial.number)
            self._pack.drop(runner)
        elif runner.held.desired_state != "running":
            self._completion.give_back([runner])
        elif self._pack.takes(runner):
            self._pack.waiting.remove(runner)
            self._admit(runner)

    def _admit(self, runner: TrialRunner) -> None:
        """Let a trial train; one that cannot begin has used one of its attempts."""
        try:
            self._resume(runner)
        except LeaseLost as error:
            log.info("%s", error)
            self._pack.drop(runner)
        except TrackingUnavailable as error:
            self._claimer.put_off(runner, error)
            self._pack.drop(runner)
        except SearchError:
            raise
        except Exception as error:  # the worker's border: users' environments may raise anything
            log.exception("trial %d cannot begin", runner.trial.number)
            self._completion.fail([runner], error)

    def _resume(self, runner: TrialRunner) -> None:
        """Begin a trial from its newest checkpoint, if it has one."""
        lease = runner.held.lease
        loaded = self._context.load(runner.held)
        if goes_back(lease, loaded):
            self._claimer.begin_again(runner, loaded.ref.step if loaded else 0)
        self._pack.begin(runner, loaded)
        runner.recording.open()
        log.info("trial %d (slot %d) from step %d", runner.trial.number, lease.number, runner.steps)
