"""One dialect of docstrings, Google's, in what the linter has no rule for."""

import ast
import pathlib
import re

import pytest
import runs

FILES = sorted((runs.ROOT / "ssljax").rglob("*.py"))
SECTION = re.compile(
    r"^( *)(Args|Returns|Raises|Yields|Attributes|Reference|Example):\n((?:\1 .*\n|\n)*)"
)


def _docstrings(file: pathlib.Path) -> dict[int, str]:
    """Every string that stands alone, with its indentation, by its line."""
    lines = file.read_text().splitlines()
    return {
        node.lineno: "\n".join(lines[node.lineno - 1 : node.end_lineno])
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def faults(docstring: str) -> list[str]:
    """What of a docstring is not in the dialect.

    Args:
      docstring: With its quotes and its indentation.
    """
    found = []
    if "``" in docstring:
        found.append("code stands in single backticks")
    if re.search(r">`_|:[a-z]+:`", docstring):
        found.append("no reStructuredText: a paper is cited as Authors, Title (arXiv:number), year")
    if re.search(r"^ *References:$", docstring, re.MULTILINE):
        found.append("the section is called Reference")
    for indent, name, body in re.findall(SECTION.pattern, docstring, re.MULTILINE):
        entry = f"^{indent}  (?=\\S)"
        if not re.search(entry, body, re.MULTILINE):
            found.append(f"{name}: entries are indented by two spaces")
        if name in ("Args", "Attributes", "Raises"):
            lower = re.findall(entry + r"[\w*, ]+: ([a-z]+)(?=[ ,;:]|\.?$|\. )", body, re.MULTILINE)
            found += [f"{name}: {word!r} begins a sentence" for word in lower]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(runs.ROOT)))
def test_docstrings_are_in_one_dialect(file):
    found = {line: faults(text) for line, text in _docstrings(file).items()}
    assert not {line: told for line, told in found.items() if told}


@pytest.mark.parametrize(
    ("docstring", "told"),
    [
        ('"""Adds ``x``."""', "single backticks"),
        ('"""Adds.\n\nHe et al., `ResNet <https://arxiv.org>`_.\n"""', "reStructuredText"),
        ('"""Adds.\n\nArgs:\n    x: A number.\n"""', "two spaces"),
        ('"""Adds.\n\nRaises:\n  ValueError: if it is odd.\n"""', "'if' begins a sentence"),
        ('"""Adds.\n\nReferences:\n  He et al.\n"""', "called Reference"),
    ],
)
def test_what_is_not_in_the_dialect_is_found(docstring, told):
    assert any(told in fault for fault in faults(docstring))
