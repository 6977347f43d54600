"""The pages of keys: those of every run, those of the methods, and those of networks."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from from_code.comments import attributes, comments
from from_code.families import configs_of, title_and_paper
from from_code.markdown import escape, table
from ssljax import augment, evals, methods, models, optimizers
from ssljax.config import base_config, flatten
from ssljax.evals import generation

_LONGEST = 480
"""Characters of a default that are shown."""


def key_pages() -> dict[str, str]:
    """The pages of keys: those of every run, those of the methods, and those of networks."""
    return {"keys": _common_keys(), "method_keys": _method_keys(), "networks": _networks()}


def _common_keys() -> str:
    values, notes = flatten(base_config("simclr")), comments(base_config)
    groups: dict[str, list[str]] = {}
    for key in values:
        if not key.startswith(("method.", "model.")):
            groups.setdefault(_group(key), []).append(key)
    parts = []
    for group, keys in groups.items():
        if group.startswith("evals."):
            evaluation = evals.REGISTRY.get(group.removeprefix("evals."))
            section = evaluation or generation.shared_config
            told = comments(getattr(section, "default_config", section))
            told["every"] = "Train steps between two of them; 0: only at the end."
            intro = _first_sentences(section)
        elif group == "evals":
            told, intro = comments(evals.default_config), "Which evaluations are made, of what."
        elif group == "optimizer":
            told = attributes(optimizers.Settings.__doc__)
            intro = "Each player of a method has one, with these settings unless the method says."
        else:
            told, intro = notes, notes.get(group, "") if group else "Of the whole run."
        title = f"`{group}`" if group else "The run"
        below = "" if told is notes else f"{group}."
        listed = _key_table(keys, values, {f"{below}{key}": text for key, text in told.items()})
        parts.append(f"## {title}\n\n{escape(intro)}\n\n{listed}")
    return "\n".join(parts)


def _method_keys() -> str:
    """A section for each method, with its own keys and those of its networks."""
    view = augment.ViewPolicy(1)
    policy = attributes(augment.ViewPolicy.__doc__)
    parts = [
        "## Views\n\nA key that holds a view has these keys below it, such as "
        "`method.view.crop_scale`. The methods' tables show what differs from these defaults.\n\n"
        + _key_table(policy, vars(view) | {"size": "the method's"}, policy)
    ]
    for name, method in methods.REGISTRY.items():
        config = base_config(name)
        told: dict[str, str] = {}
        for kind in reversed(method.__mro__):
            if "default_config" in vars(kind):
                told |= comments(vars(kind)["default_config"].__func__)
        told |= comments(methods.default_config)
        told = {f"method.{key}": text for key, text in told.items()}
        title, _ = title_and_paper(method)
        rows = [*_own_rows(config.method, "method", told, view)]
        for role, network in config.model.items():
            for option, value in network.items():
                note = "See [networks](networks.md)." if option == "name" else ""
                rows.append((f"`model.{role}.{option}`", _value(value), note))
        values_of = (inspect.getdoc(method.default_config) or "").partition("\n")[0]
        parts.append(
            f"(method-{name.replace('_', '-')})=\n## `{name}`\n\n{escape(title)} "
            f"{escape(values_of)} Configs: {', '.join(f'`{x}`' for x in configs_of(name))}.\n\n"
            + table(("key", "default", ""), rows)
        )
    return "\n".join(parts)


def _own_rows(
    config: ConfigDict, prefix: str, told: Mapping[str, str], view: augment.ViewPolicy
) -> Iterable[tuple[str, ...]]:
    for name, value in config.items():
        key = f"{prefix}.{name}"
        if isinstance(value, ConfigDict) and "crop_scale" in value:
            changed = [
                f"{field}={part!r}"
                for field, part in value.items()
                if field not in vars(view) or part != getattr(view, field)
            ]
            yield f"`{key}`", _code(", ".join(changed)), told.get(key, "A view.")
        elif isinstance(value, ConfigDict):
            yield from _own_rows(value, key, told, view)
        else:
            note = told.get(key) or (told.get(prefix, "") if "." in prefix else "")
            yield f"`{key}`", _value(value), note


def _networks() -> str:
    """The networks of each role, and their options."""
    roles: dict[str, dict[str, Any]] = {}
    for method in methods.REGISTRY.values():
        for kind in method.roles.values():
            roles.setdefault(kind.kind, {}).update(kind.networks)
    parts = []
    for kind, networks in roles.items():
        rows = [
            (f"`{name}`", _first_sentences(_class_of(made)), _code(_given(made)))
            for name, made in networks.items()
        ]
        parts.append(f"## {kind.capitalize()}\n\n{table(('name', 'network', 'with'), rows)}")
        for network in dict.fromkeys(_class_of(made) for made in networks.values()):
            told = attributes(network.__doc__)
            known = {name: told.get(name, "") for name in models.options_of(network)}
            options = [(f"`{name}`", text) for name, text in known.items()]
            if options:
                parts.append(f"### {network.__name__}\n\n" + table(("option", ""), options))
    return "\n".join(parts)


def _class_of(made: Any) -> Any:
    return getattr(made, "func", made)


def _given(made: Any) -> str:
    positional = [getattr(part, "__name__", repr(part)) for part in getattr(made, "args", ())]
    named = [f"{key}={value!r}" for key, value in getattr(made, "keywords", {}).items()]
    return ", ".join(positional + named)


def _group(key: str) -> str:
    first, *others = key.split(".")
    if first == "evals" and len(others) > 1:
        return f"evals.{others[0]}"
    return first if others else ""


def _first_sentences(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


def _key_table(keys: Iterable[str], values: Mapping[str, Any], told: Mapping[str, str]) -> str:
    rows = [(f"`{key}`", _value(values[key]), told.get(key, "")) for key in keys]
    return table(("key", "default", ""), rows)


def _value(value: Any) -> str:
    return _code(repr(value)) if value not in ("", ()) else "-"


def _code(text: str) -> str:
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return f"`{text}`" if text else "-"
