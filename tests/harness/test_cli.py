"""The command line as a user meets it: each test starts the real command in a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.records import Outcome, Report, from_json

BEL_TITLE = "\x1b]0;owned\x07"
CLEAR = "\x1b[2J\x9b2J\u202e"
TASKS = [
    {
        "task_id": "Mine/0",
        "prompt": "def add(x, y):\n",
        "entry_point": "add",
        "canonical_solution": "    return x + y\n",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate('a', 'b') == 'ab'\n",
    },
    {
        "task_id": "Mine/1",
        "prompt": "def neg(x):\n",
        "entry_point": "neg",
        "canonical_solution": "    return -x\n",
        "test": "def check(candidate):\n    assert candidate(1) == -1\n",
    },
]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What one command said and how it ended."""

    code: int
    out: str
    err: str


Harness = Callable[..., Ran]


def run(folder: Path, *arguments: object, env: Mapping[str, str] | None = None) -> Ran:
    """Run `harness` in a folder, with an environment of its own."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HARNESS_", "HF_")) and "OVERRIDE_PATH" not in name
    }
    environment |= {"HARNESS_CACHE": str(folder.parent / "cache"), "HARNESS_OFFLINE": "1", **(env or {})}
    command = [sys.executable, "-m", "harness.cli", *map(str, arguments)]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=120, check=False)
    return Ran(code=ran.returncode, out=ran.stdout.decode("utf-8"), err=ran.stderr.decode("utf-8"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to work in, with a task file beside it."""
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(task) + "\n" for task in TASKS))
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def harness(folder: Path) -> Harness:
    return lambda *arguments, env=None: run(folder, *arguments, env=env)


def samples_file(folder: Path, *lines: object) -> Path:
    path = folder.parent / "samples.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def assert_refused(ran: Ran, code: int, *needles: str) -> None:
    """One message, no traceback, nothing on standard output."""
    assert ran.code == code, ran
    assert ran.out == ""
    assert "Traceback" not in ran.err
    for needle in needles:
        assert needle in ran.err, ran.err
    messages = [line for line in ran.err.splitlines() if line.startswith(("harness: ", "Error: "))]
    assert len(messages) == 1, ran.err
    assert all(character.isprintable() or character == "\n" for character in ran.err), ran.err
    assert len(ran.err) < 3000


# Wrong requests


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "needles"),
    [
        (["--model", "canonical", "--tasks", "humanevil"], ["'humanevil'", "Did you mean humaneval?"]),
        (["--model", "canonical", "--tasks", "nowhere.jsonl"], ["nowhere.jsonl"]),
        (["--model", "canonical", "--tasks", "../../etc/passwd"], ["no benchmark"]),
        (["--model", "canonical", "--tasks", f"x{BEL_TITLE}"], ["no benchmark"]),
        (["--model", "canonical", "--tasks", ""], ["--tasks"]),
        (["--model", "canonical", "--tasks", "humaneval,humaneval"], ["only once"]),
        (["--model", "canonical", "--tasks", "mbpp"], ["mbpp.jsonl", "HARNESS_DATA", "https://"]),
        (["--model", "canonical", "--tasks", "humaneval+"], ["HumanEvalPlus.jsonl.gz", "HARNESS_DATA"]),
        (["--model", "canonical"], ["--tasks"]),
        (["--tasks", "humaneval"], ["--model", "--samples"]),
        (["--model", "canonical", "--samples", "x.jsonl", "--tasks", "humaneval"], ["not both"]),
        (["--samples", "x.jsonl", "--tasks", "humaneval,mbpp"], ["one benchmark"]),
        (["--samples", "nowhere.jsonl", "--tasks", "humaneval"], ["nowhere.jsonl", "cannot be read"]),
        (["--samples", ".", "--tasks", "humaneval"], ["not a regular file"]),
        (["--model", "canonical", "--tasks", "humaneval", "--limit", "0"], ["--limit 0"]),
        (["--model", "canonical", "--tasks", "humaneval", "--limit", "many"], ["many"]),
        (["--model", "canonical", "--tasks", "humaneval", "--workers", "0"], ["--workers"]),
        (["--model", "canonical", "--tasks", "humaneval", "--sandbox", "none"], ["none"]),
        (["--model", "canonical", "--tasks", "humaneval", "--cpu-seconds", "0"], ["--cpu-seconds"]),
        (["--model", "canonical", "--tasks", "humaneval", "-n", "2"], ["--n-samples"]),
        (["--model", "canonical", "--tasks", "humaneval", "--greedy", "--temperature", "1"], ["--greedy"]),
        (["--model", "canonical", "--tasks", "humaneval", "--out", "/dev/null/x"], ["--out"]),
        (["--model", "canonical", "--tasks", "humaneval", "--nonsense"], ["--nonsense"]),
    ],
)
def test_a_wrong_request_is_refused_with_one_message(
    harness: Harness, folder: Path, arguments: list[str], needles: list[str]
) -> None:
    before = files_below(folder)
    assert_refused(harness("eval", *arguments), 2, *needles)
    assert files_below(folder) == before


