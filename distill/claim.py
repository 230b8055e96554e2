"""A loop's folder belongs to one configuration, and to one process at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from distill.config import dump, load_file
from distill.loop import CONFIG, Journal, LoopConfig
from harness import UsageError, write_whole

LOCK = ".lock"


@contextmanager
def claimed(out: Path, config: LoopConfig) -> Iterator[Path]:
    """Make a folder this loop's and nobody else's for the time being, and yield its absolute path.

    Raises UsageError when it cannot be written, another process has it, or it holds a loop with another configuration.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / LOCK).open("w")
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror or error}. Give another --out") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{out} is in use by another run of its loop: wait for it or give another --out") from None
        if has_begun(out):
            _see_that_it_is_the_same(config, out / CONFIG)
        write_whole(out / CONFIG, dump(config))
        yield out.resolve()


def has_begun(out: Path) -> bool:
    """Say whether any stage of the loop is done: till then its configuration may be corrected."""
    return any(Journal(folder).done() for folder in (out / "rounds").glob("*"))


def _see_that_it_is_the_same(config: LoopConfig, path: Path) -> None:
    """Raise UsageError when the folder's configuration differs in more than the number of rounds."""
    before = load_file(path, LoopConfig)
    if msgspec.structs.replace(before, rounds=config.rounds) == config:
        return
    changed = [name for name in config.__struct_fields__ if getattr(before, name) != getattr(config, name)]
    raise UsageError(
        f"{path.parent} holds a loop with another {changed[0]}, which has begun: name another folder with --out"
    )
