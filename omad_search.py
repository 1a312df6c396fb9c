"""The program's door: nobody else's module has its name, and the packages behind it are the program's own.

`cli`, `search` and `tracking` are names that a user's files may have too; with PYTHONPATH these would come first.
Whoever imports this module has claimed them, such as a process that `bench-storage` spawns.
"""

import sys

PACKAGES = ("cli", "omad_core", "search", "studies", "tracking")
INTERRUPTED = 130


def claim_names() -> None:
    """Import the packages that lie beside this file, whatever PYTHONPATH or the working folder have of their names."""
    before = list(sys.path)
    sys.path.insert(0, __file__.replace("\\", "/").rpartition("/")[0])
    try:
        for name in PACKAGES:
            __import__(name)
    finally:
        sys.path[:] = before


def __getattr__(name: str) -> object:
    """What a job of Slurm asks for by this module's name, where `search` may be a module of the user's own."""
    if name != "SlurmWorker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    claim_names()
    from search.launch.slurm import SlurmWorker

    return SlurmWorker


def main() -> None:
    """Run one command and leave with its exit code."""
    try:
        from cli import main as entry

        entry.main()
    except KeyboardInterrupt:  # before the program has its own handling of it
        _leave()


def _leave() -> None:
    sys.stderr.write("interrupted\n")
    sys.exit(INTERRUPTED)


try:
    claim_names()
except KeyboardInterrupt:
    _leave()

if __name__ == "__main__":
    main()
