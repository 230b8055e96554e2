"""A Docker engine of our own, which shares nothing with the machine's and may be killed. Needs dockerd, and root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

START_SECONDS = 60.0
END_SECONDS = 60.0


class Engine:
    """One dockerd with a folder of its own; it is started, killed and started again as often as one likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/d.sock"
        self.environment = {"DOCKER_HOST": self.address}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """The end of what it said."""
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def start(self) -> bool:
        """Start it unless it runs; returns whether it answers."""
        if self._process is None or self._process.poll() is not None:
            (self.folder / "pidfile").unlink(missing_ok=True)
            places = [f"--{name}={self.folder / name}" for name in ("data-root", "exec-root", "pidfile")]
            names = ["--containerd-namespace=harness-test", "--containerd-plugins-namespace=harness-test-plugins"]
            network = ["--bridge=none", "--iptables=false", "--ip6tables=false"]
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    ["dockerd", "-H", self.address, *places, *names, *network],
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        return self._answers()

    def _answers(self) -> bool:
        end = time.monotonic() + START_SECONDS
        asks = ["docker", "-H", self.address, "version"]
        while time.monotonic() < end and self._process is not None and self._process.poll() is None:
            if subprocess.run(asks, capture_output=True, check=False, timeout=START_SECONDS).returncode == 0:
                return True
            time.sleep(0.1)
        return False

    def die(self) -> None:
        """Kill it as it stands, and wait until its helper has ended."""
        assert self._process is not None
        containerd = int((self.folder / "exec-root/containerd/containerd.pid").read_text())
        self._process.kill()
        self._process.wait()
        # The kernel ends it, too; an engine that is started before that would wait for it to answer.
        end = time.monotonic() + END_SECONDS
        while Path(f"/proc/{containerd}").exists() and time.monotonic() < end:
            time.sleep(0.005)

    def freeze(self) -> None:
        """Stop it in the middle of what it does: its socket takes requests, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it; one that was killed has left processes behind, which it ends when it is back."""
        assert self._process is not None
        self.thaw()
        self.start()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        self._process.kill()
        self._process.wait()
        for pid in self.helpers():  # of containers that were being made when it was killed, it knows nothing
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def helpers(self) -> list[int]:
        """Return the processes that have the engine's folder in their command line."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if str(self.folder).encode() in path.read_bytes():
                    found.append(int(path.parent.name))
        return found


def cannot_start() -> str:
    """Return what an engine of our own needs and this machine has not; nothing where it can be started."""
    missing = [name for name in ("dockerd", "docker") if shutil.which(name) is None]
    return ", ".join(missing + ["to be root"] * (os.geteuid() != 0))


@contextmanager
def engine_of_our_own() -> Iterator[Engine]:
    """Start an engine, and leave nothing of it. Raises RuntimeError with the end of its log if it does not start."""
    folder = Path(tempfile.mkdtemp(prefix="harness-engine-", dir="/tmp"))  # sockets want a short path
    engine = Engine(folder)
    try:
        if not engine.start():
            raise RuntimeError(f"the engine does not start: {engine.log}")
        yield engine
    finally:
        engine.stop()
        for mount in reversed(mounts_below(folder)):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(folder)


def mounts_below(folder: Path) -> list[str]:
    """Return where something is mounted in a folder."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted(place for place in places if place.startswith(str(folder)))
