"""Workers that all meet a tracking store at the same instant: `python crowd.py CLIENTS`, the address on stdin.

Forked from one process that has imported everything, so that a dozen cost little more than one.
"""

import importlib
import os
import sys
import traceback
import warnings

from tracking.mlflow.tracker import MlflowTracker
from tracking.tracker import RunInfo


def meet(address: str, number: int) -> None:
    """What a worker does first."""
    tracker = MlflowTracker(address)
    tracker.check()
    parent = tracker.open_run(RunInfo("study", "study"))
    tracker.open_run(RunInfo("trial", "study", slot=number, parent_run_id=parent))


def child(address: str, number: int, go: int) -> int:
    """Wait for the pipe `go` to close, then meet; 0 if nothing was raised."""
    os.read(go, 1)
    try:
        meet(address, number)
    except BaseException:  # noqa: BLE001  (the border of a process)
        os.write(2, traceback.format_exc().encode())
        return 1
    return 0


def main() -> int:
    """Fork the workers, let them start at once, wait for them."""
    address = sys.stdin.readline().strip()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in (
            "mlflow.store.tracking.sqlalchemy_store",
            "mlflow.store.model_registry.sqlalchemy_store",
        ):
            importlib.import_module(module)
        importlib.import_module("sqlalchemy.orm").configure_mappers()
    go, gate = os.pipe()
    children = []
    for number in range(int(sys.argv[1])):
        forked = os.fork()
        if forked == 0:
            os.close(gate)
            os._exit(child(address, number, go))
        children.append(forked)
    os.close(gate)
    return max(os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) for forked in children)


if __name__ == "__main__":
    sys.exit(main())
