"""The thread that ends test code without end: there while it is needed, and no longer."""

from __future__ import annotations

import threading
import time

import pytest

from harness.watchdog import TestsTooSlow, Watchdog


def watching_now() -> int:
    return sum(thread.name == "watchdog" for thread in threading.enumerate())


@pytest.mark.slow
def test_no_thread_stays_behind_when_nobody_is_watched() -> None:
    before = watching_now()
    dogs = [Watchdog(10.0) for _ in range(5)]
    for dog in dogs:
        with dog.watching():
            pass
    deadline = time.monotonic() + 20
    while watching_now() > before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert watching_now() <= before
    with dogs[0].watching():
        assert watching_now() >= 1


@pytest.mark.slow
def test_it_watches_again_after_a_pause() -> None:
    dog = Watchdog(0.2)

    def endless() -> None:
        with dog.watching():
            while True:
                pass

    with dog.watching():
        pass
    time.sleep(1.2)
    with pytest.raises(TestsTooSlow):
        endless()
