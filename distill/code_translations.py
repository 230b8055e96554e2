"""Code to code across languages: programs of TinyPy that ask for themselves in JavaScript.

After SynthCode2Code2NL of MoSE (arXiv 2503.03008), where a language model translates and nobody looks: here rules
translate, both programs are run, and a pair is kept when they print the same (`harness.tinypy_javascript`). The test
set of TinyPy is left out.
"""

from __future__ import annotations

from contextlib import closing

from distill.code_data import Snippet
from harness import TinyPyRecipe, tinypy_examples, tinypy_javascript

JAVASCRIPT = "JavaScript"
_PACKAGES = 100  # so that the split by package has some to look at


def translations(count: int, seed: int) -> list[Snippet]:
    """Return so many programs in JavaScript, each described by its own in Python; fewer where some print otherwise.

    Raises what `harness.tinypy_examples` raises, and MissingDependency without QuickJS.
    """
    found = []
    with closing(tinypy_examples(TinyPyRecipe(count=count, seed=seed))) as examples:
        for number, example in enumerate(examples):
            if (program := tinypy_javascript(example)) is not None:
                found.append(
                    Snippet(
                        package=f"tinypy {number % _PACKAGES}",
                        place=f"TinyPy {example.level}, {number}",
                        code=program,
                        description=example.program,
                        language=JAVASCRIPT,
                    )
                )
    return found
