"""Pages that are made from the code, when the documentation is built.

The table of methods comes from their docstrings, from the shipped configs and from
`benchmarks/RESULTS.md`; the lists of keys from the configs themselves, with the comments that stand
beside the keys in the code. What is made lies in `docs/made`, and is never edited.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import pathlib
import pkgutil
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from ssljax import augment, catalog, evals, methods, models, optimizers
from ssljax.config import base_config, flatten
from ssljax.evals import generation
from ssljax.methods.contract import Method

ROOT = pathlib.Path(__file__).parent.parent
MADE = ROOT / "docs" / "made"

FAMILIES = {
    "pretext": "Pretext tasks",
    "reconstruction": "Reconstruction",
    "joint_embedding": "Joint embedding",
    "adversarial": "Adversarial learning",
    "translation": "Translation",
    "video": "Video",
    "transfer": "Transfer and dense prediction",
}
"""By the name of the family's package; one that this version lacks has no methods."""

_FIGURES: Mapping[str, tuple[str, ...]] = {
    "Encoders on Fashion-MNIST": ("knn20", "linear", "minutes"),
    "Pretext tasks on CIFAR-10 (a JPEG copy)": ("own score (a guess)", "linear", "minutes"),
    "Several tasks over one encoder": ("linear", "minutes"),
    "Time as the teacher": ("own score (a guess)", "linear, Tiny ImageNet 100 (stages)"),
    "Generators on Fashion-MNIST": ("FID trained", "FID random", "minutes"),
    "Encoders that invert a generator": ("kNN", "class agreement", "minutes"),
    "A generator that grows": ("FID trained", "FID random"),
    "Translators of digits": ("pairing error", "same class", "minutes"),
    "Digits in pairs": ("pairing error", "same class"),
    "Oranges and lemons": ("way", "FID", "KID"),
    "Segmentation of streets": ("mean IoU",),
    "Several classes an image": ("SVM of stage3", "all tiles, whole network"),
    "Detection of blood cells": ("AP", "AP50", "minutes"),
}
"""Sections of the results, and the columns of their tables that the table of methods shows."""

_ROWS: Mapping[str, Mapping[str, str]] = {
    "Time as the teacher": {"simclr": ""},  # Learnt for comparison, and without a task.
    "Oranges and lemons": {"4,000 steps of one": "cyclegan"},
    "Segmentation of streets": {"trained": "segment"},
    "Several classes an image": {"simclr": "multi_label"},
    "Detection of blood cells": {"simclr": "detect"},
}
"""Of sections whose rows are named by how a method was trained: whose figures those rows are."""

LEFT_OUT = (
    "Few labels after rotation",
    "Forgetting",
    "Heads, context, starts and the CRF at equal steps",
    "Encoders on other data sets",
    "SimCLR on CIFAR-10",
)
"""Sections that name a config and that the table of methods leaves out: comparisons of settings."""

_SECTION = re.compile(r"^( *)Attributes:\n((?:\1 .*\n|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^(\w[\w, ]*): (.*(?:\n .*)*)", re.MULTILINE)
_LONGEST = 60


def family_methods(family: str) -> dict[str, type[Method]]:
    """The methods of a family by name; none where there is no such family."""
    if family not in {module.name for module in pkgutil.iter_modules(methods.__path__)}:
        return {}
    registry: dict[str, type[Method]] = importlib.import_module(f"ssljax.methods.{family}").REGISTRY
    return registry


