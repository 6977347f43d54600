"""The tables of methods: their papers, their configs, what these cost, and our figures."""

from __future__ import annotations

import importlib
import inspect
import pathlib
import pkgutil
import re
from collections.abc import Iterable, Mapping

from from_code.markdown import table
from ssljax import catalog, methods
from ssljax.methods.contract import Method

_RESULTS = pathlib.Path(__file__).parents[2] / "benchmarks" / "RESULTS.md"

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

FIGURES: Mapping[str, tuple[str, ...]] = {
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


def family_methods(family: str) -> dict[str, type[Method]]:
    """The methods of a family by name; none where there is no such family."""
    if family not in {module.name for module in pkgutil.iter_modules(methods.__path__)}:
        return {}
    registry: dict[str, type[Method]] = importlib.import_module(f"ssljax.methods.{family}").REGISTRY
    return registry


def method_table(names: Iterable[str]) -> str:
    """A table of methods: their papers, their configs, what these cost, and our figures."""
    results = results_of(_RESULTS.read_text(encoding="utf-8"))
    rows = []
    for name in names:
        title, paper = title_and_paper(methods.REGISTRY[name])
        rows.append(
            (
                f"[`{name}`](#method-{name.replace('_', '-')})",
                f"{title} *{paper}*",
                "<br>".join(f"`{config}`" for config in configs_of(name)),
                "<br>".join(_costs(name)) or "-",
                "<br>".join(results.get(name, [])) or "-",
            )
        )
    return table(("method", "what, and where from", "configs", "cost", "our figures"), rows)


def title_and_paper(method: type[Method]) -> tuple[str, str]:
    """The first two paragraphs of the docstring of a method's file."""
    told = inspect.getdoc(inspect.getmodule(method)) or ""
    title, _, rest = told.partition("\n\n")
    return " ".join(title.split()), " ".join(rest.partition("\n\n")[0].split())


def configs_of(method: str) -> list[str]:
    """The names of the shipped configs of a method."""
    return [name for name in catalog.files() if name.partition("/")[0] == method]


def _costs(method: str) -> list[str]:
    """What the docstrings of its configs say of the time that they take."""
    found = []
    for name in configs_of(method):
        text = " ".join(catalog.files()[name].read_text(encoding="utf-8").split())
        if told := re.search(r"Takes (.*?(?:minutes?|hours?)[^.;,]*)", text):
            found.append(f"{name.partition('/')[2]}: {told[1]}")
    return found


def results_of(text: str) -> dict[str, list[str]]:
    """Our figures of each method: a line for each section with a table of methods."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^##+ ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        if heading not in FIGURES:
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
                chosen = [column for column in FIGURES[heading] if column in header]
                told = f"{heading}: " + ", ".join(
                    f"{column} {cells[header.index(column)]}" for column in chosen
                )
                if name in methods.REGISTRY and chosen:
                    of_method = found.setdefault(name, [])
                    if not any(line.startswith(f"{heading}: ") for line in of_method):
                        of_method.append(told)
    return found