@pytest.mark.slow
def test_a_model_that_does_not_exist_is_refused(harness: Harness, folder: Path) -> None:
    pytest.importorskip("transformers")
    ran = harness("eval", "--model", "./no-such-checkpoint", "--tasks", "../mine.jsonl")
    assert_refused(ran, 2, "no-such-checkpoint")
    assert files_below(folder) == set()


def test_an_unknown_command_is_refused(harness: Harness) -> None:
    assert_refused(harness("evaluate"), 2, "evaluate")


@pytest.mark.parametrize("command", [["show", "nowhere"], ["show", "."], ["show", "/dev/null"]])
def test_what_is_no_run_is_not_shown(harness: Harness, command: list[str]) -> None:
    assert_refused(harness(*command), 2, "is not there" if command[1] != "/dev/null" else "/dev/null")


RIGHT_ONE = json.dumps({"task_id": "Mine/0", "completion": "    return x + y\n"})
RIGHT_TWO = json.dumps({"task_id": "Mine/1", "solution": "def neg(x):\n    return -x\n"})
BOTH = f"{RIGHT_ONE}\n{RIGHT_TWO}\n".encode()
BAD_SAMPLES = {
    "unknown task": (BOTH + b'{"task_id":"Mine/9","completion":""}\n', ["line 3", "'Mine/9'"]),
    "path for a task": (BOTH + b'{"task_id":"../../x","completion":""}\n', ["line 3", "'../../x'"]),
    "control characters for a task": (
        BOTH + b'{"task_id":"\\u001b]0;x\\u0007","completion":""}\n',
        ["line 3", "\\x1b"],
    ),
    "solution that is no text": (BOTH + b'{"task_id":"Mine/0","solution":["x"]}\n', ["line 3", "'solution'", "list"]),
    "completion that is nothing": (BOTH + b'{"task_id":"Mine/0","completion":null}\n', ["line 3", "'completion'"]),
    "no program": (BOTH + b'{"task_id":"Mine/0"}\n', ["line 3", "'completion'", "'solution'"]),
    "no task": (BOTH + b'{"completion":""}\n', ["line 3", "'task_id'"]),
    "long line": (
        BOTH + b'{"task_id":"Mine/0","completion":"' + b"x" * (17 << 20) + b'"}\n',
        ["line 3", "longer than"],
    ),
    "key twice": (BOTH + b'{"task_id":"Mine/0","task_id":"Mine/1","completion":""}\n', ["line 3", "twice"]),
    "not UTF-8": (BOTH + b'{"task_id":"Mine/0","completion":"\xff"}\n', ["line 3", "not UTF-8"]),
    "not JSON": (BOTH + b"Mine/0: return x + y\n", ["line 3", "not valid JSON"]),
    "not an object": (BOTH + b'["Mine/0", ""]\n', ["line 3", "object"]),
    "deep": (BOTH + b'{"task_id":' + b"[" * 100_000 + b"\n", ["line 3", "nested too deeply"]),
    "empty": (b"", ["holds no sample"]),
    "blank": (b"\n\n  \n", ["holds no sample"]),
    "one task missing": (RIGHT_ONE.encode(), ["no sample for 1 of 2", "Mine/1", "--partial"]),
    "truncated gz": (gzip.compress(BOTH * 1000)[:-20], ["cannot be read on"]),
    "broken gz": (b"\x1f\x8b" + b"nonsense" * 10, ["cannot be read"]),
}


