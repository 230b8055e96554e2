"""Programs of TinyPy in JavaScript, by rules, and only those that print the same: pairs of code in two languages.

The rules know what the grammar writes: whole numbers, `+ - * /`, comparisons, `and or not`, `if`, `for` over a range of
numbers, `while` and `print`. What they write runs in QuickJS (package quickjs-ng), an engine in this process that gives
a program no files, no network, and limits of time and memory; it is given our own programs alone. JavaScript has one
kind of number, so `print(6 / 2)` is 3 there and 3.0 in Python: such programs have no translation.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from harness.errors import MissingDependency
from harness.tinypy.corpus import Example

CPU_SECONDS = 0.25
MEMORY_BYTES = 16 << 20
_BINARY: dict[type[ast.AST], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARED: dict[type[ast.AST], str] = {
    ast.Lt: "<",
    ast.Gt: ">",
    ast.LtE: "<=",
    ast.GtE: ">=",
    ast.Eq: "===",
    ast.NotEq: "!==",
}
_JOINED: dict[type[ast.AST], str] = {ast.And: "&&", ast.Or: "||"}
_INDENT = "  "


class Untranslatable(Exception):
    """A program has something in it that the rules do not know."""


def javascript_of(example: Example) -> str | None:
    """Return an example's program in JavaScript, if there is one that prints just what the example does.

    Raises MissingDependency without QuickJS.
    """
    try:
        program = to_javascript(example.program)
    except Untranslatable:
        return None
    return program if printed_in_javascript(program) == example.output else None


def to_javascript(program: str) -> str:
    """Translate a program by the rules; what it does may differ. Raises Untranslatable."""
    try:
        tree = ast.parse(program)
    except SyntaxError as error:
        raise Untranslatable(str(error)) from error
    return "\n".join(_Translation(tree).lines)


def printed_in_javascript(program: str) -> str | None:
    """Return the lines that a program shows by `console.log`, joined by newlines; None for one that does not end well.

    Raises MissingDependency without QuickJS.
    """
    try:
        import quickjs
    except ImportError as error:
        raise MissingDependency("JavaScript runs in QuickJS: pip install 'code-harness[retrieval]'") from error
    context = quickjs.Context()
    context.set_time_limit(CPU_SECONDS)
    context.set_memory_limit(MEMORY_BYTES)
    context.eval("const shown = []; globalThis.console = {log: value => { shown.push(String(value)); }}")
    try:
        context.eval(f"(() => {{\n{program}\n}})()")
    except quickjs.JSException:
        return None
    return str(context.eval('shown.join("\\n")'))


class _Translation:
    """The lines of a program in JavaScript. A variable is declared where it first gets a value."""

    def __init__(self, tree: ast.Module) -> None:
        self._declared: set[str] = set()
        self.lines: list[str] = []
        if hoisted := _first_set_in_blocks(tree):
            self._declared |= set(hoisted)
            self.lines.append(f"let {', '.join(hoisted)};")
        self._write(tree.body, "")

    def _write(self, body: list[ast.stmt], indent: str) -> None:
        for node in body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self.lines.append(f"{indent}{self._target(name)} = {expression(value)};")
                case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[value], keywords=[])):
                    self.lines.append(f"{indent}console.log({expression(value)});")
                case ast.If():
                    self._write_branches(node, indent)
                case ast.While(test=test, orelse=[]):
                    self._write_block(f"while ({expression(test)})", node.body, indent)
                case ast.For(target=ast.Name(id=name), orelse=[]):
                    self._write_block(self._for(name, node.iter), node.body, indent)
                case _:
                    raise Untranslatable(f"a statement: {ast.unparse(node)}")

    def _write_block(self, head: str, body: list[ast.stmt], indent: str) -> None:
        self.lines.append(f"{indent}{head} {{")
        self._write(body, indent + _INDENT)
        self.lines.append(f"{indent}}}")

    def _write_branches(self, node: ast.If, indent: str) -> None:
        self._write_block(f"if ({expression(node.test)})", node.body, indent)
        while len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
            node = node.orelse[0]
            self._continue_block(f"else if ({expression(node.test)})", node.body, indent)
        if node.orelse:
            self._continue_block("else", node.orelse, indent)

    def _continue_block(self, head: str, body: list[ast.stmt], indent: str) -> None:
        self.lines.pop()  # the brace that ends the block before stands on this line
        self._write_block(f"}} {head}", body, indent)

    def _for(self, name: str, numbers: ast.expr) -> str:
        match numbers:
            case ast.Call(func=ast.Name(id="range"), args=arguments, keywords=[]):
                bounds = [_number(one) for one in arguments]
            case _:
                raise Untranslatable(f"a loop over {ast.unparse(numbers)}")
        start, end, step = [*([0, bounds[0]] if len(bounds) == 1 else bounds), 1][:3]
        if step < 1:
            raise Untranslatable(f"a step of {step}")
        return f"for ({self._target(name)} = {start}; {name} < {end}; {name} += {step})"

    def _target(self, name: str) -> str:
        if name in self._declared:
            return name
        self._declared.add(name)
        return f"let {name}"


def _first_set_in_blocks(tree: ast.Module) -> list[str]:
    """Return the variables that get their first value inside of a block, and are there behind it, sorted."""
    outside: set[str] = set()
    inside: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign):
            outside.update(_assigned(node))
        else:
            inside.update(name for inner in ast.walk(node) for name in _assigned(inner) if name not in outside)
    return sorted(inside)


def _assigned(node: ast.AST) -> Iterator[str]:
    for target in node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.For) else []:
        if isinstance(target, ast.Name):
            yield target.id


def _number(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    raise Untranslatable(f"no plain number: {ast.unparse(node)}")


def expression(node: ast.expr) -> str:
    """Translate an expression; operands that are operations themselves stand in parentheses."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Constant():
            return str(_number(node))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return f"{_operand(left)} {_BINARY[type(op)]} {_operand(right)}"
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARED:
            return f"{_operand(left)} {_COMPARED[type(op)]} {_operand(right)}"
        case ast.BoolOp(op=op, values=values):
            return f" {_JOINED[type(op)]} ".join(map(_operand, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return f"!{_operand(operand)}"
    raise Untranslatable(f"an expression: {ast.unparse(node)}")


def _operand(node: ast.expr) -> str:
    text = expression(node)
    return text if isinstance(node, ast.Name | ast.Constant) else f"({text})"
