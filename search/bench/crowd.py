"""A crowd of simulated workers, which claim, report and finish without training: what a storage bears."""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

import numpy as np
from optuna.samplers import RandomSampler
from optuna.trial import Trial
from sqlalchemy import text

from search.errors import SearchError, StorageUnavailable
from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim, read_desired_state
from search.slots.studies import StudyHandle, open_study, optuna_study
from search.storage.patience import patiently
from search.storage.store import Store, open_storage

THREADS = 25
"""Simulated workers a process."""
LEASE_SECONDS = 600.0
REPORTS = 3
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.2
QUIET = "search.storage.patience"
"""Its warnings are counted here, thousands of them."""
CONNECTIONS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")

T = TypeVar("T")


@dataclass
class Tally:
    """What simulated workers did."""

    trials: int = 0
    put_off: int = 0
    """Calls that were tried again: the database had no connection left, or was busy."""
    errors: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Durations of the calls by name, from the first try to the answer."""

    def time(self, name: str, call: Callable[[], T]) -> T:
        """The answer of a call, tried until it comes."""

        def tried() -> T:
            try:
                return call()
            except StorageUnavailable:
                self.put_off += 1
                raise

        began = time.monotonic()
        answer = patiently(tried, PATIENCE_SECONDS)
        self.seconds.setdefault(name, []).append(time.monotonic() - began)
        return answer

    def add(self, other: "Tally") -> None:
        """Count another one's with these."""
        self.trials += other.trials
        self.put_off += other.put_off
        self.errors += other.errors
        for name, seconds in other.seconds.items():
            self.seconds.setdefault(name, []).extend(seconds)

    def ms(self, name: str, share: float) -> float:
        """This quantile of the durations of a call."""
        return float(np.quantile(self.seconds[name], share) * 1e3)


@dataclass(frozen=True)
class CrowdLoad:
    """A storage under a crowd."""

    workers: int
    seconds: float
    probes: Tally
    """The few workers whose calls were timed."""
    crowd: Tally
    """All others."""
    most_connections: int | None
    """While all worked; None where the storage is no PostgreSQL."""
    training_connections: int | None
    """While all held a trial and trained; the one that counts them not counted."""

    @property
    def claims_per_second(self) -> float:
        """Trials claimed, trained for no time and finished, by all."""
        return (self.probes.trials + self.crowd.trials) / self.seconds


def press(url: str, name: str, workers: int, seconds: float, probes: int = 4) -> CrowdLoad:
    """Have a crowd work on a study of many trials, a few of it timed; then have each hold one and wait."""
    crowd, timed = Tally(), Tally()
    sizes = [min(THREADS, workers - probes - n) for n in range(0, workers - probes, THREADS)]
    with (
        open_storage(url) as store,
        ProcessPoolExecutor(len(sizes), mp_context=get_context("spawn")) as pool,
    ):
        handle = open_study(store, name)
        for _ in pool.map(_warm, sizes):  # imports take seconds
            pass
        logging.getLogger(QUIET).setLevel(logging.ERROR)
        end = time.time() + seconds
        jobs = [pool.submit(work, url, name, size, end) for size in sizes]
        began = time.monotonic()
        probe_thread = threading.Thread(target=lambda: timed.add(work(url, name, probes, end)))
        probe_thread.start()
        most = _most(store, lambda: probe_thread.is_alive() or not all(job.done() for job in jobs))
        probe_thread.join()
        took = time.monotonic() - began
        for job in jobs:
            crowd.add(job.result())
        holding = [pool.submit(hold, url, name, size) for size in sizes]
        training = _while_held(store, handle, sum(sizes), holding)
        logging.getLogger(QUIET).setLevel(logging.NOTSET)
    return CrowdLoad(workers, took, timed, crowd, most, training)