@pytest.mark.slow
@pytest.mark.parametrize(("content", "needles"), BAD_SAMPLES.values(), ids=list(BAD_SAMPLES))
def test_a_malformed_samples_file_is_refused_with_its_line(
    harness: Harness, folder: Path, content: bytes, needles: list[str]
) -> None:
    path = folder.parent / "samples.jsonl"
    path.write_bytes(content)
    before = files_below(folder.parent)
    ran = harness("eval", "--samples", path, "--tasks", "../mine.jsonl", "--out", "run")
    assert_refused(ran, 2, "samples.jsonl", *needles)
    assert files_below(folder.parent) == before


def test_a_data_folder_that_is_none_is_refused(harness: Harness, folder: Path) -> None:
    ran = harness("eval", "--model", "canonical", "--tasks", "mbpp", env={"HARNESS_DATA": str(folder / "no")})
    assert_refused(ran, 2, "HARNESS_DATA")


@pytest.mark.parametrize("name", ["mbpp.jsonl", "sanitized-mbpp.json", "HumanEvalPlus.jsonl.gz"])
def test_a_data_file_that_is_broken_is_refused(harness: Harness, folder: Path, name: str) -> None:
    (folder / name).write_bytes(b'{"task_id": "../x"\n')
    tasks = {"mbpp.jsonl": "mbpp", "sanitized-mbpp.json": "mbpp-sanitized", "HumanEvalPlus.jsonl.gz": "humaneval+"}
    ran = harness("eval", "--model", "canonical", "--tasks", tasks[name], env={"HARNESS_DATA": str(folder)})
    assert_refused(ran, 2, name)


# A machine that cannot


