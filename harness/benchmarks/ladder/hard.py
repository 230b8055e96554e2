"""Tier 3: a loop with a condition and a change, or two conditions, most with an argument for a number."""

from __future__ import annotations

from collections.abc import Sequence

from harness.benchmarks.ladder import loops
from harness.benchmarks.ladder.drafts import Draft, Families, lines
from harness.benchmarks.ladder.draw import Draw
from harness.benchmarks.ladder.loops import Gather, are_alike, body, draft, one_argument, when
from harness.benchmarks.ladder.medium import NUMS, WORDS, Source
from harness.benchmarks.ladder.phrases import (
    CHARACTER_CHANGES,
    CHARACTER_CONDITIONS,
    DIGIT_CONDITIONS,
    INDEX_CONDITIONS,
    NUMBER_CHANGES,
    NUMBER_CONDITIONS,
    Change,
    fill,
)

_ARGUMENT_SHARE = 0.6
_DIGITS = Source("digits of n", "digit of n", "x", "map(int, str(n))", "n", DIGIT_CONDITIONS, NUMBER_CHANGES)
_RELATIONS = {"greater than": ">", "less than": "<", "equal to": "==", "different from": "!="}


def _fold(family: str, source: Source, gathers: Sequence[Gather], draw: Draw) -> Draft | None:
    """Values that meet a condition, changed and gathered."""
    gather = draw.one_of(gathers)
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    condition = fill(draw, draw.one_of(source.conditions), first)
    change = fill(draw, draw.one_of(source.changes), second)
    these = f"the {source.plural} that {condition.plural}, each {change.words}"
    step = when(condition.on(source.name), gather.on(change.on(source.name)))
    code = body(gather, f"for {source.name} in {source.code}:", step)
    name = f"fold_{family}"
    return draft(
        "hard", name, (gather.key,), (source.argument,), (condition, change), f"Return {gather.said(these)}.", code
    )


def _both(family: str, source: Source, gathers: Sequence[Gather], draw: Draw) -> Draft | None:
    """Values that meet two conditions, or one of two, gathered."""
    gather = draw.one_of((*gathers, loops.COUNT))
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    one, two = (
        fill(draw, condition, argument)
        for condition, argument in zip(draw.two_of(source.conditions), (first, second), strict=True)
    )
    if are_alike(one, two):
        return None
    word = draw.one_of(("and", "or"))
    these = f"the {source.plural} that {one.plural} {word} {two.plural}"
    step = when(f"{one.on(source.name)} {word} {two.on(source.name)}", gather.on(source.name))
    code = body(gather, f"for {source.name} in {source.code}:", step)
    name = f"both_{family}"
    return draft(
        "hard", name, (gather.key, word), (source.argument,), (one, two), f"Return {gather.said(these)}.", code
    )


def _fold_numbers(draw: Draw) -> Draft | None:
    return _fold("numbers", NUMS, loops.NUMBER_GATHERS, draw)


def _fold_words(draw: Draw) -> Draft | None:
    return _fold("words", WORDS, loops.WORD_GATHERS, draw)


def _fold_digits(draw: Draw) -> Draft | None:
    return _fold("digits", _DIGITS, loops.NUMBER_GATHERS, draw)


def _both_numbers(draw: Draw) -> Draft | None:
    return _both("numbers", NUMS, loops.NUMBER_GATHERS, draw)


def _both_words(draw: Draw) -> Draft | None:
    return _both("words", WORDS, loops.WORD_GATHERS, draw)


def _swap(draw: Draw) -> Draft | None:
    """All numbers, some changed in one way and the others in another."""
    gather = draw.one_of((loops.SUM, loops.LIST))
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    condition = fill(draw, draw.one_of(NUMBER_CONDITIONS), first)
    one, two = draw.two_of(NUMBER_CHANGES)
    yes, no = fill(draw, one, second), fill(draw, two)
    these = f"nums, with each number that {condition.single} {yes.words} and each other one {no.words}"
    code = body(gather, "for x in nums:", when(condition.on("x"), gather.on(yes.on("x")), gather.on(no.on("x"))))
    sentence = f"Return {'the sum of ' if gather is loops.SUM else ''}{these}."
    return draft("hard", "swap_numbers", (gather.key,), ("nums",), (condition, yes, no), sentence, code)


