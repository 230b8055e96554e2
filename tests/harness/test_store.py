"""The run folder: whose it is, what survives a kill at any moment, and one writer at a time."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import MeasurementInvalid, StoreMismatch, UsageError
from harness.fingerprint import NOT_FINGERPRINTED
from harness.model_options import ModelOptions
from harness.prompts import AskedPrompt, prompts_digest
from harness.records import (
    Evidence,
    Outcome,
    Report,
    RunConfig,
    Sample,
    StopReason,
    Tokens,
    Verdict,
    from_json,
    to_json,
)
from harness.scores import TierKind, TierSource, WeakKind, WeakRule
from harness.store import (
    PROMPTS,
    REPORT,
    RUN,
    SAMPLES,
    VERDICTS,
    RunFolder,
    drop_torn_line,
    fingerprint,
    read_config,
    read_lines,
    read_report,
    write_whole,
)

CONFIG = RunConfig(
    benchmark="demo",
    dataset_digest="d",
    dataset_source="/data/demo.jsonl",
    model="m",
    model_digest="e",
    backend="file",
    protocol="samples",
    n_samples=1,
    temperature=0.0,
    top_p=1.0,
    max_new_tokens=0,
    stop=("\nclass",),
    seed=0,
    task_ids=("Demo/0", "Demo/1", "Demo/2"),
    partial=False,
    sandbox="docker",
    image_digest="i",
    cpu_seconds=3.0,
    wall_seconds=10.0,
    memory_bytes=1 << 30,
    call_cpu_seconds=None,
    call_cpu_factor=None,
    batch_size=8,
    options=ModelOptions(),
)
NASTY = 'tab\t nl\n nul\0 esc\x1b wide\u2028 lone\ud800 quote" back\\ \U0001f600'


def a_sample(task: int, index: int = 0, text: str = "x") -> Sample:
    return Sample(
        task_id=f"Demo/{task}", sample_index=index, completion=text, program=text, stop_reason=StopReason.FILE
    )


def a_verdict(task: int, index: int = 0, outcome: Outcome = Outcome.PASSED, reason: str = "") -> Verdict:
    return Verdict(
        task_id=f"Demo/{task}",
        sample_index=index,
        outcome=outcome,
        passed=outcome is Outcome.PASSED,
        tests_run=1,
        tests_expected=1,
        evidence=Evidence(reason=reason),
        cpu_seconds=0.1,
        wall_seconds=0.2,
        peak_memory_bytes=3,
    )


def a_report() -> Report:
    return Report(
        benchmark="demo",
        protocol="samples",
        model="m",
        tasks=3,
        samples=1,
        outcomes={"passed": 1},
        pass_at_k={},
        base_pass_at_k=None,
        tiers=(),
        tokens=Tokens(),
        seconds=0.2,
        sandbox="docker",
        fingerprint="f",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "deep" / "run"


def write_run(folder: Path, *verdicts: Verdict, samples: tuple[Sample, ...] = ()) -> None:
    with RunFolder(folder, CONFIG) as store:
        for sample in samples:
            store.add_sample(sample)
        for verdict in verdicts:
            store.add_verdict(verdict)


# Whose folder it is


def changed(field: str) -> RunConfig:
    """Return the configuration with one field changed."""
    value: Any = getattr(CONFIG, field)
    other: Any
    if isinstance(value, bool):
        other = not value
    elif isinstance(value, str):
        other = value + "x"
    elif isinstance(value, int | float):
        other = value + 1
    elif isinstance(value, tuple):
        other = (*value, "more")
    elif isinstance(value, dict):
        other = {**value, "dtype": 0.5 if field == "weak_rates" else "float16"}
    elif isinstance(value, TierSource):
        other = replace(value, kind=TierKind.RATINGS)
    elif isinstance(value, WeakRule):
        other = replace(value, kind=WeakKind.BELOW_TARGET, target=0.5)
    elif isinstance(value, ModelOptions):
        other = replace(value, dtype="float16")
    else:
        other = 1.5
    return replace(CONFIG, **{field: other})


@pytest.mark.parametrize("field", [field.name for field in fields(RunConfig)])
def test_the_fingerprint_covers_every_field_that_a_result_depends_on(field: str) -> None:
    is_covered = fingerprint(changed(field)) != fingerprint(CONFIG)
    assert is_covered == (field not in NOT_FINGERPRINTED)


def test_the_fingerprint_is_a_digest_that_does_not_change_from_run_to_run() -> None:
    assert fingerprint(CONFIG) == fingerprint(replace(CONFIG, workers=9, versions={"a": "b"}))
    assert len(fingerprint(CONFIG)) == 64
    assert set(fingerprint(CONFIG)) <= set("0123456789abcdef")


def of_an_earlier_version(**changes: Any) -> RunConfig:
    """Return a configuration that does not say what there was no word for."""
    return replace(CONFIG, batch_size=None, options=None, **changes)


def test_runs_of_earlier_versions_keep_their_fingerprint() -> None:
    old = of_an_earlier_version()
    new = {"tokenizer_digest", "template_digest", "prompts_digest", "batch_size", "options"}
    new |= {"extraction", "rejudged", "shots_digest", "max_length"}
    before = {name: value for name, value in asdict(old).items() if "reasoning" not in name and name not in new}
    assert len(before) == len(fields(RunConfig)) - 2 - len(new)
    assert from_json(RunConfig, json.dumps(before)) == old
    covered = {name: value for name, value in before.items() if name not in NOT_FINGERPRINTED}
    assert fingerprint(old) == hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()


def test_runs_of_earlier_versions_go_on_although_they_name_no_digests_of_prompts(folder: Path) -> None:
    old = of_an_earlier_version(runtime={"dtype": "float32"})
    with RunFolder(folder, old):
        pass
    digests = {"tokenizer_digest": "t", "template_digest": "c", "prompts_digest": "p"}
    runtime = {"dtype": "float32", "commit": "c", "reproducible": "yes"}
    now = replace(CONFIG, runtime=runtime, extraction="prompted", **digests)
    with RunFolder(folder, now):
        pass
    assert read_config(folder) == now
    with pytest.raises(StoreMismatch, match="template_digest was 'c', now 'x'"):
        RunFolder(folder, replace(now, template_digest="x"))


def test_a_run_of_an_earlier_version_on_a_server_does_not_go_on_with_a_tokenizer(folder: Path) -> None:
    with RunFolder(folder, of_an_earlier_version(backend="openai")):
        pass
    now = replace(CONFIG, backend="openai", prompts_digest="p")
    with pytest.raises(StoreMismatch, match="tokenizer_digest was '', now 't'"):
        RunFolder(folder, replace(now, tokenizer_digest="t", template_digest="c"))
    with RunFolder(folder, now):
        pass


def test_what_is_asked_is_written_once_and_whole(folder: Path) -> None:
    prompts = (AskedPrompt(task_id="Demo/0", text="\ud800", tokens=2, tokens_digest="d"), AskedPrompt(task_id="Demo/1"))
    config = replace(CONFIG, prompts_digest=prompts_digest(prompts))
    with RunFolder(folder, config) as store:
        store.keep_prompts(prompts)
        store.keep_prompts(())
    content = (folder / PROMPTS).read_bytes()
    assert hashlib.sha256(content).hexdigest() == config.prompts_digest
    assert tuple(from_json(AskedPrompt, line) for line in content.splitlines()) == prompts
    with RunFolder(folder, CONFIG, resume=False) as store:
        store.keep_prompts(())
    assert not (folder / PROMPTS).exists()
    assert prompts_digest(()) == ""


@pytest.mark.parametrize("field", sorted({field.name for field in fields(RunConfig)} - NOT_FINGERPRINTED))
def test_another_configuration_is_refused_and_the_field_is_named(folder: Path, field: str) -> None:
    write_run(folder, a_verdict(0))
    other = changed(field)
    with pytest.raises(StoreMismatch) as caught:
        RunFolder(folder, other)
    message = str(caught.value)
    assert f"{field}.dtype was " in message if field == "runtime" else f"{field} was " in message
    assert message.count(" was ") == 1
    assert "--no-resume" in message
    assert "--out" in message
    assert [verdict.task_id for verdict in read_lines(folder / VERDICTS, Verdict)] == ["Demo/0"]
    assert read_config(folder) == CONFIG


def test_every_field_that_differs_is_named_with_both_values(folder: Path) -> None:
    write_run(folder)
    with pytest.raises(StoreMismatch, match=r"seed was 0, now 7; .*cpu_seconds was 3\.0, now 9\.0"):
        RunFolder(folder, replace(CONFIG, seed=7, cpu_seconds=9.0))


def test_long_values_are_cut_in_the_message(folder: Path) -> None:
    write_run(folder)
    with pytest.raises(StoreMismatch) as caught:
        RunFolder(folder, replace(CONFIG, task_ids=tuple(f"Demo/{n}" for n in range(10_000))))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("field", sorted(NOT_FINGERPRINTED & {field.name for field in fields(RunConfig)}))
def test_what_a_result_does_not_depend_on_may_change(folder: Path, field: str) -> None:
    write_run(folder, a_verdict(0))
    with RunFolder(folder, changed(field)) as store:
        assert len(list(store.verdicts())) == 1
    assert read_config(folder) == changed(field)


def test_no_resume_starts_afresh(folder: Path) -> None:
    write_run(folder, a_verdict(0), samples=(a_sample(0),))
    write_whole(folder / REPORT, "{}")
    (folder / "notes.txt").write_text("mine")
    with RunFolder(folder, replace(CONFIG, seed=7), resume=False) as store:
        assert [*store.samples(), *store.verdicts()] == []
    assert read_config(folder).seed == 7
    assert not (folder / REPORT).exists()
    assert (folder / "notes.txt").read_text() == "mine"


def test_the_same_configuration_goes_on(folder: Path) -> None:
    write_run(folder, a_verdict(0), samples=(a_sample(0), a_sample(1)))
    with RunFolder(folder, CONFIG) as store:
        assert [sample.task_id for sample in store.samples()] == ["Demo/0", "Demo/1"]
        assert [verdict.task_id for verdict in store.verdicts()] == ["Demo/0"]
        store.add_verdict(a_verdict(1))
    assert len(list(read_lines(folder / VERDICTS, Verdict))) == 2


@pytest.mark.parametrize("name", [SAMPLES, VERDICTS, REPORT])
def test_files_of_nobody_are_left_alone(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    (folder / name).write_text("mine\n")
    for resume in (True, False):
        with pytest.raises(UsageError, match=r"no run\.json.*--out"):
            RunFolder(folder, CONFIG, resume)
    assert (folder / name).read_text() == "mine\n"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"benchmark":5}', "\0"])
def test_a_broken_configuration_is_not_taken_for_ours(folder: Path, text: str) -> None:
    write_run(folder, a_verdict(0))
    (folder / RUN).write_text(text)
    with pytest.raises(UsageError, match=r"run\.json cannot be read"):
        RunFolder(folder, CONFIG)
    assert len((folder / VERDICTS).read_text().splitlines()) == 1
    with RunFolder(folder, CONFIG, resume=False) as store:
        assert list(store.verdicts()) == []


def test_a_place_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/nowhere/run")):
        with pytest.raises(UsageError, match="--out"):
            RunFolder(place, CONFIG)
    assert (tmp_path / "file").read_text() == ""


# One writer


HOLD = """
import pickle, sys
from harness.store import RunFolder
folder, config = pickle.load(sys.stdin.buffer)
with RunFolder(folder, config):
    print("held", flush=True)
    sys.stdin.buffer.read()
