"""Prompts are filled in exactly, whatever the texts."""

from __future__ import annotations

import re

import pytest

from distill.prompts import FIELDS, ErrorType, PromptName, digest_of_prompt, fence_for, fill


@pytest.mark.parametrize("name", PromptName)
def test_every_prompt_holds_its_fields_and_no_others(name: PromptName) -> None:
    values = {field: f"<<{field}>>" for field in FIELDS[name]}
    text = fill(name, values)
    assert all(value in text for value in values.values())
    assert "$" not in text
    assert len(digest_of_prompt(name)) == 64


@pytest.mark.parametrize("name", PromptName)
def test_fields_that_are_missing_or_unknown_are_refused(name: PromptName) -> None:
    values = dict.fromkeys(FIELDS[name], "text")
    with pytest.raises(ValueError, match="takes"):
        fill(name, {**values, "colour": "red"})
    with pytest.raises(ValueError, match="takes"):
        fill(name, dict.fromkeys(list(values)[1:], ""))


def test_what_looks_like_a_field_in_a_text_stays_as_it_is() -> None:
    hostile = "$instruction ${program} $$ {error} %s \ud800"
    text = fill(PromptName.ANSWER_FAULTY, {"instruction": hostile, "error": "$instruction"})
    assert r"$instruction ${program} $$ {error} %s \ud800" in text
    assert "of this type: $instruction" in text
    text.encode()


def test_the_faults_are_those_that_the_prompt_defines() -> None:
    text = fill(PromptName.ANSWER_FAULTY, {"instruction": "", "error": ""})
    assert re.findall(r"^- ([\w-]+):", text, re.MULTILINE) == list(ErrorType)


@pytest.mark.parametrize(("text", "length"), [("", 3), ("a ``` b", 4), ("`" * 9, 10), ("``` x ````", 5)])
def test_no_text_closes_its_fence(text: str, length: int) -> None:
    assert fence_for(text) == "`" * length
