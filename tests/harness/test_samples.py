"""Reading samples files: both formats, and every way of being malformed or hostile."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import samples as samples_module
from harness.benchmarks import load_benchmark
from harness.errors import SamplesError
from harness.records import Benchmark, CheckTests, StopReason, Task
from harness.samples import SamplesFile, iter_samples, read_samples

Write = Callable[..., Path]
PROMPT = "def f():\n"


def a_task(task_id: str) -> Task:
    tests = CheckTests(source="check(f)\n", remote_names=("f",))
    return Task(task_id=task_id, prompt=PROMPT, entry_point="f", reference="", tests=tests)


def a_benchmark(count: int) -> Benchmark:
    tasks = tuple(a_task(f"Demo/{number}") for number in range(count))
    return Benchmark(name="demo", tasks=tasks, digest="", source="")


THREE = a_benchmark(3)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes lines, objects or texts, to a samples file."""

    def write_lines(*lines: object, name: str = "s.jsonl") -> Path:
        path = tmp_path / name
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write_lines


def read(path: Path, partial: bool = True) -> SamplesFile:
    return read_samples(path, THREE, partial)


@pytest.mark.parametrize("name", ["s.jsonl", "s.jsonl.gz"])
def test_both_formats_and_any_number_of_samples_a_task(write: Write, name: str) -> None:
    path = write(
        {"task_id": "Demo/1", "completion": "    return 1"},
        {"task_id": "Demo/0", "solution": "f = 0", "extra": [1]},
        "",
        {"task_id": "Demo/1", "completion": "ignored", "solution": "f = 1"},
        {"task_id": "Demo/2", "completion": ""},
        name=name,
    )
    found = read(path, partial=False)
    assert [(one.task_id, one.sample_index, one.completion, one.program) for one in found.samples] == [
        ("Demo/1", 0, "    return 1", PROMPT + "    return 1"),
        ("Demo/0", 0, "f = 0", "f = 0"),
        ("Demo/1", 1, "f = 1", "f = 1"),
        ("Demo/2", 0, "", PROMPT),
    ]
    assert {one.stop_reason for one in found.samples} == {StopReason.FILE}
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.missing_tasks == ()


def test_completions_are_never_edited(write: Write) -> None:
    text = "\r\n\t\x00\x1b é 漢 \ud800 \U0001f600 ``` \\ud800"
    found = read(write({"task_id": "Demo/0", "completion": text}))
    assert found.samples[0].completion == text


def test_limits_keep_the_other_samples_out(write: Write) -> None:
    path = write(*({"task_id": f"Demo/{number}", "solution": "x"} for number in (0, 1, 0, 2)))
    found = read_samples(path, THREE, partial=False, limit_ids={"Demo/0"})
    assert [(one.task_id, one.sample_index) for one in found.samples] == [("Demo/0", 0), ("Demo/0", 1)]
    assert found.missing_tasks == ()


