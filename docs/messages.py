"""Every message that a user can get, read from the sources, so that the page of errors cannot go stale."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

KINDS = {"HampredError": "exit 2", "UnknownNameError": "exit 2", "FailedError": "exit 1", "BadLabelError": "of a label"}
"""Exceptions whose text reaches the user, and what comes of them."""

WORDS = {"chemical_symbols": "element", "strerror": "reason", "__name__": "error", "energies": "energy"}
"""Names in the sources that would tell a reader little."""


@dataclass(frozen=True)
class Message:
    """A message: text with ‹names› where something is filled in, source file, and what comes of it."""

    text: str
    file: str
    kind: str


def of(root: Path, place: str) -> list[Message]:
    """Messages of a source file, or of all below a folder.

    Args:
        root: The checkout.
        place: Path in it.
    """
    files = sorted((root / place).rglob("*.py")) if (root / place).is_dir() else [root / place]
    found = [Message(text, file.relative_to(root).as_posix(), kind) for file in files for text, kind in _raised(file)]
    return list(dict.fromkeys(found))


def _raised(file: Path) -> Iterator[tuple[str, str]]:
    tree = ast.parse(file.read_text())
    constants = _values(node for node in tree.body if isinstance(getattr(node, "value", None), ast.Constant))
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        known = constants | _values(ast.walk(function))
        for node in ast.walk(function):
            kind = KINDS.get(getattr(getattr(node, "func", None), "id", ""))
            if kind and isinstance(node, ast.Call) and node.args:
                for text in _texts(node.args[0], known):
                    if _says_something(text):
                        yield " ".join(text.split()), kind


def _values(nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """Name → everything that is assigned to it."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for name, value in _assigned(node.targets[0], node.value):
                found.setdefault(name, []).append(value)
    return found


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, its in zip(target.elts, value.elts):
            yield from _assigned(each, its)


def _texts(node: ast.expr, known: dict[str, list[ast.expr]], form: str = "", depth: int = 0) -> list[str]:
    """What an expression may read, ‹name› for what is known only when it happens."""
    if isinstance(node, ast.Constant):
        return [format(node.value, form)]
    if isinstance(node, ast.IfExp):
        return [text for part in (node.body, node.orelse) for text in _texts(part, known, form, depth)]
    if isinstance(node, ast.FormattedValue):
        form = "".join(part.value for part in getattr(node.format_spec, "values", []) if isinstance(part, ast.Constant))
        return _texts(node.value, known, form, depth)
    if isinstance(node, ast.JoinedStr):
        return ["".join(parts) for parts in product(*(_texts(part, known, "", depth) for part in node.values))]
    if isinstance(node, ast.Name) and depth < 2 and all(map(_is_told, known.get(node.id, [node]))):
        return [text for value in known[node.id] for text in _texts(value, known, form, depth + 1)]
    return [f"‹{_name(node)}›"]


def _is_told(node: ast.expr) -> bool:
    """Whether the sources say what an expression is."""
    if isinstance(node, ast.IfExp):
        return _is_told(node.body) and _is_told(node.orelse)
    return isinstance(node, ast.JoinedStr | ast.Constant) and getattr(node, "value", "") is not None


def _name(node: ast.expr) -> str:
    """A word for an expression: its last name."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = node.id if isinstance(node, ast.Name) else node.attr
        return WORDS.get(name, name)
    if isinstance(node, ast.BinOp):
        return _name(node.left)
    if isinstance(node, ast.Subscript):
        key = node.slice
        return str(key.value) if isinstance(key, ast.Constant) and isinstance(key.value, str) else _name(node.value)
    return "…"


def _says_something(text: str) -> bool:
    """Whether a message has words of its own, and does not pass on another one."""
    return any(word.isalpha() for word in re.sub("‹.*?›", " ", text).split())
