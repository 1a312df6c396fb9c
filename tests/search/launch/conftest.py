"""A real Slurm on this machine: one node of its own, two partitions, of which the higher preempts the lower."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

INSTALL = "no Slurm here: apt-get install --no-install-recommends slurm-wlm"
CONFIGURATION = """
ClusterName=omad
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 GraceTime=60
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF
"""
"""`cred_expire`: a job that was queued again waits for so many seconds (120 by default)."""


class Slurm:
    """Its daemons, until it is closed; its commands, with the configuration of this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("state", "spool"):
            (folder / name).mkdir()
        self.configuration = folder / "slurm.conf"
        self.configuration.write_text(
            CONFIGURATION.format(
                host=socket.gethostname().partition(".")[0],
                user=os.environ.get("USER", "root"),
                folder=folder,
                controller_port=_free_port(),
                node_port=_free_port(),
            )
        )
        self._daemons = ExitStack()
        for name in ("slurmctld", "slurmd"):
            process = subprocess.Popen(
                [name, "-D"],
                env=self.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._daemons.callback(process.wait, 30)
            self._daemons.callback(process.terminate)
        self._wait_until_idle()

    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.configuration)}

    def command(self, *words: str) -> str:
        done = subprocess.run(words, env=self.environment(), capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def jobs(self) -> dict[str, str]:
        """State of each job in the queue, by its id."""
        lines = self.command("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def cancel(self) -> None:
        """End all jobs."""
        end = time.monotonic() + 60
        while self.jobs():
            for job in self.jobs():
                self.command("scancel", "--full", job)
            assert time.monotonic() < end, self.jobs()
            time.sleep(0.5)

    def close(self) -> None:
        self.cancel()
        self._daemons.close()

    def _wait_until_idle(self) -> None:
        end = time.monotonic() + 60
        while True:
            done = subprocess.run(
                ["sinfo", "--noheader", "--partition=low", "--format=%T"],
                env=self.environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.stdout.strip() == "idle":
                return
            assert time.monotonic() < end, (self.folder / "slurmctld.log").read_text()
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A running Slurm; the test is skipped where none is installed."""
    if not all(shutil.which(name) for name in ("slurmctld", "slurmd", "sbatch")):
        pytest.skip(INSTALL)
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        yield cluster
    finally:
        cluster.close()
