"""What a run's config says beside its method's defaults, and which runs differ in what."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ssljax import config as configs
from ssljax import methods
from ssljax.page.record import Record

_SAME = (
    *("log.", "checkpoint.", "resume.", "mesh.", "samples.", "translate.", "embed.", "export."),
    *("data.threads", "data.prefetch", "data.cache", "data.dir", "evals.dir", "evals.final"),
)
"""Beginnings of keys in which runs may differ and be repetitions all the same."""
_ABSENT = "absent"
_METHOD = "method.name"


def method_of(record: Record) -> tuple[str, str]:
    """What a run's method does, and its papers, from its module's documentation.

    Returns:
      Two texts, both empty where there is no such method.
    """
    kind = methods.REGISTRY.get(str(record.config.get("method.name")))
    text = inspect.getdoc(sys.modules[kind.__module__]) if kind else None
    paragraphs = [" ".join(part.split()) for part in (text or "").split("\n\n")]
    return paragraphs[0], paragraphs[1] if len(paragraphs) > 1 else ""


def defaults(record: Record) -> dict[str, Any] | None:
    """The default of each key of a run's method, as JSON gives it; None of a method not known."""
    name = record.config.get("method.name")
    if name not in methods.REGISTRY:
        return None
    plain = configs.flatten(configs.base_config(name))
    found: dict[str, Any] = json.loads(json.dumps(plain, default=str))
    return found


def beside_defaults(record: Record) -> list[tuple[str, str, str]] | None:
    """The keys that differ from the method's defaults: key, value and default.

    Options that a network has and its role does not are beside no default.
    """
    known = defaults(record)
    if known is None:
        return None
    return [
        (key, told(value), told(known.get(key, _ABSENT)))
        for key, value in sorted(record.config.items())
        if value != known.get(key, _ABSENT) and not key.startswith(("init.run.", "init.task."))
    ]


def told(value: Any) -> str:
    """A value as the command line takes it."""
    if value == _ABSENT:
        return "—"
    if isinstance(value, str):
        return value or '""'
    return repr(_tuples(value))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def is_repetition(key: str) -> bool:
    """Whether runs that differ in a key alone are repetitions of one.

    Runs that start from repetitions of one run are repetitions themselves, wherever those lie.
    """
    if key == "init.workdir":
        return True
    key = key.removeprefix("init.run.")
    return key == "seed" or key.startswith(_SAME) or key.endswith(".every")


def differing(records: Sequence[Record]) -> list[str]:
    """The keys in which runs differ, the seed among them, but for where and how they ran.

    Methods have different keys: where runs are of several, the method's name stands for these, and
    those follow in which runs of one method differ.
    """
    for name in (_METHOD, f"init.run.{_METHOD}"):
        parts: dict[str, list[Record]] = {}
        for record in records:
            parts.setdefault(str(record.config.get(name)), []).append(record)
        if len(parts) > 1:
            within = (key for part in parts.values() for key in differing(part))
            return list(dict.fromkeys((name, *within)))
    keys = dict.fromkeys(key for record in records for key in sorted(record.config))
    return [
        key
        for key in keys
        if (key == "seed" or not is_repetition(key)) and not key.startswith("init.task")
        if len({json.dumps(record.config.get(key, _ABSENT)) for record in records}) > 1
    ]


def groups(records: Sequence[Record]) -> list[list[Record]]:
    """Runs that differ in the seed alone stand together; in the order of the first of them."""
    found: dict[str, list[Record]] = {}
    for record in records:
        learnt = {key: x for key, x in record.config.items() if not is_repetition(key)}
        # A run without a config is a repetition of none.
        name = json.dumps(learnt, sort_keys=True) if record.config else f"/{record.workdir}"
        found.setdefault(name, []).append(record)
    return list(found.values())


def values(record: Record, keys: Sequence[str]) -> Mapping[str, str]:
    """Some values of a run, as they are told."""
    return {key: told(record.config.get(key, _ABSENT)) for key in keys}
