"""A cache of verdicts gives back what it was given, for the same question only, and never what somebody else wrote."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from jobs import resize
from made_verdicts import TASKS, sample, verdict

from harness.errors import MeasurementInvalid, UsageError
from harness.known import FILE_NAME, KnownVerdicts
from harness.records import Evidence, Outcome, Sample, Verdict

BASIS = ("benchmark", "digest of its data", "image", "limits")
ONE = sample("x", 3)
FAILED = verdict(ONE, Outcome.FAILED)


def remembered(folder: Path | None, *basis: str, one: Sample = ONE) -> Verdict | None:
    with closing(KnownVerdicts(TASKS, basis or BASIS, folder)) as known:
        key = known.key(one)
        assert key is not None
        return known.verdict(key)


def learn(folder: Path, found: Verdict = FAILED, one: Sample = ONE) -> None:
    with closing(KnownVerdicts(TASKS, BASIS, folder)) as known:
        key = known.key(one)
        assert key is not None
        known.learn(key, found)
        within = known.verdict(key)
    assert (within is None) == (found.outcome is Outcome.NOT_JUDGED)


def test_the_next_run_knows_what_this_one_found(tmp_path: Path) -> None:
    assert remembered(tmp_path / "cache") is None
    learn(tmp_path / "cache")
    assert remembered(tmp_path / "cache") == replace(FAILED, sample_index=0)


def test_nothing_is_kept_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert remembered(None) is None
    assert list(tmp_path.iterdir()) == []


def test_blanks_at_a_programs_end_make_no_other_program(tmp_path: Path) -> None:
    learn(tmp_path)
    assert remembered(tmp_path, one=sample("x \n\t\n", 3)) is not None
    assert remembered(tmp_path, one=sample(" x", 3)) is None


@pytest.mark.parametrize("place", range(len(BASIS)))
def test_another_question_has_no_answer(tmp_path: Path, place: int) -> None:
    learn(tmp_path)
    other = [*BASIS]
    other[place] += "!"
    assert remembered(tmp_path, *other) is None
    assert remembered(tmp_path, one=sample("x", 3, task="B")) is None
    assert remembered(tmp_path, one=sample("y", 3)) is None


def test_another_judge_has_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learn(tmp_path)
    monkeypatch.setattr("platform.python_version", lambda: "3.99")
    assert remembered(tmp_path) is None


@pytest.mark.parametrize(
    "found",
    [
        verdict(ONE, Outcome.NOT_JUDGED),
        verdict(ONE, Outcome.TIMEOUT, wall_cut=True),
        verdict(ONE, Outcome.PASSED, flaky=True),
    ],
    ids=["machine", "wall", "flaky"],
)
def test_what_the_machine_had_a_part_in_is_not_kept(tmp_path: Path, found: Verdict) -> None:
    learn(tmp_path, found)
    assert remembered(tmp_path) is None


def test_a_changed_row_is_judged_afresh(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    learn(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        (text,) = database.execute("SELECT verdict FROM verdicts").fetchone()
        forged = json.dumps(json.loads(text) | {"outcome": "passed", "passed": True})
        database.execute("UPDATE verdicts SET verdict = ?", (forged,))
    assert remembered(tmp_path) is None
    assert "damaged" in caplog.text
    learn(tmp_path)
    assert remembered(tmp_path) is not None


def test_a_row_moved_to_another_program_is_judged_afresh(tmp_path: Path) -> None:
    passing = verdict(ONE, Outcome.PASSED)
    learn(tmp_path, passing)
    other = sample("y", 0)
    with closing(KnownVerdicts(TASKS, BASIS, tmp_path)) as known:
        key = known.key(other)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE verdicts SET key = ?", (key,))
    assert remembered(tmp_path, one=other) is None


def test_rows_of_nonsense_are_judged_afresh(tmp_path: Path) -> None:
    learn(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE verdicts SET verdict = ?, digest = ?", (b"\xff\x00", 3))
    assert remembered(tmp_path) is None


def test_a_damaged_file_is_the_users_to_mend(tmp_path: Path) -> None:
    learn(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(UsageError, match=r"verdicts\.sqlite3.*Delete it"):
        remembered(tmp_path)


def test_a_full_disk_is_the_machines_failure(small_disk: Path) -> None:
    resize(small_disk, "256k")
    small_disk.chmod(0o700)
    with closing(KnownVerdicts(TASKS, BASIS, small_disk)) as known:
        key = known.key(ONE)
        assert key is not None
        known.learn(key, FAILED)
        large = replace(FAILED, evidence=Evidence(reason="x" * (1 << 20)))
        with pytest.raises(MeasurementInvalid, match=r"verdicts\.sqlite3 cannot be used: .*Free some room there"):
            known.learn(known.key(sample("y", 4)) or b"", large)
    assert remembered(small_disk) == replace(FAILED, sample_index=0)


@pytest.mark.parametrize("name", ["", FILE_NAME], ids=["folder", "file"])
def test_what_others_can_write_to_is_not_believed(tmp_path: Path, name: str) -> None:
    learn(tmp_path)
    (tmp_path / name).chmod(0o777)
    with pytest.raises(UsageError, match="other users can write"):
        remembered(tmp_path)


def test_a_place_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="Give another folder"):
        remembered(tmp_path / "file" / "cache")


def test_two_runs_may_use_it_at_once(tmp_path: Path) -> None:
    with closing(KnownVerdicts(TASKS, BASIS, tmp_path)) as one, closing(KnownVerdicts(TASKS, BASIS, tmp_path)) as two:
        for index in range(20):
            for known in (one, two):
                key = known.key(sample(f"x{index}", 0))
                assert key is not None
                known.learn(key, FAILED)
        key = one.key(sample("x7", 0))
        assert key is not None
        assert two.verdict(key) == one.verdict(key) == replace(FAILED, sample_index=0)


def test_a_run_of_many_programs_keeps_what_it_knows_elsewhere_than_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.known._AT_HAND", 3)
    some = [sample(f"x = {number}", number) for number in range(10)]
    with closing(KnownVerdicts(TASKS, BASIS)) as known:
        keys = [known.key(one) or b"" for one in some]
        for key, one in zip(keys, some, strict=True):
            known.learn(key, replace(FAILED, tests_run=one.sample_index))
        assert len(known._here._at_hand) <= 3
        assert [found.tests_run for key in keys if (found := known.verdict(key))] == [*range(10)]
