"""Families of tier 4 with a loop in a loop: rows of a table, letters of words, pairs of numbers."""

from __future__ import annotations

from harness.benchmarks.ladder import loops
from harness.benchmarks.ladder.drafts import Draft, Families, indented, lines
from harness.benchmarks.ladder.draw import Draw
from harness.benchmarks.ladder.loops import draft, one_argument, when
from harness.benchmarks.ladder.phrases import (
    CHARACTER_CONDITIONS,
    INDEX_CONDITIONS,
    NUMBER_CHANGES,
    NUMBER_CONDITIONS,
    Change,
    Condition,
    fill,
)

_ARGUMENT_SHARE = 0.5


def _finish(draw: Draw) -> tuple[Condition | None, str, str, str]:
    """Return how a list `out` of numbers becomes the value returned: a condition or None, key, words, code."""
    condition = fill(draw, draw.one_of(NUMBER_CONDITIONS))
    those = f"[t for t in out if {condition.on('t')}]"
    return draw.one_of(
        (
            (None, "largest", "the largest of these, or 0 if none", "max(out, default=0)"),
            (None, "distinct", "the count of different values of these", "len(set(out))"),
            (None, "sorted", "a list of these, sorted", "sorted(out)"),
            (condition, "list", f"a list of those that {condition.plural}", those),
            (condition, "sum", f"the sum of those that {condition.plural}", f"sum({those})"),
            (condition, "count", f"the count of those that {condition.plural}", f"len({those})"),
        )
    )


def _rows(draw: Draw) -> Draft | None:
    """A value of each row, and a value of those."""
    inner = draw.one_of((loops.SUM, loops.PRODUCT, loops.COUNT))
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    condition = fill(draw, draw.one_of(NUMBER_CONDITIONS), first)
    change = fill(draw, draw.one_of(NUMBER_CHANGES), second)
    last, key, words, result = _finish(draw)
    these = f"its numbers that {condition.plural}"
    phrases: list[Condition | Change] = [condition]
    if inner is not loops.COUNT:
        these += f", each {change.words}"
        phrases.append(change)
    taken = inner.said(these).replace(", or 1 if none", " (1 if none)")
    row = lines(inner.start, "for x in row:", indented(when(condition.on("x"), inner.on(change.on("x")))))
    body = lines(
        "out = []", "for row in rows:", indented(lines(row, f"out.append({inner.result})")), f"return {result}"
    )
    sentence = lines(f"For each row of rows take {taken}.", f"Return {words}.")
    keys = (inner.key, key, last.key if last else "")
    return draft("expert", "each_row", keys, ("rows",), phrases, sentence, body)


def _letters(draw: Draw) -> Draft | None:
    """How many letters of each word meet a condition, and a value of those counts."""
    source, code = draw.one_of((("words", "words"), ("text", "text.split()")))
    unfit = ("unspace",) if source == "text" else ("unspace", "digit", "letter")
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    condition = fill(draw, draw.one_of([one for one in CHARACTER_CONDITIONS if one.key not in unfit]), first)
    last, key, words, result = _finish(draw)
    phrases: list[Condition | Change] = [condition]
    these, loop, test = condition.plural, "for c in w:", condition.on("c")
    if draw.chance(0.7):
        place = fill(draw, draw.one_of(INDEX_CONDITIONS), second)
        phrases.append(place)
        these, loop, test = f"{these} and {place.plural}", "for i, c in enumerate(w):", f"{test} and {place.on('i')}"
    word = lines("count = 0", loop, indented(when(test, "count += 1")), "out.append(count)")
    body = lines("out = []", f"for w in {code}:", indented(word), f"return {result}")
    letters = "letters" if source == "words" else "characters"
    sentence = lines(f"For each word of {source} take the count of its {letters} that {these}.", f"Return {words}.")
    return draft("expert", "letters", (source, key, last.key if last else ""), (source,), phrases, sentence, body)


_PAIRED = (("sum", "x + y"), ("product", "x * y"), ("larger", "max(x, y)"), ("smaller", "min(x, y)"))


def _pairs(draw: Draw) -> Draft | None:
    """A value of every pair, those that meet a condition changed and gathered."""
    key, code = draw.one_of(_PAIRED)
    gather = draw.one_of((loops.SUM, loops.LIST, loops.LARGEST, loops.COUNT))
    first, second = one_argument(draw, _ARGUMENT_SHARE)
    condition = fill(draw, draw.one_of(NUMBER_CONDITIONS), first)
    change = fill(draw, draw.one_of(NUMBER_CHANGES), second)
    phrases: list[Condition | Change] = [condition]
    these = f"those that {condition.plural}"
    if gather is not loops.COUNT:
        these += f", each {change.words}"
        phrases.append(change)
    step = lines(f"t = {code}", when(condition.on("t"), gather.on(change.on("t"))))
    body = lines(
        gather.start,
        "for i, x in enumerate(nums):",
        indented(lines("for y in nums[i + 1:]:", indented(step))),
        f"return {gather.result}",
    )
    sentence = lines(f"Take the {key} of each number in nums and each later one.", f"Return {gather.said(these)}.")
    return draft("expert", "pairs", (key, gather.key), ("nums",), phrases, sentence, body)


NESTED: Families = {"expert-each_row": _rows, "expert-letters": _letters, "expert-pairs": _pairs}
