"""The folder of a policy that is still to be trained: made before the training, so that hours end in a file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from omad_core.errors import ConfigError, OmadError

if TYPE_CHECKING:
    from omad_core.policy import Policy


@contextmanager
def reserve_folder(folder: Path) -> Iterator[None]:
    """Make a folder and write to it once; without a policy in the end, remove what was made.

    Raises ConfigError where there are files already, or where none can be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"{folder} exists already; give another folder with --out")
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"a policy cannot be saved in {folder}: {error.strerror}; give another folder with --out"
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # one that holds something stays
            for path in made:
                path.rmdir()


def save_policy(policy: "Policy", folder: Path) -> Path:
    """Save a policy there, or beside where that fails; the folder it is in. Raises OmadError where there is no room."""
    try:
        policy.save(folder)
        return folder
    except OSError as error:
        first = error
    for parent in (folder.parent, Path.cwd(), Path(tempfile.gettempdir())):
        with suppress(OSError):
            beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=parent))
            policy.save(beside)
            return beside
    reason = first.strerror or str(first)
    raise OmadError(f"the policy cannot be saved in {folder}, nor beside it: {reason}") from first
