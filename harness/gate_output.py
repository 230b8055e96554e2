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
_LINKED = re.compile(r"@|#(?=\w)|:(?=//)|www(?=\.)", re.IGNORECASE)
_LEVELS = {
    GateOutcome.REGRESSED: "error",
    GateOutcome.NOT_VALID: "error",
    GateOutcome.INCONCLUSIVE: "warning",
    GateOutcome.PASSED: "notice",
}


def log_text(text: str) -> str:
    """Return text as a part of one log line, with nothing that a CI runner takes for a command.

    GitHub acts upon lines that begin with two colons and upon `##[` anywhere, Azure upon `##vso[`.
    """
    one_line = re.sub("#(?=#)", "# ", " ".join(clean(text).split()))
    return ": :" + one_line[2:] if one_line.startswith("::") else one_line


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is: on one line, with nothing that is a link, HTML, mention or table.

    What GitHub makes links of without any markup (addresses, @names, #numbers) gets a space of no width.
    """
    escaped = _MARKDOWN.sub(r"\\\1", " ".join(clean(text).split())).replace("\\<", "&lt;").replace("\\>", "&gt;")
    return _LINKED.sub("\\g<0>\u200b", escaped.replace("\\@", "@"))


def annotation_text(text: str) -> str:
    """Return text as data of a workflow command: on one line, without `::`, percent signs escaped."""
    return re.sub(":(?=:)", ": ", log_text(text)).replace("%", "%25")


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
    """Return text without what XML 1.0 cannot hold (`clean` leaves neither controls nor surrogates)."""
    return clean(text).translate({0xFFFE: None, 0xFFFF: None})


def _flipped(case: GateFinding) -> str:
    if not case.lost:
        return case.reason
    more = f" and {len(case.lost) - _LISTED} more" if len(case.lost) > _LISTED else ""
    return f"{case.reason}\nworse: {', '.join(case.lost[:_LISTED])}{more}"


def markdown(result: GateResult) -> str:
    """Return a step summary: the verdict, a table of findings, the tasks that flipped."""
    lines = [f"### {markdown_text(verdict_line(result))}", "", "| what | finding | why |", "|---|---|---|"]
    for case in result.findings:
        lines.append(f"| {markdown_text(case.subject)} | {case.outcome} | {markdown_text(case.reason)} |")
    for case in result.findings:
        for word, tasks in (("worse", case.lost), ("better", case.gained)):
            if tasks:
                listed = ", ".join(markdown_text(task) for task in tasks[:_LISTED])
                more = f" and {len(tasks) - _LISTED} more" if len(tasks) > _LISTED else ""
                lines += ["", f"{markdown_text(case.subject)}: {len(tasks)} tasks {word}: {listed}{more}"]
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
