"""Workers that claim, report and finish trials of no length, as real processes: `python fleet.py --help`."""

import argparse
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import optuna

from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import create_study, optuna_study
from search.storage.patience import patiently
from search.storage.store import Store, open_storage

T = TypeVar("T")


def work(url: str, trials: int, owner: str, seconds: float, patience: float) -> list[int]:
    """One worker with connections of its own; the numbers of the slots it finished."""
    finished = []

    def patient(action: Callable[..., T], *args: Any) -> T:
        return patiently(lambda: action(*args), patience)

    with patient(open_storage, url, True) as store:
        handle = patient(create_study, store, "fleet", trials, "{}", [{"x": 0.5}])
        while True:
            lease = patient(claim, store, handle.study_id, Claimant(owner, seconds))
            if lease is None:
                patient(lambda: outcomes.repair(store, optuna_study(store, handle)))
                if patient(budget.counts, store, handle.study_id).ended:
                    return finished
                time.sleep(0.2)
                continue
            sampler = optuna.samplers.RandomSampler(seed=lease.number)
            study = patient(optuna_study, store, handle, sampler)
            lease, trial = patient(trial_binding.bind, store, study, lease)
            x = patient(_propose, store, trial)
            for step in (1, 2):
                patient(lease_writes.renew, store, lease, seconds, {"step": step})
                patient(outcomes.report, store, lease, trial, step, x)
            lease = patient(outcomes.finish, store, study, lease, "complete", x)
            patient(lease_writes.publish, store, lease)
            finished.append(lease.number)


def _propose(store: Store, trial: optuna.Trial) -> float:
    with store.guard():
        return trial.suggest_float("x", 0.0, 1.0)


def process(args: argparse.Namespace, number: int, go: int) -> int:
    """Threads of one process, begun when the pipe `go` closes; 0 if none of them raised."""
    os.read(go, 1)
    failed: list[str] = []
    done: dict[str, list[int]] = {}

    def thread(name: str) -> None:
        try:
            done[name] = work(args.url, args.trials, name, args.lease_seconds, args.patience)
        except BaseException:  # noqa: BLE001  (the border of a thread)
            failed.append(traceback.format_exc())

    threads = [threading.Thread(target=thread, args=(f"worker-{number}-{n}",)) for n in range(args.threads)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    os.write(sys.stdout.fileno(), (json.dumps({"done": done, "failed": failed}) + "\n").encode())
    return 1 if failed else 0


def main() -> int:
    """Fork the processes before anything is opened, let them start at the same instant, wait for them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--lease-seconds", type=float, default=60.0)
    parser.add_argument(
        "--patience", type=float, default=0.0, help="seconds in which what passes is tried again"
    )
    args = parser.parse_args()
    if args.patience:
        logging.disable(logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    go, gate = os.pipe()
    children = []
    for number in range(args.processes):
        child = os.fork()
        if child == 0:
            os.close(gate)
            os._exit(process(args, number, go))
        children.append(child)
    os.close(gate)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main())