"""


@pytest.fixture
def other_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has the folder open until it is killed."""
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump((folder, CONFIG), process.stdin)
        process.stdin.flush()
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_one_process_at_a_time_writes(folder: Path, other_process: subprocess.Popen[bytes]) -> None:
    for resume in (True, False):
        with pytest.raises(UsageError, match="in use by another run"):
            RunFolder(folder, CONFIG, resume)
    other_process.kill()
    other_process.wait()
    with RunFolder(folder, CONFIG) as store:
        assert list(store.verdicts()) == []


def test_a_folder_is_free_again_when_it_is_closed_or_could_not_be_opened(folder: Path) -> None:
    write_run(folder)
    with pytest.raises(StoreMismatch):
        RunFolder(folder, replace(CONFIG, seed=7))
    with RunFolder(folder, CONFIG), pytest.raises(UsageError, match="in use"):
        RunFolder(folder, CONFIG)
    with RunFolder(folder, CONFIG):
        pass


# What survives


def test_records_come_back_as_they_went(folder: Path) -> None:
    samples = (a_sample(0, 3, NASTY), a_sample(1, 0, ""))
    verdicts = (a_verdict(0, 3, Outcome.ERROR, NASTY), a_verdict(1))
    write_run(folder, *verdicts, samples=samples)
    assert tuple(read_lines(folder / SAMPLES, Sample)) == samples
    assert tuple(read_lines(folder / VERDICTS, Verdict)) == verdicts
    assert (folder / SAMPLES).read_bytes().isascii()
    assert len((folder / SAMPLES).read_bytes().splitlines()) == 2


