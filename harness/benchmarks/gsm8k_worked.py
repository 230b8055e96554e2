"""GSM8K's worked solutions as programs: the calculations that are marked in them, `<<48/2=24>>`, one a line.

A program has the form of arXiv 2211.16740: numbers first (`n0 = 48`), then steps (`t0 = n0 / n1`), the last of which is
the answer. A number that an earlier step came to is that step. Only such programs are given out as compute the label
exactly, which is found out here with fractions and without running anything: they are arithmetic and nothing else.
"""

from __future__ import annotations

import ast
import re
from fractions import Fraction

from harness.numeric import is_exact

_STEP = re.compile(r"<<([^<>=]*)=([^<>]*)>>")
_ARITHMETIC = re.compile(r"[0-9.+\-*/() ]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_PERCENT = re.compile(rf"({_NUMBER.pattern})%")
_LONGEST_STEP = 200  # characters


def worked_program(solution: str, label: Fraction) -> str:
    """Return the program that a worked solution describes, empty where it describes none that computes the label."""
    steps = [(_plain(step), result) for step, result in _STEP.findall(solution)]
    if not steps or any(len(step) > _LONGEST_STEP or not _ARITHMETIC.fullmatch(step) for step, _ in steps):
        return ""
    program = _program(steps)
    value = arithmetic_value(program)
    return f"{ast.unparse(ast.parse(program))}\n" if value is not None and is_exact(value, label) else ""


def arithmetic_value(program: str) -> Fraction | None:
    """Return what a program of assignments leaves in its last name, found without running it.

    None for a program that does not parse, divides by zero, or is anything but the four operations on numbers.
    """
    try:
        return _computed(ast.parse(program))
    except (SyntaxError, ValueError, ArithmeticError, LookupError, RecursionError):
        return None


def _plain(text: str) -> str:
    """Return a calculation or a number as Python writes it."""
    return _PERCENT.sub(r"(\1/100)", text.replace(",", "").replace("$", "").strip())


def _program(steps: list[tuple[str, str]]) -> str:
    numbers: dict[str, str] = {}  # the number, as Python writes it: its name
    results: dict[Fraction, str] = {}

    def named(match: re.Match[str]) -> str:
        value = Fraction(match[0])
        text = str(value.numerator) if value.denominator == 1 else repr(float(value))
        return results.get(value) or numbers.setdefault(text, f"n{len(numbers)}")

    lines = []
    for index, (step, result) in enumerate(steps):
        name = "answer" if index == len(steps) - 1 else f"t{index}"
        lines.append(f"{name} = {_NUMBER.sub(named, step)}")
        found = _NUMBER.fullmatch(_plain(result))
        if found and name != "answer":
            results[Fraction(found[0])] = name
    return "".join(f"{line}\n" for line in [*(f"{name} = {text}" for text, name in numbers.items()), *lines])


def _computed(program: ast.Module) -> Fraction:
    """Return what a program of assignments leaves in its last name. Raises ValueError for anything but arithmetic."""
    names: dict[str, Fraction] = {}
    value = Fraction(0)
    for statement in program.body:
        match statement:
            case ast.Assign([ast.Name(name)], expression):
                names[name] = value = _value(expression, names)
            case _:
                raise ValueError("not an assignment")
    return value


def _value(node: ast.expr, names: dict[str, Fraction]) -> Fraction:
    match node:
        case ast.Constant(int() | float() as number):
            return Fraction(str(number))
        case ast.Name(name):
            return names[name]
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand, names)
        case ast.BinOp(left, operation, right):
            return _joined(operation, _value(left, names), _value(right, names))
    raise ValueError("not arithmetic")


def _joined(operation: ast.operator, left: Fraction, right: Fraction) -> Fraction:
    match operation:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
    raise ValueError("not one of the four operations")