def work(url: str, name: str, workers: int, end: float) -> Tally:
    """Workers of one process, each with connections of its own, until a time by the clock."""
    tallies = [Tally() for _ in range(workers)]
    threads = [threading.Thread(target=_worker, args=(url, name, tally, end)) for tally in tallies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total


def hold(url: str, name: str, workers: int) -> None:
    """Workers of one process that claim a trial each and train it until the study is stopped."""
    stores = [open_storage(url) for _ in range(workers)]
    handle = open_study(stores[0], name)
    for store in stores:
        claimant = Claimant("crowd", LEASE_SECONDS)
        claimed = Tally().time("claim", partial(claim, store, handle.study_id, claimant))
        if claimed is None:
            raise RuntimeError("the study has too few trials for this crowd")
    while Tally().time("desired state", lambda: read_desired_state(stores[0], handle.study_id)) == "running":
        time.sleep(10 * LOOK_SECONDS)
    for store in stores:
        store.close()


def _warm(number: int) -> int:
    """Have a process import what it needs, keep to itself what it tries again, and be there for its first job."""
    logging.getLogger(QUIET).setLevel(logging.ERROR)
    time.sleep(1.0)
    return number


def _worker(url: str, name: str, tally: Tally, end: float) -> None:
    try:
        with tally.time("open", lambda: open_storage(url)) as store:
            handle = tally.time("study", lambda: open_study(store, name))
            while time.time() < end and _trial(store, handle, tally):
                tally.trials += 1
    except (SearchError, RuntimeError) as error:
        tally.errors.append(str(error))


def _trial(store: Store, handle: StudyHandle, tally: Tally) -> bool:
    """A trial of no length; False where none is left."""
    owner = f"crowd-{os.getpid()}-{threading.get_ident()}"
    lease = tally.time("claim", lambda: claim(store, handle.study_id, Claimant(owner, LEASE_SECONDS)))
    if lease is None:
        return False
    study = tally.time("study", lambda: optuna_study(store, handle, RandomSampler(seed=lease.number)))
    bound, trial = tally.time("bind", lambda: trial_binding.bind(store, study, lease))
    x = tally.time("suggest", lambda: _suggest(store, trial))
    for step in range(REPORTS):
        tally.time("renew", partial(lease_writes.renew, store, bound, LEASE_SECONDS, {"step": step}))
        tally.time("report", partial(outcomes.report, store, bound, trial, step, x))
    ended = tally.time("finish", lambda: outcomes.finish(store, study, bound, "complete", x))
    tally.time("publish", lambda: lease_writes.publish(store, ended))
    return True


def _suggest(store: Store, trial: Trial) -> float:
    with store.guard():
        return trial.suggest_float("x", 0.0, 1.0)


def _most(store: Store, going: Callable[[], bool]) -> int | None:
    """The highest number of connections seen during a block."""
    counts = [0]
    while going():
        if (count := connections(store)) is not None:
            counts.append(count)
        time.sleep(LOOK_SECONDS)
    return None if store.engine.dialect.name != "postgresql" else max(counts)


def _while_held(store: Store, handle: StudyHandle, workers: int, holding: "list[Future[None]]") -> int | None:
    """The highest number of connections held by workers that train and do not write."""
    before = budget.counts(store, handle.study_id).leased
    while budget.counts(store, handle.study_id).leased - before < workers and not any(
        j.done() for j in holding
    ):
        time.sleep(LOOK_SECONDS)
    seen = [count for _ in range(10) if (count := connections(store)) is not None]
    budget.set_desired_state(store, handle.study_id, "stopping")
    for job in holding:
        job.result()
    return min(seen) if seen else None


def connections(store: Store) -> int | None:
    """Connections to a PostgreSQL's database beside the one that asks; None elsewhere, or where none is free."""
    if store.engine.dialect.name != "postgresql":
        return None
    try:
        with store.read() as connection:
            return int(connection.scalar(CONNECTIONS) or 0) - 1
    except StorageUnavailable:
        return None
