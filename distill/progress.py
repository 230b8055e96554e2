"""How far a training is, said on standard error."""

from __future__ import annotations

import sys
import time
from typing import Any

from distill.objective import measures_of

SAY_SECONDS = 10.0


def follower(steps: int) -> Any:
    """Return a callback that says on standard error how far training is."""
    from transformers import TrainerCallback

    class Follower(TrainerCallback):
        started = said = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.started = self.said = time.monotonic()
            self.first = state.global_step

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            now = time.monotonic()
            if "loss" not in (logs or {}) or now - self.said < SAY_SECONDS:
                return
            self.said = now
            rate = (state.global_step - self.first) / (now - self.started)
            left = (steps - state.global_step) / rate if rate else 0.0
            noted = {"loss": logs["loss"], **measures_of(logs)}
            values = ", ".join(f"{name} {value:.3f}" for name, value in noted.items())
            so_far = f"{state.global_step}/{steps} steps, {rate:.1f}/s, {values}"
            print(f"training: {so_far}, {left:.0f} s left", file=sys.stderr)

    return Follower()
