"""The gate's result in the forms that CI reads: JUnit XML, Markdown, GitHub annotations, a table.

Every text may be untrusted (model names, task ids of one's own): each form neutralises what it would act upon.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from harness.evidence import clean
from harness.gate import GateFinding, GateOutcome, GateResult

_LISTED = 20
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&@-])")
_LEVELS = {
    GateOutcome.REGRESSED: "error",
    GateOutcome.NOT_VALID: "error",
    GateOutcome.INCONCLUSIVE: "warning",
    GateOutcome.PASSED: "notice",
}


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is: on one line, with nothing that is a link, HTML, mention or table."""
    one_line = " ".join(clean(text).split())
    return _MARKDOWN.sub(r"\\\1", one_line).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\@", "@\u200b")


def annotation_text(text: str) -> str:
    """Return text as data of a workflow command: percent signs, line ends and separators escaped."""
    escaped = clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return escaped.replace("::", "%3A%3A")


def verdict_line(result: GateResult) -> str:
    """Return the verdict in one line; every form of output carries this one."""
    return f"gate: {result.outcome}"


def junit(result: GateResult) -> bytes:
    """Return JUnit XML: a test case per finding, failed if it regressed, an error if it is not valid."""
    cases = result.findings
    failed = sum(case.outcome is GateOutcome.REGRESSED for case in cases)
    errors = sum(case.outcome is GateOutcome.NOT_VALID for case in cases)
    suite = ElementTree.Element(
        "testsuite", name="harness gate", tests=str(len(cases)), failures=str(failed), errors=str(errors)
    )
    for case in cases:
        element = ElementTree.SubElement(suite, "testcase", classname="harness.gate", name=_xml(case.subject))
        if case.outcome is GateOutcome.REGRESSED:
            ElementTree.SubElement(element, "failure", message=_xml(case.reason)).text = _xml(_flipped(case))
        elif case.outcome is GateOutcome.NOT_VALID:
            ElementTree.SubElement(element, "error", message=_xml(case.reason))
        else:
            ElementTree.SubElement(element, "system-out").text = _xml(f"{case.outcome}: {case.reason}")
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)) + b"\n"


def _xml(text: str) -> str:
    return "".join(c for c in clean(text) if c == "\n" or c >= " ")


def _flipped(case: GateFinding) -> str:
    if case.comparison is None:
        return case.reason
    lost = case.comparison.lost
    more = f" and {len(lost) - _LISTED} more" if len(lost) > _LISTED else ""
    return f"worse: {', '.join(lost[:_LISTED])}{more}"


def markdown(result: GateResult) -> str:
    """Return a step summary: the verdict, a table of findings, the tasks that flipped."""
    lines = [f"### {markdown_text(verdict_line(result))}", "", "| what | finding | why |", "|---|---|---|"]
    for case in result.findings:
        lines.append(f"| {markdown_text(case.subject)} | {case.outcome} | {markdown_text(case.reason)} |")
    for case in result.findings:
        if case.comparison is None:
            continue
        for word, tasks in (("worse", case.comparison.lost), ("better", case.comparison.gained)):
            if tasks:
                listed = ", ".join(markdown_text(task) for task in tasks[:_LISTED])
                more = f" and {len(tasks) - _LISTED} more" if len(tasks) > _LISTED else ""
                lines += ["", f"{len(tasks)} tasks {word}: {listed}{more}"]
    return "\n".join(lines) + "\n"


def workflow_commands(result: GateResult) -> list[str]:
    """Return GitHub annotations, one per finding."""
    return [
        f"::{_LEVELS[case.outcome]} title=harness gate::"
        + annotation_text(f"{case.subject}: {case.outcome}: {case.reason}")
        for case in result.findings
    ]


def write_summary(result: GateResult, path: Path) -> None:
    """Append the step summary to a file, as `$GITHUB_STEP_SUMMARY` wants it."""
    with path.open("a", encoding="utf-8") as file:
        file.write(markdown(result))
