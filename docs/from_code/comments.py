"""What the code says of its keys: comments beside them, and sections of docstrings."""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterable
from typing import Any

_SECTION = re.compile(r"^( *)Attributes:\n((?:\1 .*\n|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^(\w[\w, ]*): (.*(?:\n .*)*)", re.MULTILINE)


def comments(function: Callable[..., Any]) -> dict[str, str]:
    """The comments that stand beside keys, or above them, in the code of a function.

    A comment beside or above a line with several keys is that of their group alone.

    Args:
      function: It assigns `config.key`, or calls with `key=`.

    Returns:
      By the key's path from the function's config, such as "crf.weight", one sentence or more.
    """
    code = textwrap.dedent(inspect.getsource(function))
    beside, alone = {}, {}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            is_alone = not token.line[: token.start[1]].strip()
            (alone if is_alone else beside)[token.start[0]] = token.string.lstrip("# ")

    def above(first: int) -> str:
        start = first
        while start - 1 in alone:
            start -= 1
        return " ".join(alone[line] for line in range(start, first))

    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Assign | ast.Return | ast.Expr) or node.value is None:
            continue
        path = _path(node.targets[0]) if isinstance(node, ast.Assign) else ""
        if path and (told := above(node.lineno) or beside.get(node.lineno, "")):
            found.setdefault(path, told)
        for key, keyword in _alone_on_their_lines(_keywords(node.value, path and f"{path}.")):
            last = keyword.value.end_lineno or keyword.lineno
            near = beside.get(keyword.lineno) or beside.get(last, "")
            if told := near or above(keyword.lineno):
                found.setdefault(key, told)
    return found


def _path(target: ast.AST) -> str:
    """Of `config.a.b`, "a.b"; of a plain name, nothing."""
    if not isinstance(target, ast.Attribute):
        return ""
    return ".".join(filter(None, (_path(target.value), target.attr)))


def _keywords(node: ast.AST, prefix: str) -> Iterable[tuple[str, ast.keyword]]:
    """The keywords of all calls in an expression, by their paths."""
    for child in ast.iter_child_nodes(node):
        below = prefix
        if isinstance(child, ast.keyword) and child.arg:
            yield f"{prefix}{child.arg}", child
            below = f"{prefix}{child.arg}."
        yield from _keywords(child, below)


def _alone_on_their_lines(
    keys: Iterable[tuple[str, ast.keyword]],
) -> Iterable[tuple[str, ast.keyword]]:
    """Those beside which no other key of as few parts begins on the same line."""
    lines: dict[int, list[tuple[str, ast.keyword]]] = {}
    for key, keyword in keys:
        lines.setdefault(keyword.lineno, []).append((key, keyword))
    for found in lines.values():
        fewest = min(key.count(".") for key, _ in found)
        first = [one for one in found if one[0].count(".") == fewest]
        if len(first) == 1:
            yield first[0]


def attributes(docstring: str | None) -> dict[str, str]:
    """The entries of a docstring's section "Attributes"."""
    section = _SECTION.search(inspect.cleandoc(docstring or "") + "\n")
    body = textwrap.dedent(section[2]) if section else ""
    return {
        name.strip(): " ".join(text.split())
        for names, text in _ENTRY.findall(body)
        for name in names.split(",")
    }
