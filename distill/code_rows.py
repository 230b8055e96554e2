"""Snippets of code as rows for the encoder's trainings: contexts, pairs of description and function, and clones."""

from __future__ import annotations

import builtins
import keyword
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from distill.code_data import Snippet
from distill.code_sources import by_package
from distill.encoder_input import packed, packed_texts, text_tokens
from distill.encoder_objectives import LabelledRow, PairedRows
from harness import UsageError

_WORD = re.compile(r"\b[A-Za-z_]\w+\b", re.ASCII)
_KEPT = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "self", "cls"})
_NAMED = re.compile(r"\b(?:class|def|func|function)[ \t]+([A-Za-z_]\w+)", re.ASCII)
_FREQUENT = 2  # a word that stands so often in a snippet is one that it is known by
_CLONES, _PAIRS = "data.jsonl", "train.txt"


def context_rows(
    tokenizer: Any, snippets: Sequence[Snippet], each: int, max_length: int, chance: random.Random
) -> list[LabelledRow]:
    """Return a row of `each` snippets for every snippet there is: with probability 1/2 all of its repository (1).

    Otherwise all are of different ones (0). A package with fewer snippets than that has rows of 0 alone. With `each` 1
    rows have no label. Raises UsageError where there are fewer repositories than snippets in a row.
    """
    tokens = text_tokens(tokenizer, [one.code for one in snippets], max_length)
    if each == 1:
        return [LabelledRow(tokens=packed(tokenizer, [one], max_length), label=None) for one in tokens]
    members = by_package(snippets)
    if len(members) < each:
        raise UsageError(f"{len(members)} repositories, and a row of other ones takes {each}: give more code")
    rows = []
    for place, one in enumerate(snippets):
        own = members[one.package]
        same = len(own) >= each and chance.random() < 1 / 2
        if same:
            others = chance.sample([other for other in own if other != place], each - 1)
        else:
            packages = chance.sample([name for name in members if name != one.package], each - 1)
            others = [chance.choice(members[name]) for name in packages]
        parts = [tokens[which] for which in (place, *others)]
        rows.append(LabelledRow(tokens=packed(tokenizer, parts, max_length), label=int(same)))
    return rows


def pair_rows(
    tokenizer: Any,
    snippets: Sequence[Snippet],
    max_length: int,
    instructions: tuple[str | None, str | None],
    hard_negatives: bool,
    chance: random.Random,
    renamed: bool = True,
) -> list[PairedRows]:
    """Return a row for each snippet with a description, behind the instructions for each side if there are any.

    `{language}` in the latter is the snippet's. Its version with other names takes them from the other snippets; unless
    `renamed`, it is the snippet itself. A hard negative is its neighbour (`neighbours`).
    """
    asked, shown = instructions
    codes = altered = [one.code for one in snippets]
    if renamed:
        vocabulary = words_of(snippets)
        altered = [with_words_replaced(code, vocabulary, chance) for code in codes]
    queries = packed_texts(tokenizer, [one.description for one in snippets], max_length, asked)
    shown_codes = _packed_codes(tokenizer, snippets, codes, max_length, shown)
    sides = (shown_codes, _packed_codes(tokenizer, snippets, altered, max_length, shown) if renamed else shown_codes)
    near = neighbours(snippets) if hard_negatives else {}
    return [
        PairedRows(query=query, code=code, altered=other, wrong=sides[0][near[place]] if place in near else ())
        for place, (query, code, other) in enumerate(zip(queries, *sides, strict=True))
    ]


def neighbours(snippets: Sequence[Snippet]) -> dict[int, int]:
    """Return for each snippet the one of its package that is nearest in length, by place, so that size tells nothing.

    Those that are alone in their package have none.
    """
    found = {}
    for members in by_package(snippets).values():
        members.sort(key=lambda place: (len(snippets[place].code), place))
        for rank, place in enumerate(members):
            beside = members[max(0, rank - 1) : rank] + members[rank + 1 : rank + 2]
            if beside:
                own = len(snippets[place].code)
                found[place] = min(beside, key=lambda other: abs(len(snippets[other].code) - own))
    return found


