"""Attacks on whoever looks at results: markup, formulas, templates and commands of CI runners in answers and names.

Each function returns what should not be; nothing where it was held off.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from click import ClickException

from harness.evaluation import EvalConfig, evaluate
from harness.gate_output import annotation_text, log_text, markdown_text

Documents = Callable[[], dict[str, str]]
_PRODUCT = "62615533"
_TEMPLATE = "{{7919*7907}}{%print(7919*7907)%}${7919*7907}"  # what a template makes the product of
_NASTY = (
    "</pre><script>pwn(1)</script><img src=x onerror=pwn(2)>|`x`[y](javascript:pwn(3))=cmd()\n::error::x\r\x1b[2J\x07"
    + _TEMPLATE
)
_NASTY_NAME = "=cmd()<script>pwn(4)<img src=x onerror=pwn(5)>|[y](javascript:pwn(6))" + _TEMPLATE
_FORMULA = tuple("=+-@\t\r")  # how spreadsheets tell a formula


def marked() -> list[str]:
    """Return what is markup still, once it was made inert for Markdown and annotations."""
    problems = []
    for form in (markdown_text, annotation_text):
        text = form(_NASTY)
        if "\n" in text or "\x1b" in text or (form is markdown_text and (_has_elements(text) or _has_links(text))):
            problems.append(f"{form.__name__}: {text!r}")
    return problems


def _has_elements(text: str) -> bool:
    return any(mark in text for mark in ("<script>pwn", "<img src=x", "\x1b"))


def _has_links(text: str) -> bool:
    return "](javascript" in text.replace("\\]", "")


def documents_of(sandbox: str, folder: Path, tasks: Path) -> dict[str, str]:
    """Evaluate a nasty answer in a file of a nasty name; return all that is made to be read of it, by file name."""
    samples, run, out = folder / f"{_NASTY_NAME}.jsonl", folder / "run", folder / "shown"
    samples.write_text(
        json.dumps({"task_id": "Own/0", "solution": f"def add(x, y):\n    return {_NASTY!r}\n# {_NASTY}"})
    )
    evaluate(EvalConfig(tasks=(str(tasks),), out=run, samples=samples, sandbox=sandbox, workers=1))
    out.mkdir()
    for page in entry_points(group="harness.pages", name="run"):
        with contextlib.suppress(ClickException):  # its templates may not be installed: then there is no page to attack
            page.load()(run, out / "page.html", None, None)
    for command in entry_points(group="harness.commands", name="leaderboard"):
        with contextlib.suppress(ClickException), contextlib.redirect_stdout(io.StringIO()):
            command.load().main([str(run), "--out", str(out / "board")], standalone_mode=False)
    return {path.name: path.read_text(encoding="utf-8") for path in out.rglob("*") if path.is_file()}


def shown(documents: Documents) -> list[str]:
    """Return the documents in which markup is markup, and formulas are formulas."""
    problems = []
    for name, text in documents().items():
        if name.endswith((".html", ".md")) and (_has_elements(text) or (name.endswith(".md") and _has_links(text))):
            problems.append(f"{name}: markup of an answer or a name")
        if name.endswith(".csv"):
            cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
            problems += [f"{name}: {cell!r}" for cell in cells if cell.startswith(_FORMULA) and not _is_number(cell)]
    return problems


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def templates(documents: Documents) -> list[str]:
    """Return the documents in which a template was filled in."""
    return [f"{name}: a template was filled in" for name, text in documents().items() if _PRODUCT in text]


def log() -> list[str]:
    """Return what CI runners would take for a command, once it was made inert for logs and annotations."""
    problems = []
    for name in ("error", "add-mask", "stop-commands", "set-output"):
        for text in (f"::{name}::x", f"\n::{name}::x\r::{name}::y", f"##[{name}]", f"##vso[{name}]\x1b[2J"):
            for form in (log_text, annotation_text):
                line = form(text)
                if line.startswith("::") or "##[" in line or "##vso[" in line or not line.isprintable():
                    problems.append(f"{form.__name__}: {line!r}")
    return problems