def test_docker_without_an_engine_is_the_machines_failure_and_has_the_fix(harness: Harness, folder: Path) -> None:
    arguments = ["eval", "--model", "canonical", "--tasks", "../mine.jsonl", "--sandbox", "docker"]
    ran = harness(*arguments, env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    assert_refused(ran, 3, "no Docker engine answers", "--sandbox local", "apt-get install docker.io")
    assert files_below(folder) == set()


def test_an_image_that_is_not_there_is_the_machines_failure(harness: Harness, require: Any) -> None:
    arguments = ["eval", "--model", "canonical", "--tasks", "../mine.jsonl", "--sandbox", "docker"]
    ran = harness(*arguments, "--image", "harness-no-such-image")
    require("no Docker engine" not in ran.err, "a Docker engine")
    assert_refused(ran, 3, "harness-no-such-image", "docker pull")


@pytest.mark.slow
def test_without_an_engine_auto_takes_the_local_cell_and_says_so(harness: Harness, folder: Path, require: Any) -> None:
    arguments = ["eval", "--model", "canonical", "--tasks", "../mine.jsonl", "--out", "run", "--workers", "1"]
    ran = harness(*arguments, env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    require("allows no local cells" not in ran.err, "local cells")
    assert ran.code == 0, ran
    assert [line.partition(": ")[0] for line in ran.err.splitlines() if "local cell" in line] == [
        "using the local cell"
    ]
    assert "not promised by this sandbox" in ran.out
    assert "not promised by the local sandbox: memory" in ran.err
    report = json.loads((folder / "run" / "report.json").read_text())
    assert report["sandbox"] == "local"
    assert report["not_promised"]


# Runs


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory, require: Any) -> tuple[Path, Ran]:
    """A finished run, in the folder's `run`, of samples that are hostile to whoever looks at them."""
    folder = tmp_path_factory.mktemp("hostile") / "work"
    folder.mkdir()
    (folder.parent / "mine.jsonl").write_text("".join(json.dumps(task) + "\n" for task in TASKS))
    nasty = f"{BEL_TITLE}{CLEAR}[red]::error::</pre><script>"
    path = samples_file(
        folder,
        {"task_id": "Mine/0", "completion": f"    return {nasty!r} + chr(27)\n"},
        {"task_id": "Mine/0", "completion": f"    print({nasty!r}); raise KeyError({nasty!r})\n# {nasty}\n"},
        {"task_id": "Mine/0", "completion": "    return x + y\n"},
        {"task_id": "Mine/1", "solution": f"# {nasty}\x00\ud800\r\nneg = abs\n"},
        {"task_id": "Mine/1", "solution": "def neg(x):\n    return -x\n", "extra": [1]},
        {"task_id": "Mine/1", "completion": " "},
    )
    hostile = path.rename(path.with_name("s\x1b]0;x\x07.jsonl"))
    ran = run(
        folder, "eval", "--samples", hostile, "--tasks", "../mine.jsonl", "--out", "run", "--workers", "1", "--json"
    )
    require(ran.code != 3, f"a sandbox: {ran.err}")
    return folder, ran


def test_json_is_one_document_and_nothing_else(hostile_run: tuple[Path, Ran]) -> None:
    _, ran = hostile_run
    assert ran.code == 0, ran
    report = from_json(Report, ran.out)
    assert (report.benchmark, report.tasks, report.samples) == ("mine", 2, 6)
    assert report.outcomes == dict.fromkeys(Outcome, 0) | {
        "passed": 2,
        "failed": 1,
        "error": 1,
        "syntax": 1,
        "no_code": 1,
    }
    assert report.pass_at_k["1"].value == pytest.approx((1 / 3 + 1 / 3) / 2)
    assert "mine: 6/6" in ran.err


def test_a_run_folder_holds_the_four_files_of_the_contract(hostile_run: tuple[Path, Ran]) -> None:
    folder, ran = hostile_run
    assert {name for name in files_below(folder / "run") if not name.startswith(".")} == {
        "run.json",
        "samples.jsonl",
        "verdicts.jsonl",
        "report.json",
    }
    assert json.loads((folder / "run" / "report.json").read_text()) == json.loads(ran.out)
    verdicts = [json.loads(line) for line in (folder / "run" / "verdicts.jsonl").read_text().splitlines()]
    assert [(verdict["task_id"], verdict["sample_index"]) for verdict in verdicts] == [
        (task, index) for task in ("Mine/0", "Mine/1") for index in range(3)
    ]
    wanted = {"task_id", "sample_index", "outcome", "passed", "tests_run", "tests_expected", "evidence"}
    wanted |= {"cpu_seconds", "wall_seconds", "peak_memory_bytes"}
    assert all(wanted <= set(verdict) for verdict in verdicts)
    assert all(verdict["passed"] == (verdict["outcome"] == "passed") for verdict in verdicts)


def assert_inert(text: str) -> None:
    """Nothing in the text does anything to a terminal."""
    assert all(character.isprintable() or character == "\n" for character in text), ascii(text)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--failures", "99"], ["--task", "Mine/0"], ["--task", "Mine/1"]])
def test_hostile_text_is_inert_where_it_is_shown(hostile_run: tuple[Path, Ran], options: list[str]) -> None:
    folder, _ = hostile_run
    ran = run(folder, "show", "run", *options)
    assert (ran.code, ran.err) == (0, "")
    assert_inert(ran.out)
    assert "\\x1b" in ran.out
    assert "[red]::error::" in ran.out  # as it is, and not as markup


def test_a_finished_run_shows_outcomes_then_failures_with_code_and_values(hostile_run: tuple[Path, Ran]) -> None:
    folder, _ = hostile_run
    shown = run(folder, "show", "run").out
    assert shown.index("outcomes: passed 2, failed 1, error 1, syntax 1, no_code 1") < shown.index("Mine/0 [0]")
    for text in ("failed (1 of 2 tests", "add(1, 2)", "expected", "actual", "KeyError", "neg = abs"):
        assert text in shown
    assert "Mine/0 [2]" not in shown
    assert "Mine/0 [0]" not in run(folder, "show", "run", "--failures", "0").out
    assert "Mine/0 [1]" not in run(folder, "show", "run", "--failures", "1").out


def test_one_task_is_shown_with_its_passes(hostile_run: tuple[Path, Ran]) -> None:
    folder, _ = hostile_run
    shown = run(folder, "show", "run", "--task", "Mine/0").out
    assert all(f"Mine/0 [{index}]" in shown for index in range(3))
    assert "Mine/1 [" not in shown
    assert_refused(run(folder, "show", "run", "--task", f"Mine/9{BEL_TITLE}"), 2, "no sample")


def test_show_as_json_is_one_document(hostile_run: tuple[Path, Ran]) -> None:
    folder, _ = hostile_run
    ran = run(folder, "show", "run", "--json", "--failures", "2")
    document = json.loads(ran.out)
    assert ran.out.isascii()
    assert document["report"]["samples"] == 6
    assert [(card["task_id"], card["outcome"]) for card in document["samples"]] == [
        ("Mine/0", "failed"),
        ("Mine/0", "error"),
    ]
    assert document["samples"][0]["program"].startswith("def add(x, y):\n")


def test_the_same_command_again_has_nothing_to_do(hostile_run: tuple[Path, Ran]) -> None:
    folder, first = hostile_run
    samples = folder.parent / "s\x1b]0;x\x07.jsonl"
    arguments = ["eval", "--samples", samples, "--tasks", "../mine.jsonl", "--out", "run", "--workers", "1"]
    before = (folder / "run" / "verdicts.jsonl").read_bytes()
    again = run(folder, *arguments, "--json")
    assert (again.code, again.out) == (0, first.out)
    assert "going on after 6 of 6" in again.err
    assert (folder / "run" / "verdicts.jsonl").read_bytes() == before
    other = run(folder, *arguments, "--cpu-seconds", "2")
    assert_refused(other, 2, "cpu_seconds was 3.0, now 2.0", "--no-resume")
    assert (folder / "run" / "verdicts.jsonl").read_bytes() == before


def test_hostile_text_is_inert_while_a_run_goes_on(hostile_run: tuple[Path, Ran]) -> None:
    folder, ran = hostile_run
    assert_inert(ran.err)
    samples = folder.parent / "s\x1b]0;x\x07.jsonl"
    again = run(folder, "eval", "--samples", samples, "--tasks", "../mine.jsonl", "--out", "run", "--workers", "1")
    assert again.code == 0
    assert_inert(again.out)


@pytest.mark.slow
def test_several_benchmarks_have_a_folder_each_and_one_json_document(
    harness: Harness, folder: Path, require: Any
) -> None:
    (folder / "second.jsonl").write_text(json.dumps(TASKS[1]))
    ran = harness(
        "eval",
        "--model",
        "canonical",
        "--tasks",
        "../mine.jsonl,second.jsonl",
        "--out",
        "run",
        "--workers",
        "1",
        "--json",
    )
    require(ran.code != 3, f"a sandbox: {ran.err}")
    assert ran.code == 0, ran
    assert [report["benchmark"] for report in json.loads(ran.out)] == ["mine", "second"]
    assert [report["outcomes"]["passed"] for report in json.loads(ran.out)] == [2, 1]
    assert {"run/mine/report.json", "run/second/report.json"} <= files_below(folder)
    assert not (folder / "run" / "report.json").exists()


@pytest.mark.slow
def test_options_are_taken_with_underscores_as_well(harness: Harness, folder: Path, require: Any) -> None:
    ran = harness(
        "eval",
        "--model",
        "canonical",
        "--tasks",
        "../mine.jsonl",
        "--n_samples",
        "1",
        "--cpu_seconds",
        "2",
        "--no_resume",
    )
    require(ran.code != 3, f"a sandbox: {ran.err}")
    assert ran.code == 0, ran
    assert (folder / "runs" / "canonical--mine.jsonl" / "report.json").exists()
    assert json.loads((folder / "runs" / "canonical--mine.jsonl" / "run.json").read_text())["cpu_seconds"] == 2.0


@pytest.mark.slow
def test_limit_takes_the_first_tasks_and_partial_says_what_is_missing(
    harness: Harness, folder: Path, require: Any
) -> None:
    path = samples_file(folder, RIGHT_TWO)
    ran = harness("eval", "--samples", path, "--tasks", "../mine.jsonl", "--partial", "--out", "run", "--json")
    require(ran.code != 3, f"a sandbox: {ran.err}")
    report = json.loads(ran.out)
    assert (ran.code, report["missing_tasks"], report["pass_at_k"]["1"]["value"]) == (0, ["Mine/0"], 1.0)
    one = harness("eval", "--model", "canonical", "--tasks", "../mine.jsonl", "--limit", "1", "--out", "one", "--json")
    assert (json.loads(one.out)["tasks"], json.loads(one.out)["samples"]) == (1, 1)


# What there is


def test_tasks_lists_the_benchmarks_and_what_is_missing(harness: Harness) -> None:
    rows = {row["name"]: row for row in json.loads(harness("tasks", "--json").out)}
    assert rows["humaneval"]["tasks"] == 164
    assert len(rows["humaneval"]["digest"]) == 64
    for name in ("humaneval+", "humaneval+mini", "mbpp", "mbpp-sanitized", "mbpp+"):
        assert rows[name]["tasks"] is None
        assert "HARNESS_DATA" in rows[name]["problem"]
    ran = harness("tasks")
    assert ran.code == 0
    assert "humaneval " in ran.out
    assert "164" in ran.out


def test_listing_the_benchmarks_downloads_nothing(harness: Harness, folder: Path) -> None:
    ran = harness("tasks", "--json", env={"HARNESS_OFFLINE": "0", "https_proxy": "http://127.0.0.1:9"})
    assert ran.code == 0
    assert "downloading" not in ran.err
    assert not (folder.parent / "cache" / "data").exists()


@pytest.mark.data
def test_tasks_counts_what_is_there(harness: Harness, data_dir: Path) -> None:
    rows = {
        row["name"]: row["tasks"]
        for row in json.loads(harness("tasks", "--json", env={"HARNESS_DATA": str(data_dir)}).out)
    }
    wanted = {
        "humaneval": 164,
        "humaneval+": 164,
        "humaneval+mini": 164,
        "mbpp": 500,
        "mbpp-sanitized": 427,
        "mbpp+": 378,
    }
    assert wanted.items() <= rows.items()


@pytest.mark.slow
def test_doctor_says_what_this_machine_can(harness: Harness) -> None:
    ran = harness("doctor", "--json")
    findings = json.loads(ran.out)
    usable = [finding["ok"] for finding in findings if finding["name"] in ("docker", "local")]
    assert len(usable) == 2
    assert ran.code == (0 if any(usable) else 3)
    assert all(set(finding) == {"name", "ok", "detail", "fix"} for finding in findings)
    assert all(finding["fix"] for finding in findings if not finding["ok"])


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["eval", "--help"], ["show", "-h"], ["--version"]])
def test_help_and_version_are_answers(harness: Harness, folder: Path, arguments: list[str]) -> None:
    ran = harness(*arguments)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out
    assert files_below(folder) == set()


def test_standard_input_is_never_asked(folder: Path) -> None:
    """Each command ends although nobody answers."""
    command = [sys.executable, "-m", "harness.cli", "eval", "--model", "canonical", "--tasks", "humanevil"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.wait(30) == 2
