"""Workers that claim, report and finish trials of no length, as real processes: `python fleet.py --help`."""

import argparse
import json
import os
import sys
import threading
import time
import traceback

import optuna

from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import create_study, optuna_study
from search.storage.store import open_storage


def work(url: str, trials: int, owner: str, seconds: float) -> list[int]:
    """One worker with connections of its own; the numbers of the slots it finished."""
    finished = []
    with open_storage(url, create=True) as store:
        handle = create_study(store, "fleet", trials, "{}", enqueue=[{"x": 0.5}])
        while True:
            lease = claim(store, handle.study_id, Claimant(owner, seconds))
            if lease is None:
                outcomes.repair(store, optuna_study(store, handle))
                if budget.counts(store, handle.study_id).ended:
                    return finished
                time.sleep(0.2)
                continue
            study = optuna_study(store, handle, optuna.samplers.RandomSampler(seed=lease.number))
            lease, trial = trial_binding.bind(store, study, lease)
            with store.guard():
                x = trial.suggest_float("x", 0.0, 1.0)
            for step in (1, 2):
                lease_writes.renew(store, lease, seconds, {"step": step})
                outcomes.report(store, lease, trial, step, x)
            lease = outcomes.finish(store, study, lease, "complete", x)
            lease_writes.publish(store, lease)
            finished.append(lease.number)


def process(args: argparse.Namespace, number: int, go: int) -> int:
    """Threads of one process, begun when the pipe `go` closes; 0 if none of them raised."""
    os.read(go, 1)
    failed: list[str] = []
    done: dict[str, list[int]] = {}

    def thread(name: str) -> None:
        try:
            done[name] = work(args.url, args.trials, name, args.lease_seconds)
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
    args = parser.parse_args()
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
