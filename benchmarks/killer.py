"""Kill what a run is judged in, at random but for the seed: guests, containers, and an engine of our own."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import docker
import docker.errors
import requests.exceptions

from benchmarks.engine import Engine

MOST_IN_VAIN = 3
LABEL = "harness.cell"
# What a kill hits, and how often of all.
KINDS = {"guest": 8, "container": 4, "container removed": 2, "engine": 1, "engine frozen": 1}
_API_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)


class Killer(threading.Thread):
    """Kills at random until `seconds` are over and it has killed in each way, each once before any a second time.

    `pause` is the least and the most seconds between two kills. `progress` grows with the work that gets done: after
    a few kills in vain it is waited for, or on a busy machine no cell would ever come up.
    """

    def __init__(
        self, engine: Engine, seed: int, seconds: float, pause: tuple[float, float], progress: Callable[[], int]
    ) -> None:
        super().__init__(name="killer", daemon=True)
        self.kills: Counter[str] = Counter()
        self.seen: set[int] = set()  # process ids of guests
        self.failure = ""
        self._engine = engine
        self._random = random.Random(seed)
        self._end = time.monotonic() + seconds
        self._pause = pause
        self._progress = progress
        self._over = threading.Event()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        first = self._random.sample(list(KINDS), len(KINDS))
        done, in_vain = 0, 0
        while first or time.monotonic() < self._end:
            if self._over.wait(self._random.uniform(*self._pause)):
                return
            if (now := self._progress()) != done:
                done, in_vain = now, 0
            if in_vain >= MOST_IN_VAIN:
                continue
            kind = first[-1] if first else self._random.choices(list(KINDS), list(KINDS.values()))[0]
            with suppress(*_API_ERRORS):  # what was to be killed has ended by itself
                if self._kill(kind):
                    self.kills[kind] += 1
                    in_vain += 1
                    first = first[:-1]
            if self.failure:
                return

    def _kill(self, kind: str) -> bool:
        """Kill something of that kind; returns whether there was something."""
        client = docker.DockerClient(base_url=self._engine.address, timeout=30)
        try:
            cells = sorted(cell["Id"] for cell in client.api.containers(filters={"label": LABEL}))
            if not cells:
                return False
            cell = self._random.choice(cells)
            guest = int(client.api.inspect_container(cell)["State"]["Pid"])
            if not guest:  # it has ended, and to kill 0 is to kill ourselves
                return False
            self.seen.add(guest)
            if kind == "container":
                client.api.kill(cell)
            elif kind == "container removed":
                client.api.remove_container(cell, force=True)
        finally:
            client.close()
        if kind == "guest":
            os.kill(guest, signal.SIGKILL)
        elif kind == "engine":
            self._engine.die()
            self._over.wait(self._random.uniform(0, 2))
            if not self._engine.start():
                self.failure = f"the engine does not start again: {self._engine.log}"
        elif kind == "engine frozen":
            self._engine.freeze()
            self._over.wait(self._random.uniform(1, 5))
            self._engine.thaw()
        return True
