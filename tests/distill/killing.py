"""Loops and trainings that are killed where a test says, in processes forked with all imports done."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from distill import training
from distill.loop import LoopConfig, Machine, run_loop
from harness import NoProgress

_FORKED = get_context("forkserver")  # which has run nothing: a process with torch's threads cannot be forked
_FORKED.set_forkserver_preload(["torch", "transformers.trainer", "distill.training", "harness.models.local"])
_SECONDS = 200.0


def killed(work: Callable[..., Any], *arguments: Any) -> None:
    """Do the work in a process of its own, which must end by SIGKILL."""
    process = _FORKED.Process(target=work, args=arguments)
    process.start()
    process.join(_SECONDS)
    code = process.exitcode
    process.kill()
    assert code == -signal.SIGKILL, (arguments, code)


def killed_loop(config: LoopConfig, out: Path, where: str) -> None:
    """Run a loop in a process that is killed when it calls the function `where`, such as "distill.round.decide"."""
    killed(_run_loop, config, out, where)


def killed_training(work: Callable[..., Any], step: int, *arguments: Any) -> None:
    """Train in a process that is killed at the end of a step."""
    killed(_train, work, step, arguments)


def _run_loop(config: LoopConfig, out: Path, where: str) -> None:
    module, _, name = where.rpartition(".")
    setattr(importlib.import_module(module), name, die)
    run_loop(config, out, Machine(progress=NoProgress, say=lambda text: None))


def _train(work: Callable[..., Any], step: int, arguments: tuple[Any, ...]) -> None:
    follower = training.follower

    def dying(steps: int) -> Any:
        class Dying(type(follower(steps))):
            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step == step:
                    die()

        return Dying()

    training.follower = dying
    work(*arguments)


def die(*_: Any, **__: Any) -> None:
    """End at once, as a killed process does."""
    os.kill(os.getpid(), signal.SIGKILL)
