"""Pages that are made from the code, when the documentation is built.

The table of methods comes from their docstrings, from the shipped configs and from
`benchmarks/RESULTS.md`; the lists of keys from the configs themselves, with the comments that stand
beside the keys in the code. What is made lies in `docs/made`, and is never edited.
"""

from __future__ import annotations

import pathlib
from typing import Any

from from_code.families import FAMILIES, family_methods, method_table
from from_code.keys import key_pages

_MADE = pathlib.Path(__file__).parents[1] / "made"


def write(directory: pathlib.Path = _MADE) -> None:
    """Writes all pages; a file whose content stays the same keeps its time."""
    directory.mkdir(exist_ok=True)
    pages = {f"methods_{family}": method_table(family_methods(family)) for family in FAMILIES}
    for name, content in (pages | key_pages()).items():
        file = directory / f"{name}.md"
        if not file.exists() or file.read_text(encoding="utf-8") != content:
            file.write_text(content, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    """Makes the pages before Sphinx reads any."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("config-inited", lambda app, config: write())
    app.connect("autodoc-process-docstring", _plain_bars, priority=1)
    return {"parallel_read_safe": True}


def _plain_bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keeps bars around numbers from being taken for names of substitutions."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = line.split("`")
            parts[::2] = [part.replace("|", "\\|") for part in parts[::2]]
            lines[number] = "`".join(parts)