def _packed_codes(
    tokenizer: Any, snippets: Sequence[Snippet], codes: Sequence[str], max_length: int, instruction: str | None
) -> list[tuple[int, ...]]:
    if instruction is None:
        return packed_texts(tokenizer, codes, max_length)
    asked = [instruction.replace("{language}", one.language) for one in snippets]
    before, behind = text_tokens(tokenizer, asked, max_length), text_tokens(tokenizer, codes, max_length)
    return [packed(tokenizer, parts, max_length) for parts in zip(before, behind, strict=True)]


def words_of(snippets: Sequence[Snippet]) -> list[str]:
    """Return the words of snippets that may be replaced, and be put in another's place, sorted."""
    return sorted({word for one in snippets for word in _WORD.findall(one.code)} - _KEPT)


def with_words_replaced(code: str, vocabulary: Sequence[str], chance: random.Random) -> str:
    """Return code in which each word that stands there more than once is another one of the vocabulary, everywhere.

    So is the name of a function or class, which often says all that a description does. Keywords and built-ins stay;
    two words never become one.
    """
    counts = Counter(_WORD.findall(code))
    named = set(_NAMED.findall(code))
    replaced = [word for word, count in counts.items() if word not in _KEPT and (count >= _FREQUENT or word in named)]
    free = [word for word in chance.sample(vocabulary, min(len(vocabulary), 2 * len(counts))) if word not in counts]
    others = dict(zip(replaced, free, strict=False))
    return _WORD.sub(lambda found: others.get(found[0], found[0]), code)


def clone_rows(
    tokenizer: Any, snippets: Sequence[Snippet], max_length: int, chance: random.Random
) -> list[LabelledRow]:
    """Return two rows for each snippet: with itself under other names (1, a type-2 clone), and with a neighbour (0).

    Snippets that are alone in their package have no rows.
    """
    vocabulary = words_of(snippets)
    texts: list[tuple[str, str, int]] = []
    for place, other in sorted(neighbours(snippets).items()):
        for label, second in ((1, place), (0, other)):
            renamed = with_words_replaced(snippets[second].code, vocabulary, chance)
            texts.append((snippets[place].code, renamed, label))
    return _labelled(tokenizer, texts, max_length)


def clone_rows_of_folder(tokenizer: Any, folder: Path, max_length: int) -> list[LabelledRow]:
    """Return the training pairs of a folder in the format of CodeXGLUE's BigCloneBench.

    `data.jsonl` has `idx` and `func` a line, `train.txt` two of these and 1 for clones, else 0. Raises UsageError for
    files that are missing or have something else in them.
    """
    try:
        rows = [msgspec.json.decode(line) for line in (folder / _CLONES).read_bytes().splitlines()]
        functions = {str(row["idx"]): str(row["func"]) for row in rows}
        texts = []
        for line in (folder / _PAIRS).read_text(encoding="utf-8").splitlines():
            first, second, label = line.split()
            texts.append((functions[first], functions[second], ("0", "1").index(label)))
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from error
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder}: {_CLONES} and {_PAIRS} are not as CodeXGLUE has them ({error})") from error
    return _labelled(tokenizer, texts, max_length)


def _labelled(tokenizer: Any, texts: Sequence[tuple[str, str, int]], max_length: int) -> list[LabelledRow]:
    firsts = text_tokens(tokenizer, [first for first, _, _ in texts], max_length)
    seconds = text_tokens(tokenizer, [second for _, second, _ in texts], max_length)
    return [
        LabelledRow(tokens=packed(tokenizer, parts, max_length), label=label)
        for *parts, (_, _, label) in zip(firsts, seconds, texts, strict=True)
    ]
