"""Tables of scores by network."""

from __future__ import annotations

from collections.abc import Mapping

_STD = "_std"
_DECIBELS, _ERROR = "psnr", "_error"


def is_share(name: str) -> bool:
    """Whether a table shows a score in per cent: neither decibels nor an error."""
    return not name.endswith((_DECIBELS, _ERROR))


def score_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Lays scores out as a Markdown table that reads well as plain text too.

    Args:
      scores: By network, then by score, in [0, 1] but for a "psnr", which is in decibels, and an
        "x_error", which has any size; a score "x_std" is shown beside "x".

    Returns:
      One row per network, one column per score: in per cent, or as it is where `is_share` says so.
    """
    names = list(dict.fromkeys(name for row in scores.values() for name in row))
    columns = [name for name in names if not name.endswith(_STD)]
    rows = [["network", *columns], ["---"] + ["---:"] * len(columns)]
    for network, by_name in scores.items():
        rows.append([network, *(cell(by_name, column) for column in columns)])
    return _lay_out(rows)


def figure_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Lays values of any size and with long names out as such a table, not in per cent.

    Args:
      scores: By network, then by score; a score "x_std" is shown beside "x".

    Returns:
      One row per score, one column per network.
    """
    names = list(dict.fromkeys(name for row in scores.values() for name in row))
    rows = [["score", *scores], ["---"] + ["---:"] * len(scores)]
    for name in names:
        if not name.endswith(_STD):
            rows.append([name, *(figure(by_name, name) for by_name in scores.values())])
    return _lay_out(rows)


def _lay_out(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            _rule(cell, width) if number == 1 else (cell.ljust if i == 0 else cell.rjust)(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure(row: Mapping[str, float], name: str) -> str:
    """A score of any size, with its spread; nothing where there is none."""
    if name not in row:
        return ""
    spread = row.get(name + _STD)
    return f"{row[name]:.4g}" + ("" if spread is None else f" ± {spread:.2g}")


def cell(row: Mapping[str, float], name: str) -> str:
    """A score in per cent, or as it is where `is_share` says so, with its spread."""
    if name not in row:
        return ""
    if name.endswith(_ERROR):
        return figure(row, name)
    spread, unit = row.get(name + _STD), 100 if is_share(name) else 1
    return f"{unit * row[name]:.1f}" + ("" if spread is None else f" ± {unit * spread:.1f}")


def _rule(cell: str, width: int) -> str:
    return "-" * (width - 1) + (":" if cell.endswith(":") else "-")
