"""What reads texts that anybody may have written, as functions of bytes that must take whatever comes.

Each raises nothing but AssertionError, where a promise is not kept. `tests/harness/test_fuzz.py` calls them with
changed seeds, `tests/fuzz.py` for as long as one likes.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from fakes import FakeSandbox, Script, saying

from harness.errors import SamplesError
from harness.evidence import LONGEST, clean
from harness.extraction import RULES, extract_program
from harness.gate_output import annotation_text, log_text, markdown_text
from harness.judge import Judge
from harness.records import Benchmark, Verdict, from_json, to_json
from harness.samples import read_samples
from harness.selfcheck import CALLED, CHECKED, TASKS, sample_of
from harness.selftest_bench import environment
from sandbox import CodecError, Decoder, Limits, Opaque, Program, loads
from sandbox.guest.codec import encode_text

Target = Callable[[bytes], None]
RIGHT = (3, 5, 0.75, 0)
PROMPT = 'def add(x: int, y: int) -> int:\n    """Add two numbers."""\n'
TASK = replace(CHECKED, prompt=PROMPT)
DEMO = Benchmark(name="demo", tasks=(CHECKED, CALLED), digest="", source="")


def value(data: bytes) -> None:
    """A value from the other side is refused, or has a text that gives the same value with the same text."""
    try:
        decoded = Decoder(reference=lambda index: Opaque(index, "")).decode(loads(data))
        text = encode_text(decoded, _handle)
    except CodecError:
        return
    assert text.isascii(), text
    assert "\n" not in text, text
    assert encode_text(Decoder().decode(loads(text)), _handle) == text


def _handle(kept: Opaque) -> int:
    return kept.handle


def replies(data: bytes) -> None:
    """Lines in the place of replies are no pass but where they are the right values, and always a sound verdict."""
    for by, judge in _judges().items():
        _LINES[:] = data.split(b"\n")
        verdict = judge.judge(TASKS[by], sample_of(TASKS[by], "def add(x, y): ..."))
        line = to_json(verdict)
        assert len(line) <= 64 << 10
        assert from_json(Verdict, line) == verdict
        assert not verdict.passed or _are_right(data.split(b"\n")), verdict


_LINES: list[bytes] = []


@cache
def _judges() -> dict[str, Judge]:
    """Return a judge for each way of judging, of programs that reply with `_LINES`; references reply rightly."""

    def script(program: Program) -> Script:
        if program.source == CALLED.reference:
            times = ['["v",[0.0,0.0,0.0,0.0]]'] * (program.operations > len(RIGHT))  # how long each call took
            return saying(*(json.dumps(["v", right]) for right in RIGHT), *times)
        return Script(lines=tuple(_LINES), answer=lambda operation: b"".join(_LINES[:1]))

    judges = {by: Judge(FakeSandbox(script), Limits()) for by in TASKS}
    with tempfile.TemporaryDirectory() as folder, environment("HARNESS_CACHE", folder):
        for by, judge in judges.items():  # they have expected values in memory from here on, and no file
            assert judge.judge(TASKS[by], sample_of(TASKS[by], CALLED.reference)).passed
    return judges


def _are_right(lines: list[bytes]) -> bool:
    """Whether lines are a reply to loading, and replies with the right values, each within a millionth."""
    with contextlib.suppress(CodecError):
        said = [loads(line) for line in lines]
        values = [Decoder().decode(content) for kind, content in said[1:]]
        close = [abs(one - right) <= 1e-6 for one, right in zip(values, RIGHT, strict=True)]
        return said[0] == ["ok"] and all(close)
    return False


def samples(data: bytes) -> None:
    """A samples file, packed or not, is read or refused with a message that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        for content in (data, gzip.compress(data, 1)):
            path.write_bytes(content)
            message = ""
            try:
                found = read_samples(path, DEMO, partial=True).samples
                assert {sample.task_id for sample in found} <= {CHECKED.task_id, CALLED.task_id}
            except SamplesError as error:
                message = str(error)
            assert not message or (str(path) in message and message.isprintable()), message


def completion(data: bytes) -> None:
    """Any answer becomes a program by every rule; by ours the prompt, and a stretch of the answer, not edited."""
    text = data.decode("utf-8", "surrogateescape")
    program = extract_program(TASK, text)
    assert program.startswith(PROMPT)
    assert program.removeprefix(PROMPT).removeprefix("\n") in text
    for rule in RULES.values():
        started = time.process_time()
        assert len(rule.extract(TASK, text)) <= len(PROMPT) + len(text) + 1, rule.name
        assert time.process_time() - started < 10, rule.name


