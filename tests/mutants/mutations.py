"""Small changes to a source file, each of which a good test notices."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
SILENT = frozenset({"log", "_log", "logger", "warnings"})
"""Objects whose calls only write messages."""


@dataclass(frozen=True)
class Mutation:
    """One change: a piece of the source and what takes its place."""

    line: int
    start: int
    """Offset of the piece in the source, in characters."""
    before: str
    after: str

    def apply(self, source: str) -> str:
        """Return the source with the change."""
        end = self.start + len(self.before)
        assert source[self.start : end] == self.before
        return source[: self.start] + self.after + source[end:]


def mutations(source: str) -> list[Mutation]:
    """Return every change, in the order of the source.

    Left alone are annotations, docstrings, texts, error messages and log messages.
    """
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, new in _changes(ast.parse(source)):
        before = ast.get_source_segment(source, node)
        after = new if isinstance(new, str) else f"({ast.unparse(new)})"
        if before is not None and before != after:
            column = len(source.splitlines()[node.lineno - 1].encode()[: node.col_offset].decode())
            found.append(Mutation(node.lineno, starts[node.lineno - 1] + column, before, after))
    return sorted(set(found), key=lambda mutation: (mutation.start, mutation.after))


Changed = tuple[ast.expr | ast.stmt, ast.AST | str]


def _changes(tree: ast.AST) -> Iterator[Changed]:
    """Yield nodes with what takes their place, walking what a change can be seen in."""
    if isinstance(tree, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
        return
    if isinstance(tree, ast.Call) and _is_silent(tree):
        return
    yield from _changes_of(tree)
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _changes(child)


def _is_silent(call: ast.Call) -> bool:
    target = call.func
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id in SILENT
    )


def _changes_of(node: ast.AST) -> Iterator[Changed]:
    """Yield the changes of one node itself."""
    match node:
        case ast.Compare(ops=[op], left=left, comparators=[right]) if type(op) in COMPARISONS:
            yield node, ast.Compare(left, [COMPARISONS[type(op)]()], [right])
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            yield node, ast.BinOp(left, OPERATORS[type(op)](), right)
        case ast.BoolOp(op=ast.And(), values=values):
            yield node, ast.BoolOp(ast.Or(), values)
        case ast.BoolOp(op=ast.Or(), values=values):
            yield node, ast.BoolOp(ast.And(), values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, operand
        case ast.Constant(value=bool() as value):
            yield node, str(not value)
        case ast.Constant(value=int() | float() as value):
            yield node, repr(value + 1)
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield test, "False"
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield value, "None"
        case ast.Expr(value=ast.Call() as call) if not _is_silent(call):
            yield node, "pass"


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