def _swap_letters(draw: Draw) -> Draft | None:
    """A text, some characters changed in one way and the others in another, left out or kept."""
    gather = draw.one_of((loops.TEXT, loops.FRONT))
    condition = fill(draw, draw.one_of(CHARACTER_CONDITIONS))
    yes = fill(draw, draw.one_of(CHARACTER_CHANGES))
    kept, dropped = Change(key="kept", words="kept", code="@x"), Change(key="dropped", words="left out", code="")
    no = fill(draw, draw.one_of((*CHARACTER_CHANGES, kept, dropped, kept, dropped)))
    if are_alike(yes, no) or (condition.key == "digit" and yes.key == "upper"):
        return None
    otherwise = "" if no is dropped else gather.on(no.on("c"))
    code = body(gather, "for c in text:", when(condition.on("c"), gather.on(yes.on("c")), otherwise))
    words = f"text with each character that {condition.single} {yes.words} and each other one {no.words}"
    sentence = f"Return {words}{', reversed' if gather is loops.FRONT else ''}."
    if gather is loops.FRONT and {yes.key, no.key} & {"after", "before"}:
        return None  # whether a mark is turned round as well would not be clear
    return draft("hard", "swap_letters", (gather.key,), ("text",), (condition, yes, no), sentence, code)


def _index(draw: Draw) -> Draft | None:
    """Numbers that meet a condition at places that meet another."""
    gather = draw.one_of((*loops.NUMBER_GATHERS, loops.COUNT))
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    condition = fill(draw, draw.one_of(NUMBER_CONDITIONS), first)
    place = fill(draw, draw.one_of(INDEX_CONDITIONS), second)
    these = f"the numbers in nums that {place.plural} and {condition.plural}"
    step = when(f"{place.on('i')} and {condition.on('x')}", gather.on("x"))
    code = body(gather, "for i, x in enumerate(nums):", step)
    return draft("hard", "index", (gather.key,), ("nums",), (place, condition), f"Return {gather.said(these)}.", code)


def _before(draw: Draw) -> Draft | None:
    """Numbers that meet a condition and stand in a relation to the one before."""
    gather = draw.one_of((*loops.NUMBER_GATHERS, loops.COUNT))
    condition = fill(draw, draw.one_of(NUMBER_CONDITIONS), draw.chance(_ARGUMENT_SHARE))
    word, sign = draw.one_of(tuple(_RELATIONS.items()))
    these = f"the numbers in nums that {condition.plural} and {word} the number before them"
    step = when(f"x {sign} nums[i - 1] and {condition.on('x')}", gather.on("x"))
    code = body(gather, "for i in range(1, len(nums)):", lines("x = nums[i]", step))
    return draft("hard", "before", (gather.key, word), ("nums",), (condition,), f"Return {gather.said(these)}.", code)


def _until(draw: Draw) -> Draft | None:
    """Numbers changed and gathered up to a stop."""
    gather = draw.one_of(loops.NUMBER_GATHERS)
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    condition = fill(draw, draw.one_of(NUMBER_CONDITIONS), first)
    change = fill(draw, draw.one_of(NUMBER_CHANGES), second)
    step = lines(when(condition.on("x"), "break"), gather.on(change.on("x")))
    sentence = f"Take the numbers in nums as long as none {condition.single}. "
    sentence += f"Return {gather.said(f'these, each {change.words}')}."
    code = body(gather, "for x in nums:", step)
    return draft("hard", "until", (gather.key,), ("nums",), (condition, change), sentence, code)


FAMILIES: Families = {
    "hard-fold_numbers": _fold_numbers,
    "hard-fold_words": _fold_words,
    "hard-fold_digits": _fold_digits,
    "hard-both_numbers": _both_numbers,
    "hard-both_words": _both_words,
    "hard-swap_numbers": _swap,
    "hard-swap_letters": _swap_letters,
    "hard-index": _index,
    "hard-before": _before,
    "hard-until": _until,
}
