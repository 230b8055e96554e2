"""The hostile suite as it is shipped: whole, readable, and made of attacks that do reach what is not behind a wall."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sandbox import hostile_program, hostile_programs

OUTCOMES = {"failed", "error", "syntax", "timeout", "out_of_memory", "output_limit", "crashed", "tampered"}
# Several numbers of the list of attacks are system calls only: they are all tried by one program.
ITEMS = {
    *(f"R{number}" for number in range(1, 26)),
    *(f"N{number}" for number in range(26, 35)),
    *(f"F{number}" for number in range(35, 43)),
    *(f"E{number}" for number in (43, 44, 45, 46, 47, 49, 50)),
    *(f"T{number}" for number in range(51, 72)),
}


def test_every_attack_of_the_list_is_there() -> None:
    assert {program.item for program in hostile_programs()} == ITEMS
    assert (
        "E48" in hostile_program("every system call with which one gets out or at the kernel (E43, E44, E47, E48)").name
    )


def test_names_are_unique_and_no_attack_may_pass_unless_that_is_reported() -> None:
    assert [name for name, count in Counter(program.name for program in hostile_programs()).items() if count > 1] == []
    for program in hostile_programs():
        assert program.outcomes, program.name
        assert program.outcomes | program.outcomes_of_calls <= ({"passed"} if program.reported else OUTCOMES)
        assert program.judged_by in (("check",), ("call",), ("check", "call"))
        assert not program.reaches or program.outcomes <= {"failed", "crashed"}


def test_sources_are_python_but_where_that_is_the_attack() -> None:
    for program in hostile_programs():
        if program.item != "R24":
            compile(program.source_on({}), program.name, "exec")


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        hostile_program("no such attack")


def test_attacks_say_what_they_reach(tmp_path: Path) -> None:
    """Without a wall, two that can be let loose here find the secret and the descriptor."""
    facts = {"ports": [], "paths": [str(tmp_path)], "canary": ["canary-0123", "456789"]}
    with (tmp_path / "file").open("w") as file:
        for name, found in {
            "secrets of the harness's environment and command line": "the canary",
            "descriptors that lead out of the cell": str(tmp_path / "file"),
        }.items():
            source = hostile_program(name).source_on(facts) + "\nprint(add(1, 2))\n"
            ran = subprocess.run(
                [sys.executable, "-c", source],
                env={**os.environ, "HARNESS_TEST_SECRET": "canary-0123456789"},
                pass_fds=[file.fileno()],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
            assert found in ast.literal_eval(ran.stdout), name
