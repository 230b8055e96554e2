"""Containers of several harnesses on one engine."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRST_USERS = """
import os
from unittest import mock
import sandbox.docker as d, importlib
for pid in range(5000, 5010):
    with mock.patch("os.getpid", lambda: pid):
        print(next(importlib.reload(d)._USERS) % d._USER_RANGE)
"""


def test_programs_of_harnesses_beside_each_other_are_different_users() -> None:
    """The kernel counts processes per user: a program that starts too many must not use up another harness's."""
    ran = subprocess.run([sys.executable, "-c", FIRST_USERS], cwd=ROOT, capture_output=True, text=True, check=True)
    users = sorted(map(int, ran.stdout.split()))
    assert len(users) == 10
    assert min(later - earlier for earlier, later in itertools.pairwise([*users, users[0] + 40_000])) > 1000
