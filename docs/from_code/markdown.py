"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def escape(text: str) -> str:
    """A text as it stands in a cell; line breaks of HTML stay."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("&lt;br>", "<br>")


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of a header and rows of as many cells."""
    lines = [header, ("---",) * len(header), *rows]
    return "".join("| " + " | ".join(map(escape, line)) + " |\n" for line in lines) + "\n"