def method_table(names: Iterable[str]) -> str:
    """A table of methods: their papers, their configs, what these cost, and our figures."""
    results = _results((ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8"))
    rows = []
    for name in names:
        title, paper = _title_and_paper(methods.REGISTRY[name])
        rows.append(
            (
                f"[`{name}`](#method-{name.replace('_', '-')})",
                f"{title} *{paper}*",
                "<br>".join(f"`{config}`" for config in _configs(name)),
                "<br>".join(_costs(name)) or "-",
                "<br>".join(results.get(name, [])) or "-",
            )
        )
    return _table(("method", "what, and where from", "configs", "cost", "our figures"), rows)


def key_pages() -> dict[str, str]:
    """The pages of keys: those of every run, those of the methods, and those of networks."""
    return {"keys": _common_keys(), "method_keys": _method_keys(), "networks": _networks()}


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


def write(directory: pathlib.Path = MADE) -> None:
    """Writes all pages; a file whose content stays the same keeps its time."""
    directory.mkdir(exist_ok=True)
    pages = {f"methods_{family}": method_table(family_methods(family)) for family in FAMILIES}
    for family, table in pages.items():
        if not family_methods(family.removeprefix("methods_")):
            pages[family] = "This version has none.\n"
        else:
            pages[family] = table
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


def _title_and_paper(method: type[Method]) -> tuple[str, str]:
    told = inspect.getdoc(inspect.getmodule(method)) or ""
    title, _, rest = told.partition("\n\n")
    return " ".join(title.split()), " ".join(rest.partition("\n\n")[0].split())


def _configs(method: str) -> list[str]:
    return [name for name in catalog.files() if name.partition("/")[0] == method]


def _costs(method: str) -> list[str]:
    """What the docstrings of its configs say of the time that they take."""
    found = []
    for name in _configs(method):
        text = " ".join(catalog.files()[name].read_text(encoding="utf-8").split())
        if told := re.search(r"Takes (.*?(?:minutes?|hours?)[^.;,]*)", text):
            found.append(f"{name.partition('/')[2]}: {told[1]}")
    return found


def _results(text: str) -> dict[str, list[str]]:
    """Our figures of each method: a line for each section with a table of methods."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^##+ ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        if heading not in _FIGURES:
            continue
        header: list[str] = []
        for line in body.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not line.startswith("|"):
                header = []
            elif not header:
                header = cells
            else:
                name = cells[0].strip("*").partition("/")[0].partition(":")[0]
                name = _ROWS.get(heading, {}).get(cells[0], name)
                chosen = [column for column in _FIGURES[heading] if column in header]
                told = f"{heading}: " + ", ".join(
                    f"{column} {cells[header.index(column)]}" for column in chosen
                )
                if name in methods.REGISTRY and chosen:
                    of_method = found.setdefault(name, [])
                    if not any(line.startswith(f"{heading}: ") for line in of_method):
                        of_method.append(told)
    return found


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
        table = _key_table(keys, values, {f"{below}{key}": text for key, text in told.items()})
        parts.append(f"## {title}\n\n{_escape(intro)}\n\n{table}")
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
        title, _ = _title_and_paper(method)
        rows = [*_own_rows(config.method, "method", told, view)]
        for role, network in config.model.items():
            for option, value in network.items():
                note = "See [networks](networks.md)." if option == "name" else ""
                rows.append((f"`model.{role}.{option}`", _value(value), note))
        values_of = (inspect.getdoc(method.default_config) or "").partition("\n")[0]
        parts.append(
            f"(method-{name.replace('_', '-')})=\n## `{name}`\n\n{_escape(title)} "
            f"{_escape(values_of)} Configs: {', '.join(f'`{x}`' for x in _configs(name))}.\n\n"
            + _table(("key", "default", ""), rows)
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
        parts.append(f"## {kind.capitalize()}\n\n{_table(('name', 'network', 'with'), rows)}")
        for network in dict.fromkeys(_class_of(made) for made in networks.values()):
            told = attributes(network.__doc__)
            known = {name: told.get(name, "") for name in models.options_of(network)}
            options = [(f"`{name}`", text) for name, text in known.items()]
            if options:
                parts.append(f"### {network.__name__}\n\n" + _table(("option", ""), options))
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
    return _table(("key", "default", ""), rows)


def _value(value: Any) -> str:
    return _code(repr(value)) if value not in ("", ()) else "-"


def _code(text: str) -> str:
    text = text if len(text) <= 8 * _LONGEST else f"{text[: 8 * _LONGEST]}..."
    return f"`{text}`" if text else "-"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("&lt;br>", "<br>")


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "".join("| " + " | ".join(map(_escape, line)) + " |\n" for line in lines) + "\n"
