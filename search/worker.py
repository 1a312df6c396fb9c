"""The worker: claims slots, trains their trials in one population, and hands in the results."""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.trial import FixedTrial, FrozenTrial, Trial

from omad_core import settings
from omad_core.config import TrainConfig, structure
from omad_core.envs import make_spec
from omad_core.errors import OmadError
from omad_core.events import Busy, Event
from omad_core.policy import Policy
from omad_core.population import Population
from search import budget, endings, slots
from search.alive import expire_gone, identity
from search.binding import bind, frozen
from search.claim import claim, claim_unpublished, wanted
from search.course import Course, best_seed, save_model
from search.errors import LeaseLost, StorageUnavailable, TrialEnded
from search.home import Home, lease_folder
from search.keeping import Keeper, Loaded, goes_back, load_newest
from search.keys import COURSE
from search.lease import Lease
from search.ledger import Hold, Ledger, check_alive
from search.overview import parent_info
from search.patience import PATIENCE_SECONDS, patiently
from search.pruners import build_pruner
from search.publishing import Result, publish
from search.recording import Recording, Rooms, open_run
from search.samplers import build_sampler
from search.spec import StudySpec
from search.storage import Store
from search.study import StudyHandle, optuna_study
from search.syncing import sync_runs
from tracking.errors import TrackingError, TrackingUnavailable
from tracking.provenance import provenance, source_tags
from tracking.sender import Sender
from tracking.spool import Spool
from tracking.tracker import RunInfo, Tracker

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
DRAIN_SECONDS = 30.0
GRACE_SECONDS = 30.0
"""Time from SIGTERM to SIGKILL where nothing else is known: what schedulers commonly give."""
GRACE_SHARE = 0.8
"""Of it, what checkpoints and releases may take; the rest is for the process to end."""

PUT_OFF_SECONDS = 10.0
"""Pause before a trial is tried again whose checkpoint could not be fetched."""

T = TypeVar("T")


def course_name(trial: int, restarted: int | None) -> str:
    """Names a trial's run among those of its slot: retried and restarted ones get new runs."""
    return str(trial) if restarted is None else f"{trial}-{restarted}"


@dataclass(frozen=True)
class Place:
    """Where a worker runs."""

    home: Home
    device: str = "cpu"
    pack: int = 1
    """Trials trained side by side."""
    name: str = ""


