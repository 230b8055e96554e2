"""The gate's forms of output: they say the same, and hostile names do nothing in any of them."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_runs import baseline, tasks

from harness.gate import GateFinding, GateOutcome, GateResult, GateRules, gate
from harness.gate_output import (
    annotation_text,
    junit,
    log_text,
    markdown,
    markdown_text,
    verdict_line,
    workflow_commands,
    write_summary,
)

HOSTILE = [
    "::error::owned",
    "  ::stop-commands::token",
    "ok\r\n::add-mask::secret",
    "ok\n::set-output name=x::y",
    "##[error]owned",
    "##vso[task.setvariable variable=x]y",
    "\x1b[2J\x1b[31mred\x07",
    "a | b | c\n|---|---|",
    "<script>alert(1)</script>",
    "</pre><img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "https://evil.example www.evil.example",
    "@everyone and @org/team, see #1 and org/repo#2",
    "`code` *bold* _it_ ~~no~~ $x$ &lt;b&gt;",
    "]]> <!-- --> &amp; %0A%0D",
    "\ud800 lone \ufffe \uffff \u202eright to left \u2028 line",
    "x" * 5000,
]


def result_named(name: str, outcome: GateOutcome = GateOutcome.REGRESSED) -> GateResult:
    finding = GateFinding(subject=name, outcome=outcome, reason=f"because {name}", lost=(name,), gained=(name, "fine"))
    return GateResult(findings=(finding,), rules=GateRules())


@pytest.mark.parametrize("name", HOSTILE)
def test_junit_is_xml_that_holds_the_text(name: str) -> None:
    suite = ElementTree.fromstring(junit(result_named(name)))
    assert (suite.tag, suite.get("failures"), len(suite)) == ("testsuite", "1", 1)
    failure = suite[0].find("failure")
    assert failure is not None
    assert suite[0].get("name")
    assert "\x1b" not in ElementTree.tostring(suite, encoding="unicode")


@pytest.mark.parametrize(
    ("outcome", "child"),
    [
        (GateOutcome.REGRESSED, "failure"),
        (GateOutcome.NOT_VALID, "error"),
        (GateOutcome.INCONCLUSIVE, "system-out"),
        (GateOutcome.PASSED, "system-out"),
    ],
)
def test_junit_has_an_element_for_every_outcome(outcome: GateOutcome, child: str) -> None:
    suite = ElementTree.fromstring(junit(result_named("toy", outcome)))
    assert [element.tag for element in suite[0]] == [child]
    assert suite.get("failures") == str(int(child == "failure"))
    assert suite.get("errors") == str(int(child == "error"))


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_keeps_its_lines_and_makes_nothing_of_a_name(name: str) -> None:
    text = markdown(result_named(name))
    plain = markdown(result_named("toy"))
    assert len(text.splitlines()) == len(plain.splitlines())
    for line in text.splitlines()[2:5]:
        assert len(re.findall(r"(?<!\\)\|", line)) == 4  # three cells, whatever is in them
    assert _Tags(text).tags == []
    assert not re.search(r"(?<!\\)\]\(", text)  # a link or picture
    assert not re.search(r"://|www\.|@\w|#\d", text)  # what GitHub links by itself
    assert not re.search(r"(?<!\\)[`*~$]", text)
    assert "\x1b" not in text
    assert "\r" not in text


def test_markdown_shows_plain_names_as_they_are() -> None:
    assert markdown_text("HumanEval/12, org/model@main: 3 < 4") == r"HumanEval/12, org/model@" "\u200bmain: 3 &lt; 4"


@pytest.mark.parametrize("name", HOSTILE)
def test_an_annotation_is_one_command_on_one_line(name: str) -> None:
    (command,) = workflow_commands(result_named(name))
    assert command.startswith("::error title=harness gate::")
    assert len(command.splitlines()) == 1
    assert "::" not in command.removeprefix("::error title=harness gate::")
    assert "\x1b" not in command


def test_annotations_have_a_level_for_every_outcome() -> None:
    levels = {outcome: workflow_commands(result_named("toy", outcome))[0].split()[0] for outcome in GateOutcome}
    assert levels == {
        GateOutcome.REGRESSED: "::error",
        GateOutcome.NOT_VALID: "::error",
        GateOutcome.INCONCLUSIVE: "::warning",
        GateOutcome.PASSED: "::notice",
    }


def test_percent_signs_reach_the_reader() -> None:
    assert annotation_text("at least 62.0%\nx") == "at least 62.0%25 x"


@pytest.mark.parametrize("name", [*HOSTILE, ":::error::x", "###[error]"])
def test_a_log_line_is_no_command_of_a_ci_runner(name: str) -> None:
    text = log_text(name)
    assert len(text.splitlines()) == 1
    assert not text.lstrip().startswith("::")
    assert not re.search(r"##\[|##vso\[", text)
    assert "\x1b" not in text


def test_a_summary_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n", encoding="utf-8")
    write_summary(result_named("\ud800 toy"), path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("before\n### gate: regressed\n")


def test_every_form_carries_the_same_verdict() -> None:
    for passed, word in ((100, "passed"), (97, "inconclusive"), (50, "regressed")):
        result = gate([baseline(tasks(passed, 100 - passed))], [baseline(tasks(100))], GateRules())
        assert verdict_line(result) == f"gate: {word}"
        assert f"### gate: {word}" in markdown(result)
        assert f"| {word} |" in markdown(result)
        assert f": {word}: " in workflow_commands(result)[0]
        failed = ElementTree.fromstring(junit(result)).get("failures")
        assert failed == str(int(result.exit_code == 1))


def test_long_lists_of_tasks_are_cut_with_their_number() -> None:
    result = gate([baseline(tasks(10, 90))], [baseline(tasks(100))], GateRules())
    assert "toy: 90 tasks worse: T/10, " in markdown(result)
    assert " and 70 more" in markdown(result)
    cut = replace(result.findings[0], lost=result.findings[0].lost[:20])
    assert "more" not in markdown(replace(result, findings=(cut,)))