def test_missing_tasks_need_partial(write: Write) -> None:
    path = write({"task_id": "Demo/1", "solution": "x"})
    assert read(path).missing_tasks == ("Demo/0", "Demo/2")
    with pytest.raises(SamplesError, match=r"2 of 3 tasks \(Demo/0, Demo/2\).*--partial"):
        read(path, partial=False)
    with pytest.raises(SamplesError, match=r"11 of 12 tasks \(.*Demo/10, \.\.\.\)"):
        read_samples(path, a_benchmark(12), partial=False)
    with pytest.raises(SamplesError, match="no sample of the 1 tasks"):
        read_samples(path, THREE, partial=True, limit_ids={"Demo/2"})


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ({"task_id": "Demo/9", "solution": "x"}, "'Demo/9' is not a task of demo, whose ids look like Demo/0"),
        ({"task_id": "../../x", "solution": "x"}, "'../../x' is not a task"),
        ({"task_id": "\x1b[2J" + "x" * 500, "solution": "x"}, "is not a task"),
        ({"task_id": 0, "solution": "x"}, "'task_id' must be a string, not int"),
        ({"solution": "x"}, "the key 'task_id' is missing"),
        ({"task_id": "Demo/0"}, "needs 'completion'"),
        ({"task_id": "Demo/0", "solution": ["x"]}, "'solution' must be a string, not list"),
        ({"task_id": "Demo/0", "solution": None, "completion": "x"}, "'solution' must be a string, not NoneType"),
        ({"task_id": "Demo/0", "solution": "x", "completion": 1}, "'completion' must be a string, not int"),
        ('{"task_id": "Demo/0", "task_id": "Demo/1", "solution": "x"}', "the key 'task_id' stands twice"),
        ("null", "expected a JSON object"),
        ("{", "not valid JSON"),
        ('{"task_id": "Demo/0", "solution": ' + "[" * 200_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_named(write: Write, line: object, match: str) -> None:
    path = write({"task_id": "Demo/0", "solution": "x"}, line)
    with pytest.raises(SamplesError, match=match) as caught:
        read(path)
    assert f"{path}, line 2: " in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("content", [b"", b"\n \n", gzip.compress(b"")])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(content)
    with pytest.raises(SamplesError, match="holds no sample"):
        read(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SamplesError, match="No such file"):
        read(tmp_path / "none.jsonl")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(SamplesError, match="not a regular file"):
            read(path)
    with pytest.raises(SamplesError, match="cannot be read"):
        read(Path("a\0b"))


def test_a_line_of_100_megabytes_is_refused_unread(tmp_path: Path) -> None:
    """Also where it takes a hundred kilobytes on disk."""
    plain, packed = tmp_path / "s.jsonl", tmp_path / "s.jsonl.gz"
    with plain.open("wb") as stream:
        stream.write(b'{"task_id": "Demo/0", "solution": "')
        stream.truncate(100 * 2**20)  # the rest is a hole: zeros
    with gzip.open(packed, "wb", compresslevel=1) as packer:
        for _ in range(100):
            packer.write(b" " * 2**20)
    for path in (plain, packed):
        tracemalloc.start()
        with pytest.raises(SamplesError, match="line 1: longer than"):
            read(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 60 * 2**20


def test_a_packed_file_cannot_fill_the_disk(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_module, "MAX_TOTAL_CHARACTERS", 1_000_000)
    path = write(*[{"task_id": "Demo/0", "solution": "x" * 100_000}] * 20, name="s.jsonl.gz")
    with pytest.raises(SamplesError, match="sample 11 brings the programs"):
        read(path)


def test_the_iterator_holds_one_sample_at_a_time(write: Write) -> None:
    path = write(*[{"task_id": "Demo/0", "solution": "x" * 50_000}] * 400, name="s.jsonl.gz")
    tracemalloc.start()
    count = sum(1 for _ in iter_samples(path, THREE))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 400
    assert peak < 3 * 2**20


@given(st.binary(max_size=400), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_bytes_give_samples_or_a_samples_error(tmp_path: Path, content: bytes, packed: bool) -> None:
    check_total(tmp_path, gzip.compress(content) if packed else content)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.just("Demo/0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
json_lines = st.dictionaries(st.sampled_from(["task_id", "completion", "solution", "x"]), json_values)


@given(st.lists(json_lines, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_objects_give_samples_or_a_samples_error(tmp_path: Path, lines: list[object]) -> None:
    check_total(tmp_path, "\n".join(json.dumps(line) for line in lines).encode())


def test_any_damage_gives_samples_or_a_samples_error(tmp_path: Path) -> None:
    line = json.dumps({"task_id": "Demo/0", "completion": "    return 'é'", "seed": 1}) + "\n"
    chance = random.Random(3)
    for whole in (line.encode() * 5, gzip.compress(line.encode() * 5)):
        for _ in range(200):
            content = bytearray(whole[: chance.randrange(len(whole))])
            for _ in range(chance.randrange(3) if content else 0):
                content[chance.randrange(len(content))] = chance.randrange(256)
            check_total(tmp_path, bytes(content))


def check_total(folder: Path, content: bytes) -> None:
    path = folder / "any.jsonl"
    path.write_bytes(content)
    try:
        assert read(path).samples
    except SamplesError as error:
        message = str(error)
    else:
        return
    assert str(path) in message
    assert message.isprintable()


@pytest.mark.data
def test_the_real_samples_are_read(data_dir: Path) -> None:
    path = data_dir / "codegen16b_humaneval_first20.jsonl.gz"
    found = read_samples(path, load_benchmark("humaneval"), partial=False)
    assert len(found.samples) == 3280
    assert {one.sample_index for one in found.samples} == set(range(20))


def test_a_file_may_hold_more_samples_than_the_memory(write: Write) -> None:
    lines = [{"task_id": f"Demo/{number % 3}", "solution": f"x = {number}" + "#" * 40_000} for number in range(900)]
    path = write(*lines, name="s.jsonl.gz")
    tracemalloc.start()
    found = read(path)
    ordered = found.samples.by_task(["Demo/2", "Demo/0"])
    keys = [(one.task_id, one.sample_index, one.program[:8].strip("#")) for one in ordered]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert keys[:2] == [("Demo/2", 0, "x = 2"), ("Demo/2", 1, "x = 5")]
    assert keys[300:302] == [("Demo/0", 0, "x = 0"), ("Demo/0", 1, "x = 3")]
    assert len(keys) == 600
    assert found.samples.counts() == dict.fromkeys(("Demo/0", "Demo/1", "Demo/2"), 300)
    assert peak < 4 * 2**20
