"""Tier 2: two steps, or a condition: one comprehension inside one call, or one `if`."""

from __future__ import annotations

from dataclasses import dataclass

from harness.benchmarks.ladder import easy
from harness.benchmarks.ladder.drafts import Draft, Families, arguments, indented, lines
from harness.benchmarks.ladder.draw import Draw
from harness.benchmarks.ladder.phrases import (
    CHARACTER_CHANGES,
    CHARACTER_CONDITIONS,
    NUMBER_CHANGES,
    NUMBER_CONDITIONS,
    WORD_CHANGES,
    WORD_CONDITIONS,
    Change,
    Condition,
    fill,
    used_argument,
)

_ARGUMENT_SHARE = 0.25
_QUESTION_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Source:
    """Where values come from, one after the other: "the `plural`", in code `name` for `name` in `code`."""

    plural: str
    single: str
    name: str
    code: str
    argument: str
    conditions: tuple[Condition, ...]
    changes: tuple[Change, ...]


NUMS = Source("numbers in nums", "number in nums", "x", "nums", "nums", NUMBER_CONDITIONS, NUMBER_CHANGES)
RANGE = Source(
    "numbers from 1 to n", "number from 1 to n", "x", "range(1, n + 1)", "n", NUMBER_CONDITIONS, NUMBER_CHANGES
)
WORDS = Source("words in words", "word in words", "w", "words", "words", WORD_CONDITIONS, WORD_CHANGES)
TEXT = Source("characters in text", "character in text", "c", "text", "text", CHARACTER_CONDITIONS, CHARACTER_CHANGES)

# How values become one: sentence and code; `@these` are the values, `@all` their list in code.
_NUMBER_GATHERS = {
    "sum": ("the sum of @these", "sum(@all)"),
    "count": ("the count of @these", "len(@all)"),
    "largest": ("the largest of @these, or 0 if none", "max(@all, default=0)"),
    "smallest": ("the smallest of @these, or 0 if none", "min(@all, default=0)"),
}
_LIST_GATHERS = {
    "list": ("a list of @these", "@all"),
    "reversed": ("a list of @these, in reverse order", "@all[::-1]"),
    "sorted": ("a list of @these, sorted", "sorted(@all)"),
    "falling": ("a list of @these, sorted in descending order", "sorted(@all, reverse=True)"),
    "distinct": ("a list of @these, without repeats", "list(dict.fromkeys(@all))"),
    "cut": ("a list of the first 2 of @these", "@all[:2]"),
    "end": ("a list of the last 2 of @these", "@all[-2:]"),
}
_TEXT_GATHERS = {
    "dash": ("@these, joined by '-'", "'-'.join(@all)"),
    "comma": ("@these, joined by ','", "','.join(@all)"),
    "plain": ("@these, joined as one text", "''.join(@all)"),
}
_COUNT = {"count": _NUMBER_GATHERS["count"]}
_GATHERS = {
    "x": (_NUMBER_GATHERS, _LIST_GATHERS),
    "w": (_COUNT, _LIST_GATHERS, _TEXT_GATHERS),
    "c": (_COUNT, _LIST_GATHERS, _TEXT_GATHERS),
}
_QUESTIONS = {
    "any": ("whether any @single", "any(@test for @x in @code)"),
    "every": ("whether every @single", "all(@test for @x in @code)"),
    "no": ("whether no @single", "not any(@test for @x in @code)"),
}


def _where(family: str, source: Source, draw: Draw) -> Draft | None:
    """Values that meet a condition, gathered."""
    condition = fill(draw, draw.one_of(source.conditions), draw.chance(_ARGUMENT_SHARE))
    if draw.chance(_QUESTION_SHARE):
        return _question(family, source, condition, draw)
    gathers = draw.one_of(_GATHERS[source.name])
    key = draw.one_of(tuple(gathers))
    words, code = gathers[key]
    values = f"[{source.name} for {source.name} in {source.code} if {condition.on(source.name)}]"
    return Draft(
        family=f"medium-{family}",
        choices=(key, condition.key),
        name=f"{family}_where",
        arguments=arguments((source.argument,), used_argument(condition)),
        sentence=f"Return {words.replace('@these', f'the {source.plural} that {condition.plural}')}.",
        body=f"return {code.replace('@all', values)}",
    )


