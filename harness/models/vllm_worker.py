"""What runs inside vLLM's own processes: they end when the harness does, also when it was killed.

vLLM mixes `EndsWithUs` into the class of its workers, which are children of its engine, which is a child of ours (or is
the worker itself). A worker of vLLM ends with its engine; nothing ends an engine whose harness is gone.
"""

from __future__ import annotations

import os
import select
import signal
import threading


class EndsWithUs:
    """A mix-in for vLLM's workers; `LLMEngine.collective_rpc` calls its methods by name."""

    def end_with(self, harness: int) -> list[int]:
        """End this process, and the engine that it belongs to, once the process of id `harness` has ended.

        Returns the ids of both. Nothing happens where the kernel cannot tell (Linux before 5.3).
        """
        engine = 0 if os.getppid() == harness else os.getppid()
        ids = [os.getpid(), engine] if engine else [os.getpid()]
        try:
            watched = os.pidfd_open(harness)
        except OSError:
            return ids
        threading.Thread(target=_end_after, args=(watched, engine), name="ends with harness", daemon=True).start()
        return ids


def _end_after(watched: int, engine: int) -> None:
    """Wait until the process behind `watched` has ended, then kill the engine's process (0: there is none) and this."""
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.poll()
    if engine and engine == os.getppid():
        os.kill(engine, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