def test_each_record_is_on_disk_as_soon_as_it_is_added(folder: Path) -> None:
    with RunFolder(folder, CONFIG) as store:
        store.add_sample(a_sample(0))
        assert len((folder / SAMPLES).read_bytes().splitlines()) == 1
        store.add_verdict(a_verdict(0))
        assert len((folder / VERDICTS).read_bytes().splitlines()) == 1


def test_a_kill_in_the_middle_of_a_line_costs_that_line(folder: Path) -> None:
    write_run(folder, a_verdict(0), a_verdict(1), samples=(a_sample(0), a_sample(1, text="y" * 200_000)))
    kinds: list[tuple[str, Any]] = [(SAMPLES, Sample), (VERDICTS, Verdict)]
    for name, kind in kinds:
        path = folder / name
        whole = path.read_bytes()
        first = whole.index(b"\n") + 1
        for end in {0, 1, first - 1, first, first + 1, len(whole) - 100_000, len(whole) - 1}:
            path.write_bytes(whole[: max(end, 0)])
            with RunFolder(folder, CONFIG):
                pass
            kept = path.read_bytes()
            assert kept == (whole[:first] if end >= first else b"")
            assert len(list(read_lines(path, kind))) == (end >= first)
        path.write_bytes(whole)
        with RunFolder(folder, CONFIG):
            pass
        assert path.read_bytes() == whole