def _question(family: str, source: Source, condition: Condition, draw: Draw) -> Draft:
    key = draw.one_of(tuple(_QUESTIONS))
    words, code = _QUESTIONS[key]
    code = code.replace("@test", condition.on(source.name)).replace("@x", source.name).replace("@code", source.code)
    return Draft(
        family=f"medium-{family}",
        choices=(key, condition.key),
        name=f"{family}_where",
        arguments=arguments((source.argument,), used_argument(condition)),
        sentence=f"Return {words.replace('@single', source.single)} {condition.single}.",
        body=f"return {code}",
    )


def _each(family: str, source: Source, draw: Draw) -> Draft | None:
    """Values changed one by one, gathered."""
    gathers = draw.one_of(_GATHERS[source.name])
    key = draw.one_of(tuple(gathers))
    change = fill(draw, draw.one_of(source.changes), draw.chance(_ARGUMENT_SHARE))
    if key == "count":
        return None
    words, code = gathers[key]
    values = f"[{change.on(source.name)} for {source.name} in {source.code}]"
    return Draft(
        family=f"medium-{family}",
        choices=("each", key, change.key),
        name=f"{family}_each",
        arguments=arguments((source.argument,), used_argument(change)),
        sentence=f"Return {words.replace('@these', f'the {source.plural}, each {change.words}')}.",
        body=f"return {code.replace('@all', values)}",
    )


def _numbers(draw: Draw) -> Draft | None:
    return draw.one_of((_where, _each))("numbers", NUMS, draw)


def _range(draw: Draw) -> Draft | None:
    return draw.one_of((_where, _each))("range", RANGE, draw)


def _words(draw: Draw) -> Draft | None:
    return draw.one_of((_where, _each))("words", WORDS, draw)


def _characters(draw: Draw) -> Draft | None:
    return draw.one_of((_where, _each))("letters", TEXT, draw)


# What an `if` may ask about, and what it may return: values of the same arguments.
_Results = tuple[Change | easy.Operand, ...]
_SUBJECTS: tuple[tuple[str, _Results], ...] = (
    ("m", NUMBER_CHANGES),
    ("n", NUMBER_CHANGES),
    ("text", easy.TEXTS),
    ("word", easy.TEXTS),
    ("nums", easy.NUMBER_LISTS),
    ("words", easy.WORD_LISTS),
)


def _either(draw: Draw) -> Draft | None:
    argument, results = draw.one_of(_SUBJECTS)
    numbers = tuple(one for one in easy.NUMBERS if one.arguments == (argument,))
    subject = easy.operand(draw, numbers)
    condition = fill(draw, draw.one_of(NUMBER_CONDITIONS), draw.chance(_ARGUMENT_SHARE))
    one, two = (_result(draw, argument, item) for item in draw.two_of(results))
    if one is None or two is None:
        return None
    return Draft(
        family="medium-either",
        choices=(subject.key, argument, condition.key, one[0], two[0]),
        name="either",
        arguments=arguments((argument,), used_argument(condition)),
        sentence=f"Return {one[1]} if {subject.words} {condition.single}, otherwise {two[1]}.",
        body=lines(f"if {condition.on(subject.code)}:", indented(f"return {one[2]}"), f"return {two[2]}"),
    )


def _result(draw: Draw, argument: str, item: Change | easy.Operand) -> tuple[str, str, str] | None:
    """Return key, words and code of a value that an `if` returns, or None if it takes another argument."""
    if isinstance(item, Change):
        change = fill(draw, item)
        return change.key, f"{argument} {change.words}", change.on(argument)
    if item.arguments not in ((argument,), ()):
        return None
    value = easy.operand(draw, (item,))
    return value.key, value.words, value.code


FAMILIES: Families = {
    "medium-numbers": _numbers,
    "medium-range": _range,
    "medium-words": _words,
    "medium-letters": _characters,
    "medium-either": _either,
}
