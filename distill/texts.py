"""What a model is trained on, as texts with the programs in them, whoever wrote them and in whatever format.

Covers reading lines of JSON and finding Python in them. Nothing is run here, and nothing that is no Python is lost: it
is compared as text.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.lessons import Lesson
from harness import UsageError

MAX_PROGRAM_CHARACTERS = 200_000
_FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
_DEFINITION = re.compile(r"(?:async[ \t]+def|def|class|import|from)[ \t]|@\w")
FORMATS = '"messages", "text", or "prompt" with "completion"'


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingText:
    """One text to train on. `programs` are the pieces of it that are Python; `question` is the id of its task, if any.

    `name` is unique among the texts that are checked together.
    """

    name: str
    text: str
    programs: tuple[str, ...]
    question: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFile:
    """A file of training texts, one a line. `lines` are its lines as they stand; `digest` is the file's SHA-256."""

    texts: tuple[TrainingText, ...]
    lines: tuple[bytes, ...]
    digest: str


def text_of_lesson(lesson: Lesson) -> TrainingText:
    """Return a lesson as a training text, its faulty side as well: what is learnt as wrong may be a test's solution.

    Each program stands by itself, as it was judged: a wrong one before it must not keep the right one from running.
    """
    sides = [lesson.completion, *([lesson.fault.completion] if lesson.fault else [])]
    found = dict.fromkeys(program for judged in lesson.programs for program in programs_in(judged))
    return TrainingText(
        name=f"{lesson.run}/{lesson.task_id}[{lesson.sample_index}]" + (" mended" if lesson.mends else ""),
        text="\n".join(lesson.prompt + side for side in sides),
        programs=tuple(found),
        question=lesson.task_id,
    )


def read_texts(path: Path) -> TrainingFile:
    """Read a file with one JSON object a line: a conversation, a text, or a prompt and what follows it.

    Other columns are looked at for an id ("task_id", "id") alone. Raises UsageError that names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    texts = []
    lines = [line for line in content.splitlines(keepends=True) if line.strip()]
    for number, line in enumerate(lines, 1):
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{place}: not valid JSON ({error})") from error
        if not isinstance(row, dict):
            raise UsageError(f"{place}: expected a JSON object")
        parts = list(_parts(row, place))
        question = row.get("task_id", row.get("id", ""))
        label = f": {question}" if isinstance(question, str | int) and question != "" else ""
        found = dict.fromkeys(program for part in ("".join(parts), *parts) for program in programs_in(part))
        texts.append(
            TrainingText(
                name=f"line {number}{label}"[:200],
                text="\n".join(parts),
                programs=tuple(found),
                question=question if isinstance(question, str) else "",
            )
        )
    return TrainingFile(texts=tuple(texts), lines=tuple(lines), digest=hashlib.sha256(content).hexdigest())


def _parts(row: Mapping[str, Any], place: str) -> Iterator[str]:
    """Yield what a model reads and learns of a row, in order."""
    values: list[Any] = []
    if "messages" in row:
        values = _contents(row["messages"])
    elif "text" in row:
        values = [row["text"]]
    elif "prompt" in row and "completion" in row:
        values = [*_contents(row["prompt"]), *_contents(row["completion"])]
    else:
        raise UsageError(f"{place}: needs {FORMATS}")
    if not values:
        raise UsageError(f"{place}: there is no text in it")
    for value in values:
        if not isinstance(value, str):
            raise UsageError(f"{place}: a text is missing, or is no string")
        yield value


def _contents(value: Any) -> list[Any]:
    """Return the texts of messages, or the one text; a prompt may be either (TRL's conversational form)."""
    if isinstance(value, list):
        return [message.get("content") if isinstance(message, dict) else None for message in value]
    return [value]


def programs_in(text: str) -> tuple[str, ...]:
    """Return the Python in a text: blocks between fences, and all of it, or else the definitions outside of them.

    A fence may stand in a docstring, with a program around it. Takes linear time.
    """
    text = text.replace("\r\n", "\n")
    found = []
    outside = []
    end = 0
    for block in _FENCE.finditer(text) if "```" in text else ():
        program = textwrap.dedent(block[1])
        if tree_of(program) is not None:
            found.append(program)
            outside.append(text[end : block.start()])
            end = block.end()
    if tree_of(text) is not None:
        found.append(text)
    else:
        found.append("\n".join(_definitions("".join([*outside, text[end:]]))))
    return tuple(program for program in dict.fromkeys(one.strip("\n") for one in found) if "def " in program)


def _definitions(text: str) -> Iterator[str]:
    """Yield the definitions and imports of a text that begin a line and are Python each by itself."""
    block: list[str] = []
    for line in [*text.split("\n"), "end"]:
        starts = _DEFINITION.match(line) is not None
        if block and not starts and (not line.strip() or line[0] in " \t)]}#"):
            block.append(line)
            continue
        if block and block[-1].startswith("@"):  # a decorator belongs to what follows
            block.append(line)
            continue
        if block and tree_of("\n".join(block)) is not None:
            yield "\n".join(block)
        block = [line] if starts else []


def tree_of(program: str) -> ast.Module | None:
    """Return a program's syntax tree, or None for what is no Python, or more than anybody learns from."""
    if len(program) > MAX_PROGRAM_CHARACTERS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # others' regular expressions without r"" are no news
        try:
            return ast.parse(program)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def digest_of_texts(texts: Iterable[TrainingText]) -> str:
    """Return the SHA-256 over names and texts."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(json.dumps([text.name, text.text]).encode() + b"\n")
    return digest.hexdigest()