def test_what_follows_a_dropped_line_starts_on_a_line_of_its_own(folder: Path) -> None:
    write_run(folder, a_verdict(0))
    with (folder / VERDICTS).open("a") as file:
        file.write(to_json(a_verdict(1))[:40])
    with RunFolder(folder, CONFIG) as store:
        store.add_verdict(a_verdict(2))
    assert [verdict.task_id for verdict in read_lines(folder / VERDICTS, Verdict)] == ["Demo/0", "Demo/2"]


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 200_000])
def test_the_last_newline_is_found_however_long_the_torn_line_is(tmp_path: Path, size: int) -> None:
    path = tmp_path / "lines"
    for kept in (b"", b"\n", b"one\n", b"one\ntwo\n"):
        path.write_bytes(kept + b"x" * size)
        drop_torn_line(path)
        assert path.read_bytes() == kept
    drop_torn_line(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[]",
        "5",
        "nonsense",
        '{"task_id":"Demo/0"}',
        to_json(a_sample(0)),
        to_json(a_verdict(0)).replace('"passed":true', '"passed":false'),
        to_json(a_verdict(0)).replace("0.1", '"x"'),
        to_json(a_verdict(0)).replace('"outcome":"passed"', '"outcome":"excellent"'),
    ],
)
def test_a_line_that_is_no_record_is_named(folder: Path, line: str) -> None:
    write_run(folder, a_verdict(0))
    with (folder / VERDICTS).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UsageError, match=r"verdicts\.jsonl:2: not a Verdict"):
        list(read_lines(folder / VERDICTS, Verdict))


def test_what_is_not_there_is_no_run(tmp_path: Path) -> None:
    for read in (lambda: list(read_lines(tmp_path / VERDICTS, Verdict)), lambda: read_report(tmp_path)):
        with pytest.raises(UsageError, match="is not there"):
            read()
    with pytest.raises(UsageError, match="is not there"):
        read_config(tmp_path)


# Full disks


