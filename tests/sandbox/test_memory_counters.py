"""A process killed for memory: the program's doing where its cell was at the limit, and else the machine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.guest.memory import MemoryCounters, Short

V1, V2 = "version 1", "version 2"


class Group:
    """The files of a memory control group, as Linux 6 writes them."""

    def __init__(self, folder: Path, version: str) -> None:
        self.v1, self.v2 = folder / "v1", folder / "v2"
        self.version, self.kills, self.limits, self.most = version, 3, 7, 90 << 20
        for path in (self.v1, self.v2):
            path.mkdir()
        self.write()

    def write(self, **changes: int) -> None:
        vars(self).update(changes)
        if self.version == V1:
            text = f"oom_kill_disable 0\nunder_oom 0\noom_kill {self.kills}\n"
            (self.v1 / "memory.oom_control").write_text(text)
            for kind in ("memory", "memory.memsw"):
                (self.v1 / f"{kind}.max_usage_in_bytes").write_text(f"{self.most}\n")
                (self.v1 / f"{kind}.limit_in_bytes").write_text(f"{100 << 20}\n")
        else:
            text = f"low 0\nhigh 0\nmax 9\noom {self.limits}\noom_kill {self.kills}\noom_group_kill 0\n"
            (self.v2 / "memory.events").write_text(text)

    def counters(self) -> MemoryCounters:
        return MemoryCounters(self.v1, self.v2)


@pytest.mark.parametrize("version", [V1, V2])
def test_a_kill_is_the_cells_where_the_cell_was_at_its_limit(version: str, tmp_path: Path) -> None:
    group = Group(tmp_path, version)
    counters = group.counters()
    assert counters.look() is Short.NOBODY  # what was counted before the guest began
    group.write(limits=9, most=(100 << 20) - 4096)
    assert counters.look() is Short.NOBODY  # the kill comes behind it
    group.write(kills=4)
    assert [counters.look(), counters.look()] == [Short.CELL, Short.NOBODY]


@pytest.mark.parametrize("version", [V1, V2])
def test_a_kill_of_a_cell_that_had_memory_left_is_the_machines(version: str, tmp_path: Path) -> None:
    group = Group(tmp_path, version)
    counters = group.counters()
    group.write(kills=4)
    assert [counters.look(), counters.look()] == [Short.MACHINE, Short.NOBODY]


def test_a_limit_that_a_program_before_had_reached_is_not_this_ones(tmp_path: Path) -> None:
    group = Group(tmp_path, V2)
    counters = group.counters()
    group.write(limits=8)
    counters.begin()
    group.write(kills=4)
    assert counters.look() is Short.MACHINE


def test_where_nothing_tells_a_kill_is_the_cells_and_without_a_group_there_is_none(tmp_path: Path) -> None:
    group = Group(tmp_path, V1)
    for path in group.v1.glob("*_in_bytes"):
        path.unlink()
    counters = group.counters()
    assert counters.look() is Short.NOBODY
    (group.v1 / "memory.oom_control").write_text("oom_kill 4\n")
    assert counters.look() is Short.CELL
    assert MemoryCounters(tmp_path, tmp_path).look() is Short.NOBODY