def shown(data: bytes) -> None:
    """Any text is made inert for whoever looks at it: no control characters, no commands, no markup."""
    text = data.decode("utf-8", "surrogateescape")
    cleaned = clean(text)
    assert cleaned.replace("\n", "").isprintable(), cleaned
    assert len(cleaned) <= 10 * (LONGEST + 100)
    for form in (log_text, annotation_text, markdown_text):
        line = form(text)
        assert line.replace("\u200b", "").isprintable(), line  # markdown_text puts these into what would be a link
        assert form is markdown_text or not line.startswith("::"), line
    assert "<" not in markdown_text(text)


TARGETS: dict[str, Target] = {one.__name__: one for one in (value, replies, samples, completion, shown)}
_VALUES = (
    [3, -1.5, None, True, "text", 10**20, math.inf, math.nan],
    {"a": (1, {2, 3}), 4: [frozenset({5}), b"\xff"]},
)
_TAGGED = (
    '{"i":"0xff"}', '{"c":[0.5,-0.0]}', '{"nt":["Point",["x","y"],[1,2]]}', '{"o":[0,"Thing"]}', '{"r":0}',
    '{"type":"int"}', '{"time":[1,2,3,4,null]}', '{"date":[2026,1,2]}', '{"datetime":[2026,1,2,3,4,5,6,3600.0]}',
    '{"timedelta":[1,2,3]}', '{"range":[0,9,2]}', '{"Fraction":[1,3]}', '{"Decimal":"1.5"}', '{"Counter":[["a",2]]}',
    '{"OrderedDict":[[1,2]]}', '{"defaultdict":[[1,2]]}', '{"deque":[3,[1,2]]}', '{"ba":"x"}', '{"s":[1,{"t":[2]}]}',
)  # fmt: skip
_REPLIES = ('["ok"]', '["v",3]', '["v",5]', '["v",0.75]', '["v",0]')
SEEDS: dict[str, tuple[bytes, ...]] = {
    "value": tuple(text.encode() for text in (*map(encode_text, _VALUES), *_TAGGED)),
    "replies": (
        "\n".join(_REPLIES).encode(),
        b'["ok"]\n["v",3]\n["e","E","ValueError","no",1]',
        b'["ok"]\n["v",{"o":[0,"E"]}]\n["h","0"]\n["x","too deep"]\n["s","no",1]',
        *(f'["ok"]\n["v",{tagged}]'.encode() for tagged in _TAGGED),
    ),
    "samples": (
        b'{"task_id": "Demo/check", "completion": "    return 1"}\n{"task_id": "Demo/call", "solution": "x"}\n',
        '\ufeff{"task_id": "Demo/check", "solution": "\\ud800 \u00e9", "other": [1e400, {"a": null}]}\r\n\n'.encode(),
        gzip.compress(b'{"task_id": "Demo/call", "solution": "x"}\n', mtime=0),
    ),
    "completion": (
        b"    return x + y\n",
        b"Sure:\n```python\ndef add(x, y):\n    '''```'''\n    return x + y\n```\n",
        b"```\n```py\n'''\n```\n\"\"\"\n```\n  ```c\n",
        b"\xff```\n",
        b"import os\nx = 1; y: int\n@x\nclass A:\n b = c\n\nasync def add(x, y):\n return A.b(x)  # c\n # d\n\ny = (",
        b"Try:\ntry:\n    add(\n'''a\nb'''\n[DONE]\n# it's\n```\ndef add(x, y):\n    f'{x}'\n\nadd.z = add\n<|/\n",
    ),
    "shown": (
        b"::error::x\r\n##[add-mask]",
        b"<script>[x](javascript:y)|`z` @user #1 www.x.y",
        b"\x1b[2J\x07\xff\xc2\x9b",
    ),
}
_TAGS = (
    "i c b ba t d s f nt o r type time date datetime timedelta range Fraction Decimal Counter OrderedDict defaultdict"
)
_KEYS = "deque ok v e x h task_id completion solution Demo/check Demo/call"
_SIGNS = "``` ```python def::: ::error:: ##[ 1e999 NaN Infinity \\ud800 ''' [[[[[[[["
# Texts that a fuzzer is not likely to find by itself.
WORDS = (*(f'"{word}"' for text in (_TAGS, _KEYS) for word in text.split()), *_SIGNS.split(), "9" * 40)
