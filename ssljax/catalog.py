"""The configs that ssljax ships: where they are, and what each is, read without running any."""

from __future__ import annotations

import ast
import pathlib


def files() -> dict[str, pathlib.Path]:
    """Finds every shipped config.

    Returns:
      Files by name, such as `simclr/cifar10`, in alphabetical order.
    """
    package = pathlib.Path(__file__).parent
    installed = package / "configs"
    root = installed if installed.is_dir() else package.parent / "configs"  # As in a checkout.
    return {f"{file.parent.name}/{file.stem}": file for file in sorted(root.glob("*/*.py"))}


def table() -> str:
    """Describes every shipped config.

    Returns:
      A line for each: its name, its variants in brackets, and the first line of the docstring of
      its `get_config`.
    """
    rows = [(name, *_describe(file)) for name, file in files().items()]
    names = [name + (f"[:{'|:'.join(variants)}]" if variants else "") for name, variants, _ in rows]
    width = max(map(len, names), default=0)
    return "\n".join(
        f"{name:{width}}  {summary}" for name, (_, _, summary) in zip(names, rows, strict=True)
    )


def _describe(file: pathlib.Path) -> tuple[list[str], str]:
    """Reads the variants of a config file, and the first line of the docstring."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == "get_config":
            literals = [
                part.value
                for argument in node.args.args[:1]
                if argument.annotation is not None
                for part in ast.walk(argument.annotation)
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            ]
            summary = (ast.get_docstring(node) or "").partition("\n")[0]
            return [literal for literal in literals if literal], summary
    return [], ""
