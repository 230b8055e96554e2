"""Code as data: what of a package is taken, that no test is among it, and the rows that are made of it."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    for package in ("torch", "transformers", "datasketch", "quickjs"):
        pytest.importorskip(package)

from distill.code_data import Snippet, Split, definitions, documented_functions, repositories_in, snippets_of, split_of
from distill.code_duplicates import signature_of, without_near_duplicates
from distill.code_rows import clone_rows, clone_rows_of_folder, context_rows, pair_rows, with_words_replaced, words_of
from distill.code_sources import CodeSources, code_data
from distill.code_translations import translations
from harness import HELD_OUT_PACKAGES, UsageError, load_benchmark
from tests.distill.made_encoders import small_encoder

pytestmark = pytest.mark.hf

MODULE = '''
import os

class Stack:
    """A pile of things."""

    def push(self, item):
        """Put an item on top.

        It is copied first.
        """
        # on top
        self.items.append(item)
        return self

def undocumented(a):
    b = a + 1
    return b

def short(a):
    """Say whether it is short."""
    return a

def test_push():
    """Check that push does it."""
    a = 1
    return a

async def fetch(url): "Get what is at a url."; return url
'''


def package(folder: Path, name: str, text: str = MODULE) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "module.py").write_text(text, encoding="utf-8")


def test_functions_with_a_docstring_are_taken_without_it(tmp_path: Path) -> None:
    package(tmp_path, "pile")
    package(tmp_path / "pile", "tests")
    (tmp_path / "pile" / "broken.py").write_text("def f(:\n", encoding="utf-8")
    (tmp_path / "pile" / "latin.py").write_bytes("# \xe9\ndef g(): ...".encode("latin-1"))
    (repository,) = repositories_in(str(tmp_path))
    found = list(documented_functions(repository))
    assert found == [
        Snippet(
            package="pile",
            place="module.py:7",
            code="def push(self, item):\n    # on top\n    self.items.append(item)\n    return self",
            description="Put an item on top.",
        )
    ]
    assert [one.code.split()[1] for one in definitions(repository)] == [
        *("Stack:", "undocumented(a):", "short(a):", "test_push():")
    ]


def test_the_standard_library_is_at_hand_and_what_is_tested_is_held_out() -> None:
    names = {one.name for one in repositories_in("stdlib")}
    assert names > {*HELD_OUT_PACKAGES, "argparse", "email"}
    assert not names & {"test", "site-packages"}
    assert {split_of(name) for name in HELD_OUT_PACKAGES} == {Split.TEST}
    assert {split_of(name) for name in names} == {*Split}
    assert [one.files[0].name for one in repositories_in("stdlib") if one.name == "argparse"] == ["argparse.py"]
    with pytest.raises(UsageError, match="no Python in /nowhere"):
        repositories_in("/nowhere")


def test_files_of_codesearchnets_format_are_read(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    row = {"repo": "a/b", "code": "function f(x) { return x }", "docstring": "Give x back.\n\nMore.", "language": "php"}
    path.write_text(json.dumps(row) + "\n" + json.dumps(row | {"docstring": ""}) + "\n", encoding="utf-8")
    (found,) = snippets_of([str(path)], documented=True)
    assert (found.package, found.description, found.language) == ("a/b", "Give x back.", "php")
    assert len(list(snippets_of([str(path)], documented=False))) == 2
    path.write_text('{"code": "x"}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="line 1: expected a JSON object with"):
        list(snippets_of([str(path)], documented=True))
    with pytest.raises(UsageError, match="cannot read"):
        list(snippets_of([str(tmp_path / "none.jsonl")], documented=True))


def test_near_duplicates_are_left_out_and_tests_come_first() -> None:
    text = "def area(width, height):\n    product = width * height\n    return product if product > 0 else None\n"
    near = text.replace("None", "0.0")
    assert signature_of(text).jaccard(signature_of(text.replace("    ", "\t"))) == 1.0
    dev = next(f"package{number}" for number in range(99) if split_of(f"package{number}") is Split.DEV)
    learnt = next(f"package{number}" for number in range(99) if split_of(f"package{number}") is Split.TRAIN)
    other = "class Colour:\n    red = 1\n    green = 2\n"
    given = [
        *(Snippet(package=learnt, place=place, code=code) for place, code in (("1", near), ("2", other))),
        *(Snippet(package=name, place="3", code=text) for name in (dev, HELD_OUT_PACKAGES[0])),
    ]
    assert [one.package for one in without_near_duplicates(given)] == [HELD_OUT_PACKAGES[0], learnt]
    assert len(list(without_near_duplicates(given[:1] + given[2:3], similarity=0.95))) == 2


@pytest.mark.slow
def test_nothing_to_train_on_is_nearly_in_a_test(tmp_path: Path) -> None:
    solved = load_benchmark("humaneval").tasks[0]
    body = solved.reference.removeprefix(solved.prompt).rstrip()
    copied = f'def close(numbers, threshold):\n    """Say whether any two numbers are close."""\n{body}\n'
    heap = next(one for one in repositories_in("stdlib") if one.name == "heapq").files[0].read_text(encoding="utf-8")
    package(tmp_path, "alpha", MODULE + copied.replace("close(", "near("))
    package(tmp_path, "heapq_backport", heap)
    package(tmp_path, "omega", MODULE.replace("push", "pop").replace("append(item)", "pop()"))
    package(tmp_path, "heapq", "def f(a):\n    '''Return the sum of it.'''\n    b = a\n    return b\n")
    found = code_data(CodeSources(sources=(str(tmp_path),)), documented=True)
    kept = {one.package: one.code for one in (*found.train, *found.dev)}
    assert set(kept) == {"alpha", "omega"}
    assert "threshold" not in "".join(kept.values())
    assert {leak.task_id for leak in found.leaks.leaks} == {"HumanEval/0"}
    assert found.duplicates > 5
    assert found.read == len(list(snippets_of([str(tmp_path)], documented=True)))
    bare = code_data(CodeSources(sources=(str(tmp_path),), comments=False, benchmarks=()), documented=True)
    assert bare.digest != found.digest
    assert "#" not in "".join(one.code for one in (*bare.train, *bare.dev))
    with pytest.raises(UsageError, match="it takes 2 at least"):
        code_data(CodeSources(sources=(str(tmp_path / "heapq"),), benchmarks=()), documented=True)


def many(packages: int = 3, each: int = 4) -> list[Snippet]:
    return [
        Snippet(
            package=f"p{name}",
            place=str(number),
            code=f"def f{name}_{number}(value):\n    return value + {number}\n",
            description=f"add {number} in {name}",
        )
        for name in range(packages)
        for number in range(each)
    ]


def test_contexts_are_of_one_repository_or_of_different_ones() -> None:
    _, tokenizer = small_encoder()
    snippets = many()
    rows = context_rows(tokenizer, snippets, 3, 200, random.Random(0))
    assert len(rows) == len(snippets)
    assert {row.label for row in rows} == {0, 1}
    for row in rows:
        parts = tokenizer.decode(row.tokens).split("<sep>")[1:]
        assert len(parts) == 3
        packages = [part.strip()[5] for part in parts]
        assert len(set(packages)) == (1 if row.label else 3)
        assert len(set(parts)) == 3
    (alone,) = context_rows(tokenizer, snippets[:1], 1, 200, random.Random(0))
    assert alone.label is None
    with pytest.raises(UsageError, match="3 repositories, and a row of other ones takes 4"):
        context_rows(tokenizer, snippets, 4, 200, random.Random(0))


def test_pairs_stand_behind_their_instructions_and_have_a_version_with_other_names() -> None:
    _, tokenizer = small_encoder()
    snippets = many(1)
    rows = pair_rows(tokenizer, snippets, 200, ("find: ", "this {language}: "), True, random.Random(0))
    assert tokenizer.decode(rows[1].query) == "<sep>find: <sep>add 1 in 0<cls>"
    assert tokenizer.decode(rows[1].code) == f"<sep>this Python: <sep>{snippets[1].code}<cls>"
    assert rows[1].altered != rows[1].code
    assert rows[1].wrong in (rows[0].code, rows[2].code)
    assert rows[1].length == max(map(len, (rows[1].query, rows[1].code, rows[1].altered, rows[1].wrong)))
    plain = pair_rows(tokenizer, snippets, 200, (None, None), False, random.Random(0), renamed=False)[1]
    assert tokenizer.decode(plain.code)[:8] == "<sep>def"
    assert (plain.altered, plain.wrong) == (plain.code, ())


def test_frequent_words_and_the_name_are_replaced_everywhere_and_no_two_become_one() -> None:
    code = "def area(width, height):\n    scaled = width * height\n    return max(scaled, once)\n"
    vocabulary = words_of([Snippet(package="p", place="1", code="alpha = beta; delta = gamma + breadth; None; self")])
    assert vocabulary == ["alpha", "beta", "breadth", "delta", "gamma"]
    changed = with_words_replaced(code, vocabulary, random.Random(1))
    for name in ("area", "width", "height", "scaled"):
        assert name not in changed
    assert "once" in changed
    assert "max(" in changed
    replaced = [word for word in vocabulary if word in changed]
    assert len(replaced) == 4
    assert changed.count("max") == 1
    assert with_words_replaced(code, [], random.Random(1)) == code


@pytest.mark.slow
def test_programs_describe_themselves_in_another_language() -> None:
    found = translations(20, seed=3)
    assert 10 < len(found) <= 20
    assert {one.language for one in found} == {"JavaScript"}
    assert all("print" in one.description and "console.log" in one.code for one in found)
    assert len({one.package for one in found}) == len(found)


def test_clones_are_renamed_and_others_are_neighbours_of_the_package() -> None:
    _, tokenizer = small_encoder()
    rows = clone_rows(tokenizer, [*many(2, 3), many(3, 1)[2]], 200, random.Random(0))
    assert [row.label for row in rows] == [1, 0] * 6  # the one that is alone in its package has none
    first, second = tokenizer.decode(rows[0].tokens).split("<sep>")[1:]
    assert (first.strip()[-1], second.removesuffix("<cls>").strip()[-1]) == ("0", "0")
    other = tokenizer.decode(rows[1].tokens).split("<sep>")[2]
    assert other.removesuffix("<cls>").strip()[-1] != "0"


def test_clones_of_codexglues_format_are_read(tmp_path: Path) -> None:
    _, tokenizer = small_encoder()
    (tmp_path / "data.jsonl").write_text('{"idx": "7", "func": "a b"}\n{"idx": "8", "func": "c"}\n', encoding="utf-8")
    (tmp_path / "train.txt").write_text("7\t8\t0\n8\t8\t1\n", encoding="utf-8")
    rows = clone_rows_of_folder(tokenizer, tmp_path, 40)
    assert [(tokenizer.decode(row.tokens), row.label) for row in rows] == [
        ("<sep>a b<sep>c<cls>", 0),
        ("<sep>c<sep>c<cls>", 1),
    ]
    (tmp_path / "train.txt").write_text("7\t9\t0\n", encoding="utf-8")
    with pytest.raises(UsageError, match="are not as CodeXGLUE has them"):
        clone_rows_of_folder(tokenizer, tmp_path, 40)
    with pytest.raises(UsageError, match="cannot read"):
        clone_rows_of_folder(tokenizer, tmp_path / "none", 40)
