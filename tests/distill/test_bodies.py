"""Whatever a teacher writes, the function's body is found in it with what it needs, or nothing."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from distill.bodies import body_in, names_bound_by

BODY = "    return n - 1\n"


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (f"def f(n):\n{BODY}", BODY),
        (f"Here it is:\n```python\ndef f(n):\n{BODY}```\nIt is fine.", BODY),
        (f"```python\nimport math\n\ndef g():\n    pass\n\ndef f(n: int) -> int:\n{BODY}\nprint(f(1))\n```", BODY),
        (f"```\nx = 1\n```\n```python\nasync def f(n):\n{BODY}", BODY),  # the fence is not closed
        (f'```python\ndef f(n):\n    """Add.\n\n    >>> f(1)\n    2\n    """\n{BODY}```', BODY),
        (f"```python\ndef f(n):\n    '''Add.'''\n\n{BODY}```", BODY),
        (f"```python\ndef f(\n    n,\n):\n{BODY}```", BODY),
        (f"```python\r\ndef f(n):\r\n{BODY.rstrip()}\r\n```", BODY),
        ("```python\ndef f(n):\n\treturn n - 1\n```", BODY),
        ("```python\ndef f(n):\n    if n = 1:\n        retrun n\n```", "    if n = 1:\n        retrun n\n"),
        ("```python\ndef f2(n):\n    return n\n```", None),
        ("```python\ndef f(n):\n```", None),
        ('```python\ndef f(n):\n    """Add, and never end.\n    return n\n```', None),
        (f"```python\ndef f(n):  # takes one away: n\n{BODY}```", BODY),
        (
            f"```python\ndef f(n):  # doc\n    if n:\n    {BODY}    return 1:\n```",
            "    if n:\n        return n - 1\n    return 1:\n",
        ),
        (f"```python\ndef f(n: 'a: b' = {{1: 2}}[1]) -> \"x:\":\n{BODY}```", BODY),
        ("```python\ndef f(n): return n - 1\n```", BODY),
        (
            "```python\ndef f(n)\n    for x in n:\n        return x\n```",
            "    for x in n:\n        return x\n",
        ),  # no colon
        (
            "```python\ndef f(n:\n    for x in n:\n        return x\n```",
            "    for x in n:\n        return x\n",
        ),  # an open bracket
        ('```python\ndef f(n):\n    s = """\nA: \n"""\n    return s\n```', '    s = """\nA: \n"""\n    return s\n'),
        ("def f", None),
        ("def f(n)", None),
        ("I would subtract one.", None),
        ("", None),
    ],
)
def test_the_body_of_the_function_is_found(text: str, body: str | None) -> None:
    assert body_in(text, "f") == body


def test_long_texts_cost_no_time() -> None:
    started = time.monotonic()
    pieces = (
        "```",
        "```\n",
        "def f(",
        "def f(n):\n",
        '    """',
        "\n",
        "    x\n",
        '"\\',
        "(",
        "import a\n",
        "a = b = a\n",
    )
    for before in ("", "def f(", "def f(n):\n    return a\n"):
        for piece in pieces:
            body_in(before + piece * (20_000 // len(piece)), "f")
    assert time.monotonic() - started < 5


def made(text: str, prompt: str = "def f(n):\n", name: str = "f") -> Any:
    """Return the function that a body makes behind its prompt."""
    body = body_in(text, name, names_bound_by(prompt))
    assert body is not None
    assert all(line.startswith("    ") or not line.strip() for line in body.split("\n"))  # a stop string ends the rest
    space: dict[str, Any] = {}
    exec(prompt + body, space)
    return space[name]


HELPED = '''Here is the mended program:
```python
import math
import os.path as path
from functools import lru_cache
from typing import List

LIMIT: int = 10
TABLE, UNUSED = {1: "}:"}, print("never")
SIZE = LIMIT * 2
n = 99  # not what the function calls n

@lru_cache(maxsize=None)
def root(x: int) -> List[int]:
    """Text
with a line of its own."""
    return [math.isqrt(x), inner(x)]

def f(n):
    # Largest first: of 2.
    text = """
not indented:
"""
    n = min(n, SIZE)
    return root(n), Box(n).width, path.basename("a/b"), text

class Box(dict):
    def __init__(self, width):
        self.width = width + len(TABLE)

def inner(x):
    return x if x < 2 else inner(x - 1)

assert f(3) == "shown, never run"
if __name__ == "__main__":
    print(f(1))
```
'''


def test_what_a_function_uses_of_its_block_comes_along() -> None:
    body = body_in(HELPED, "f")
    assert body is not None
    assert body.startswith("    import math\n    import os.path as path\n    from functools import lru_cache\n")
    assert "n = 99" not in body
    assert "__main__" not in body
    assert "    # Largest first: of 2.\n" in body
    space: dict[str, Any] = {"print": lambda _: None}
    exec("def f(n):\n" + body, space)
    assert space["f"](50) == ([4, 1], 21, "b", "\nnot indented:\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("import math\ndef f(n):\n    return math.isqrt(n)\n", 3),
        ("def f(n):\n    return g(n)\n\ndef g(n):\n    return n + ONE\n\nONE = 1\n", 10),
        ("total = f(3)\ndef f(n):\n    total = n\n    return total\n", 9),  # its own name
        ("from __future__ import annotations\nfrom math import *\ndef f(n):\n    return n\n", 9),
        ("def f(n):\n    return n if n < 9 else f(n - 1)\nf = f\n", 8),  # itself is there already
    ],
)
def test_a_right_program_stays_right(text: str, value: int) -> None:
    assert made(text)(9) == value


def test_what_the_prompt_has_is_not_repeated() -> None:
    prompt = (
        "import math\nfrom typing import List as Rows\n\ndef half(n):\n    return n // 2\n\ndef f(n):\n    'Halve.'\n"
    )
    assert names_bound_by(prompt) == {"math", "Rows", "half", "f"}
    text = "import math\n\ndef half(n):\n    return n / 2\n\ndef f(n):\n    return half(math.floor(n))\n"
    assert body_in(text, "f", names_bound_by(prompt)) == "    return half(math.floor(n))\n"
    assert made(text, prompt)(9) == 4
    assert names_bound_by("def f(n):\n") == frozenset()


@pytest.mark.parametrize("name", ["maths", "absent"])
def test_an_error_that_was_asked_for_is_the_only_one(name: str) -> None:
    faulty = made(f"import math\ndef f(n):\n    return math.sqrt(n) + {name}(n)\n")
    with pytest.raises(NameError, match=name):
        faulty(4)
    assert math.isclose(made("import math\ndef f(n):\n    return math.sqrt(n)\n")(4), 2)