class Worker:
    """Works for one study until every slot has its result, or until it is told to stop."""

    def __init__(
        self,
        store: Store,
        handle: StudyHandle,
        tracker: Tracker,
        place: Place,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._store, self._handle, self._place = store, handle, place
        self._spec = StudySpec.from_json(handle.spec)
        self._owner = place.name or f"{socket.gethostname()}:{os.getpid()}"
        self._rooms = Rooms(
            store,
            Ledger(store, self._spec.lease_seconds, patience_seconds),
            tracker,
            Sender(),
            patience_seconds,
        )
        self._population: Population | None = None
        self._shape: Mapping[str, Any] = {}
        self._courses: list[Course] = []
        self._held_back: Course | None = None
        self._publishing: list[Hold] = []
        self._leave_by: float | None = None
        self._facts = provenance()
        self._parent = parent_info(self._spec, handle, store.address)
        self._given_up: set[int] = set()
        self._later: dict[int, float] = {}

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Write checkpoints, release what is held and return from `run`; safe in a signal handler.

        What cannot be sent within the grace is left on this machine.
        """
        self._leave_by = time.monotonic() + grace_seconds * GRACE_SHARE

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._leave_by is not None

    def _left(self, seconds: float) -> float:
        """These seconds, or what is left of the grace."""
        return (
            seconds if self._leave_by is None else max(0.1, min(seconds, self._leave_by - time.monotonic()))
        )

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, self._left(self._rooms.patience_seconds))

    def run(self) -> None:
        """Work. Raises what makes going on impossible: StorageUnavailable, TrackingError of a full disk."""
        try:
            self._repair()
            self._sync()
            while not self.stopping and self._work():
                check_alive(self._rooms.ledger)
            self._leave()
            self._catch_up()
        finally:
            self._close()

    def catch_up(self) -> None:
        """Train nothing: do what workers that are gone left undone, and send what they left here."""
        try:
            self._catch_up()
        finally:
            self._close()

    def _catch_up(self) -> None:
        self._repair()
        self._sync()
        self._publish_left()

    def _sync(self) -> None:
        """Have the curves sent that were left here, and runs that nobody is at shown so."""
        job = partial(sync_runs, self._store, self._handle, self._rooms.tracker, self._place.home)
        self._rooms.sender.submit("runs that nobody is at", job)

    def _repair(self) -> None:
        """Do what workers that died left undone, as far as the storage goes."""
        self._patiently(lambda: endings.repair(self._store, optuna_study(self._store, self._handle)))
        self._patiently(lambda: expire_gone(self._store, self._handle.study_id))

    def _work(self) -> bool:
        """One round; False when there is nothing left to do, now or later."""
        self._fill()
        self._keep_waiting_leases()
        if not self._courses:
            return self._idle()
        self._train()
        return True

    def _keep_waiting_leases(self) -> None:
        """Trials that wait their turn, to be trained or to be published, are kept while this worker lives."""
        held_back = [self._held_back.hold] if self._held_back is not None else []
        for hold in [*self._publishing, *held_back]:
            self._rooms.ledger.tell(hold)

    def _idle(self) -> bool:
        """Nothing to train now; somebody else's trial may yet become free."""
        self._repair()
        left = self._patiently(lambda: budget.counts(self._store, self._handle.study_id))
        asked = self._patiently(lambda: wanted(self._store, self._handle.study_id))
        if left.ended or asked in ("stopping", "moved"):
            log.info("nothing is left to train" if left.ended else f"the study is {asked}")
            return False
        self._pause()
        return True

    def _pause(self) -> None:
        """Wait a little; in short pieces, because a signal does not end a sleep."""
        end = time.monotonic() + IDLE_SECONDS
        while not self.stopping and time.monotonic() < end:
            time.sleep(0.05)

    def _fill(self) -> None:
        """Claim and begin trials while there is room for them."""
        while self._held_back is None and len(self._courses) < self._place.pack and not self.stopping:
            try:
                lease = self._patiently(self._claim) if not self._courses else self._claim()
            except StorageUnavailable as error:
                if not self._courses:
                    raise
                log.warning("%s; the trials at hand go on", error)
                break
            if lease is None:
                break
            self._begin(lease)
        if self._held_back is not None and not self._courses:
            course, self._held_back = self._held_back, None
            self._admit(course)

    def _claim(self) -> Lease | None:
        spec, now = self._spec, time.monotonic()
        self._later = {number: then for number, then in self._later.items() if then > now}
        return claim(
            self._store,
            self._handle.study_id,
            self._owner,
            spec.lease_seconds,
            spec.max_attempts,
            list(self._later),
        )

    def _begin(self, lease: Lease) -> None:
        try:
            course = self._prepare(lease)
        except (LeaseLost, TrialEnded) as error:
            log.info("%s", error)
            return
        if course is None:
            return
        if self._courses and self._structure(course.configs[0]) != self._shape:
            self._held_back = course
        else:
            self._admit(course)

    def _prepare(self, lease: Lease) -> Course | None:
        study = self._optuna(lease.number)
        lease, trial, configs = self._patiently(partial(self._bind, study, lease))
        if isinstance(configs, Exception):
            self._refuse(study, lease, trial, configs)
            return None
        step = max((ref.step for ref in lease.checkpoints), default=0)
        hold = self._rooms.ledger.hold(lease, identity() | {"token": lease.token, "step": step})
        folder = self._folder(lease)
        keeper = Keeper(folder, lease.token, self._place.home)
        spool = Spool(folder / lease_folder(lease.token))
        info = self._run_info(lease, trial, configs[0])
        recording = Recording(self._rooms, hold, self._parent, info, spool, keeper)
        return Course(self._rooms, self._spec, hold, trial, configs, spool, keeper, recording)

    def _bind(
        self, study: optuna.Study, lease: Lease
    ) -> tuple[Lease, Trial, tuple[TrainConfig, ...] | Exception]:
        """The slot's trial and its sampled values, or what is wrong with those that a person enqueued.

        Again from the start where a write got lost on the way.
        """
        bound, trial = bind(self._store, study, lease)
        with self._store.guard():
            try:
                return bound, trial, self._spec.configs(trial)
            except (OmadError, ValueError, TypeError) as error:
                return bound, trial, error

    def _refuse(self, study: optuna.Study, lease: Lease, trial: Trial, error: Exception) -> None:
        """End a trial whose parameters cannot be trained: trying it again would change nothing."""
        reason = f"its parameters cannot be trained: {error}"
        log.warning("trial %d ends: %s", trial.number, reason)
        self._patiently(lambda: endings.fail(self._store, study, lease, reason, max_attempts=1, seconds=0.0))

    def _optuna(self, slot: int) -> optuna.Study:
        spec = self._spec
        sampler = build_sampler(spec.sampler, spec.seed, slot, spec.space.paths)
        pruner = build_pruner(spec.pruner, spec.config)
        return self._patiently(lambda: optuna_study(self._store, self._handle, sampler, pruner))

    def _folder(self, lease: Lease) -> Path:
        return self._place.home.slot(self._spec.name, self._handle.uid, lease.number)

    def _run_info(self, lease: Lease, trial: Trial | FrozenTrial, config: TrainConfig) -> RunInfo:
        tags = {
            "omad.task": self._spec.task,
            "omad.trial": str(trial.number),
            "omad.profile": self._spec.profile,
            "omad.worker": self._owner,
            "omad.device": self._place.device,
            "omad.attempt": str(lease.attempt),
            "omad.seeds": " ".join(map(str, self._spec.training_seeds)),
        }
        return RunInfo(
            name=f"trial {trial.number}",
            study=self._spec.name,
            study_id=self._handle.uid,
            slot=lease.number,
            course=course_name(trial.number, trial.user_attrs.get(COURSE)),
            params=trial.params,
            tags=tags | source_tags(self._facts),
            documents={"config.json": settings.to_dict(config), "provenance.json": self._facts},
        )

    def _structure(self, config: TrainConfig) -> Mapping[str, Any]:
        return structure(config)

    def _admit(self, course: Course) -> None:
        """Let a course train; a trial that cannot even begin costs one of its attempts."""
        try:
            population = self._population_for(course.configs[0])
            lease = course.hold.lease
            loaded = self._load(course.hold)
            if goes_back(lease, loaded):
                self._begin_again(course, loaded.ref.step if loaded else 0)
            facts = (
                {"device": self._place.device, "host": socket.gethostname()}
                | identity()
                | {"token": lease.token}
            )
            self._courses.append(course)
            course.begin(population, loaded, facts | {"trial": course.trial.number})
        except LeaseLost as error:
            log.info("%s", error)
            self._drop(course)
            return
        except TrackingUnavailable as error:
            self._put_off(course, error)
            return
        except (OmadError, TrackingError) as error:
            log.exception("trial %d cannot begin", course.trial.number)
            self._fail(course, str(error))
            return
        course.recording.open()
        log.info("trial %d (slot %d) from step %d", course.trial.number, lease.number, course.steps)

    def _put_off(self, course: Course, error: TrackingUnavailable) -> None:
        """Its checkpoint lies on a server that is away: leave it to others, and to later."""
        lease = course.hold.lease
        log.warning("trial %d waits for its checkpoint: %s", course.trial.number, error)
        self._later[lease.number] = time.monotonic() + PUT_OFF_SECONDS
        self._give_back(lease)
        self._drop(course)

    def _load(self, hold: Hold) -> Loaded | None:
        """The newest checkpoint that can be had; fetching it keeps the lease."""
        folder = self._folder(hold.lease)
        told = partial(self._rooms.ledger.tell, hold)
        return load_newest(hold.lease, folder, self._place.home, self._rooms.tracker, told)

    def _begin_again(self, course: Course, step: int) -> None:
        """The trial goes back behind what its run shows: it gets a new run, so that no point is there twice."""
        number, token = course.trial.number, course.hold.lease.token
        log.warning("trial %d goes back to step %d and gets a new run in MLflow", number, step)

        def write() -> None:
            with self._store.guard():
                course.trial.set_user_attr(COURSE, token)
            course.recording.begin_again(course_name(number, token))

        self._patiently(write)

    def _population_for(self, config: TrainConfig) -> Population:
        """The running program where the trial fits into it, else a new one."""
        shape = self._structure(config)
        if self._population is None or shape != self._shape:
            if self._population is not None:
                self._population.close()
            spec = self._spec
            widest = int(spec.space.largest("critic.quantiles", config))
            capacity = self._place.pack * spec.seeds
            self._population, self._shape = Population(config, capacity, self._place.device, widest), shape
        return self._population

    def _train(self) -> None:
        population = self._population
        if population is None:
            return
        try:
            events = population.advance()
        except Exception as error:  # the worker's border: a trial that raises is tried again
            log.exception("training failed")
            self._fail_all(f"{type(error).__name__}: {error}")
            return
        for course in list(self._courses):
            try:
                self._attend(course, population, events)
            except (OmadError, TrackingError) as error:
                log.exception("trial %d cannot go on", course.trial.number)
                self._fail(course, str(error))

    def _attend(self, course: Course, population: Population, events: Sequence[Event]) -> None:
        """Pass a course its events, then do what it needs."""
        members = set(course.members)
        for event in events:
            if isinstance(event, Busy) or event.member in members:
                course.hear(event)
        self._look_after(course, population)

    def _look_after(self, course: Course, population: Population) -> None:
        """Whatever a course needs between two advances."""
        hold = course.hold
        if hold.lost is not None:
            log.warning("%s; it drops trial %d", hold.lost, course.trial.number)
            self._drop(course)
        elif course.diverged is not None:
            self._finish(course, population, "diverged", course.diverged)
        elif course.finished:
            self._finish(course, population, "complete", None)
        elif hold.prune:
            self._finish(course, population, "pruned", f"pruned at step {course.steps:,}")
        elif hold.wanted != "running":
            log.info("the study is %s", hold.wanted)
            self._release([course], population)
        elif course.due_for_checkpoint(population):
            course.checkpoint(population)

    def _finish(self, course: Course, population: Population, outcome: Any, reason: str | None) -> None:
        """Hand in a result: last checkpoint, slot, Optuna; then the rest leaves with the sender."""
        value = course.score()
        course.checkpoint(population)
        model = self._folder(course.hold.lease) / "model"
        folder = course.save_model(population, model) if outcome == "complete" else None
        course.show_progress()
        self._settle()
        study = self._optuna(course.hold.lease.number)
        try:
            lease = self._patiently(
                lambda: endings.finish(
                    self._store, study, course.hold.lease, outcome, value, reason, self._spec.lease_seconds
                )
            )
        except LeaseLost as error:
            log.warning("%s; its result of trial %d is refused", error, course.trial.number)
            self._drop(course)
            return
        log.info("trial %d is %s: %s", course.trial.number, outcome, value)
        self._evict(course)
        spool = course.spool
        result = Result(self._spec, course.trial.number, course.trial.params, folder, course.steps, spool)
        course.hold.change(
            outcome=lease.outcome, value=lease.value, reason=lease.reason, attempt=lease.attempt
        )
        self._submit_publishing(course.hold, course.recording.run_id, result)

    def _settle(self) -> None:
        """Wait until the storage has everything that was submitted, while the leases are kept."""
        while not self._rooms.ledger.drain(self._left(IDLE_SECONDS)):
            check_alive(self._rooms.ledger)
            if self._leave_by is not None and time.monotonic() > self._leave_by:
                log.warning("the storage does not answer; what it lacks is trained again by the next worker")
                return
            for course in self._courses:
                self._rooms.ledger.tell(course.hold)

    def _submit_publishing(self, hold: Hold, run_id: Any, result: Result) -> None:
        folder = self._folder(hold.lease)

        self._publishing.append(hold)

        def job() -> None:
            if hold.lost is None:
                try:
                    publish(self._rooms, hold.lease, run_id(), result, folder)
                except LeaseLost as error:
                    log.warning("%s; its successor publishes trial %d", error, result.number)
            self._rooms.ledger.drop(hold)
            self._publishing.remove(hold)

        # In the place of a checkpoint that still waits there: it would come back after its deletion.
        self._rooms.sender.submit(f"trial of slot {hold.lease.number}: checkpoint", job)

    def _fail_all(self, reason: str) -> None:
        for course in list(self._courses):
            self._fail(course, reason)
        if self._population is not None:
            self._population.close()
            self._population = None

    def _fail(self, course: Course, reason: str) -> None:
        """A trial raised: it is tried again, here or elsewhere, until its attempts are used up."""
        self._settle()
        study = self._optuna(course.hold.lease.number)
        try:
            lease = self._patiently(
                lambda: endings.fail(
                    self._store,
                    study,
                    course.hold.lease,
                    reason,
                    self._spec.max_attempts,
                    self._spec.lease_seconds,
                )
            )
        except LeaseLost as error:
            log.warning("%s", error)
            lease = None
        if lease is None:
            self._drop(course)
            return
        self._evict(course)
        course.hold.change(
            outcome=lease.outcome, value=lease.value, reason=lease.reason, attempt=lease.attempt
        )
        result = Result(
            self._spec, course.trial.number, course.trial.params, None, course.steps, course.spool
        )
        self._submit_publishing(course.hold, course.recording.run_id, result)

    def _evict(self, course: Course) -> None:
        if course in self._courses:
            self._courses.remove(course)
            for member in course.members:
                if self._population is not None:
                    self._population.evict(member)

    def _drop(self, course: Course) -> None:
        """The slot is no longer ours: forget it here; its successor has what was recorded."""
        self._rooms.ledger.drop(course.hold)
        self._evict(course)

    def _release(self, courses: Sequence[Course], population: Population) -> None:
        """Checkpoint, send, give the slots back: the next worker goes on at once."""
        for course in courses:
            try:
                course.checkpoint(population)
            except (OmadError, TrackingError) as error:
                log.warning("trial %d goes back to its last checkpoint: %s", course.trial.number, error)
        self._settle()
        opened = any(course.hold.lease.mlflow_run_id for course in courses)
        self._send(self._left(DRAIN_SECONDS if opened else IDLE_SECONDS))
        self._settle()
        for course in courses:
            self._give_back(course.hold.lease)
            self._drop(course)

    def _send(self, seconds: float) -> None:
        """Give the sender some time, while the leases are kept."""
        end = time.monotonic() + seconds
        while not self._rooms.sender.drain(min(IDLE_SECONDS, end - time.monotonic())):
            if time.monotonic() >= end:
                return
            for course in self._courses:
                self._rooms.ledger.tell(course.hold)

    def _give_back(self, lease: Lease) -> None:
        try:
            self._patiently(lambda: slots.release(self._store, lease))
        except LeaseLost as error:
            log.warning("%s", error)

    def _leave(self) -> None:
        """Release what is held; finished trials were handed in already."""
        held = [course for course in self._courses if course.hold.lost is None]
        if self._population is not None and held:
            self._release(held, self._population)
        if self._held_back is not None:
            self._give_back(self._held_back.hold.lease)

    def _publish_left(self) -> None:
        """Do what finishers that died left undone; then wait a little for the sender."""
        while not self.stopping and (lease := self._patiently(self._claim_unpublished)) is not None:
            try:
                self._publish_for(lease)
            except (LeaseLost, OmadError, TrackingError) as error:
                log.warning("slot %d cannot be published here: %s", lease.number, error)
        if not self._rooms.sender.drain(self._left(DRAIN_SECONDS)):
            left = ", ".join(self._rooms.sender.pending())
            log.warning("not sent yet: %s; it is kept here, and any later worker of the study sends it", left)

    def _claim_unpublished(self) -> Lease | None:
        spec = self._spec
        return claim_unpublished(
            self._store,
            self._handle.study_id,
            self._owner,
            spec.lease_seconds,
            spec.max_attempts,
            self._given_up,
        )

    def _publish_for(self, lease: Lease) -> None:
        """Finish the publishing of a slot whose worker is gone, from its last checkpoint."""
        self._given_up.add(lease.number)
        if lease.trial_id is None:
            self._patiently(lambda: slots.publish(self._store, lease))
            return
        trial = self._patiently(lambda: frozen(self._store, lease))
        spec, folder = self._spec, self._folder(lease)
        config = self._config_of(trial)
        info = self._run_info(lease, trial, config)
        hold = self._rooms.ledger.hold(lease)
        try:
            run_id = open_run(self._rooms, lease, self._parent, info)
            hold.change(mlflow_run_id=run_id)
            loaded = self._load(hold)
        except TrackingError as error:
            log.warning("trial %d cannot be published yet: %s", trial.number, error)
            self._rooms.ledger.drop(hold)
            return
        newest = lease.checkpoints[0] if lease.checkpoints else None
        if lease.outcome == "complete" and (loaded is None or loaded.ref != newest):
            log.warning(
                "trial %d is complete; only the machine that has its last checkpoint can publish it",
                trial.number,
            )
            self._give_back(hold.lease)
            self._rooms.ledger.drop(hold)
            return
        spool = Spool(folder / lease_folder(lease.token))
        model = None
        if loaded is not None:
            spool.replace(loaded.curve)
            model = folder / "model"
            evaluations = [s.records["evaluations"] for s in loaded.states]
            best = best_seed(evaluations, spec.score_evaluations)
            state = loaded.states[best]
            policy = Policy.of_member(make_spec(state.config.task, state.config.env), state)
            save_model(policy, model, state.config, trial.number)
        step = loaded.ref.step if loaded else 0
        result = Result(spec, trial.number, trial.params, model, step, spool)
        self._submit_publishing(hold, lambda: run_id, result)
        self._rooms.sender.drain(DRAIN_SECONDS)

    def _config_of(self, trial: FrozenTrial) -> TrainConfig:
        """What a trial trained; the study's own settings where it never got that far."""
        try:
            return self._spec.space.sample(FixedTrial(trial.params), self._spec.config)
        except (OmadError, ValueError):
            return self._spec.config

    def _close(self) -> None:
        self._rooms.sender.close(IDLE_SECONDS)
        self._rooms.ledger.close()
        self._rooms.watch.close()
        if self._population is not None:
            self._population.close()