def fill(folder: Path) -> Path:
    """Take all the room that is left on a file system."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return path


def test_a_record_that_does_not_fit_on_the_disk_is_not_there_by_half(small_disk: Path) -> None:
    with RunFolder(small_disk, CONFIG) as store:
        store.add_verdict(a_verdict(0))
        with pytest.raises(MeasurementInvalid, match=r"verdicts\.jsonl: No space left on device.*free some room"):
            store.add_verdict(a_verdict(1, reason="y" * 100_000))
        with pytest.raises(MeasurementInvalid, match=r"samples\.jsonl: No space left on device"):
            store.add_sample(a_sample(1, text="y" * 100_000))
        store.add_verdict(a_verdict(2))
        assert [verdict.task_id for verdict in read_lines(small_disk / VERDICTS, Verdict)] == ["Demo/0", "Demo/2"]
        assert (small_disk / SAMPLES).read_bytes() == b""


def test_a_report_that_does_not_fit_on_the_disk_is_not_there(small_disk: Path) -> None:
    with RunFolder(small_disk, CONFIG) as store:
        store.add_verdict(a_verdict(0))
        before = sorted(small_disk.iterdir())
        ballast = fill(small_disk)
        with pytest.raises(MeasurementInvalid, match=r"report\.json: No space left on device"):
            store.finish(a_report())
        ballast.unlink()
        assert sorted(small_disk.iterdir()) == before
        store.finish(a_report())
    assert read_report(small_disk) == a_report()


def test_verdicts_that_cannot_be_written_anew_stay_as_they_are(small_disk: Path) -> None:
    write_run(small_disk, a_verdict(1), a_verdict(0), a_verdict(2, outcome=Outcome.NOT_JUDGED))
    before = (small_disk / VERDICTS).read_bytes()
    with RunFolder(small_disk, CONFIG) as store:
        fill(small_disk)
        with pytest.raises(MeasurementInvalid, match="No space left on device"):
            store.drop_not_judged()
        with pytest.raises(MeasurementInvalid, match="No space left on device"):
            store.sort_verdicts({"Demo/0": 0, "Demo/1": 1, "Demo/2": 2})
    assert (small_disk / VERDICTS).read_bytes() == before


def test_a_run_that_finds_no_room_to_begin_is_the_machines_failure(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(MeasurementInvalid, match="No space left on device"):
        RunFolder(small_disk, CONFIG)


# Whole files


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text() == "old"
    write_whole(path, "new")
    assert path.read_text() == "new"


def test_a_report_is_the_last_thing_to_appear(folder: Path) -> None:
    with RunFolder(folder, CONFIG) as store:
        assert not (folder / REPORT).exists()
        store.finish(a_report())
        assert read_report(folder) == a_report()
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == [REPORT, RUN, SAMPLES, VERDICTS]


@pytest.mark.parametrize("text", ["", "{}", '{"outcomes": {"passed": 1}}'])
def test_a_report_that_is_none_is_the_users_to_mend(folder: Path, text: str) -> None:
    write_run(folder)
    (folder / REPORT).write_text(text)
    with pytest.raises(UsageError, match=r"report\.json cannot be read"):
        read_report(folder)


# Verdicts put in order, and those of the machine's failures


def test_verdicts_are_sorted_by_task_and_sample(folder: Path) -> None:
    order = {"Demo/0": 0, "Demo/1": 1, "Demo/10": 2}
    places = [(10, 1), (1, 0), (0, 10), (0, 9), (10, 0)]
    write_run(folder, *(a_verdict(*place) for place in places))
    with RunFolder(folder, CONFIG) as store:
        store.sort_verdicts(order)
        found = [(verdict.task_id, verdict.sample_index) for verdict in store.verdicts()]
        assert found == [("Demo/0", 9), ("Demo/0", 10), ("Demo/1", 0), ("Demo/10", 0), ("Demo/10", 1)]
        store.add_verdict(a_verdict(10, 2))
    assert len(list(read_lines(folder / VERDICTS, Verdict))) == 6


def test_verdicts_in_order_are_not_written_again(folder: Path) -> None:
    write_run(folder, a_verdict(0), a_verdict(1))
    before = (folder / VERDICTS).stat().st_ino
    with RunFolder(folder, CONFIG) as store:
        store.sort_verdicts({"Demo/0": 0, "Demo/1": 1})
        assert store.drop_not_judged() == 0
    assert (folder / VERDICTS).stat().st_ino == before


def test_failures_of_the_machine_are_forgotten_so_that_they_are_tried_again(folder: Path) -> None:
    unjudged = [a_verdict(number, outcome=Outcome.NOT_JUDGED, reason="lost") for number in (1, 2)]
    write_run(folder, a_verdict(0, outcome=Outcome.FAILED), *unjudged, a_verdict(3))
    with RunFolder(folder, CONFIG) as store:
        assert store.drop_not_judged() == 2
        assert [verdict.task_id for verdict in store.verdicts()] == ["Demo/0", "Demo/3"]
        store.add_verdict(a_verdict(1))
        assert store.drop_not_judged() == 0
    assert [verdict.task_id for verdict in read_lines(folder / VERDICTS, Verdict)] == ["Demo/0", "Demo/3", "Demo/1"]


def test_what_run_json_holds_is_readable_by_people_and_machines(folder: Path) -> None:
    write_run(folder)
    text = (folder / RUN).read_text()
    assert "\n  " in text
    assert json.loads(text)["benchmark"] == "demo"
    assert set(json.loads(text)) == {field.name for field in fields(RunConfig)}
