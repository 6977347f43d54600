"""Finds and loads configs, and reads the values that the command line sets in them."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import inspect
import pathlib
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags, tuple_parser

from ssljax import catalog
from ssljax import config as configs
from ssljax.config import rules
from ssljax.errors import UserError


def check_keys(path: str, arguments: Iterable[str]) -> None:
    """Raises a `UserError` if the command line sets a key that the config does not have.

    Args:
      path: The config, as `load` takes it.
      arguments: The command line.
    """
    keys = configs.flatten(load(path))
    for argument in arguments:
        if not argument.lstrip("-").startswith(("config.", "noconfig.")):
            continue
        key = argument.split("=", 1)[0].split(".", 1)[1]
        if key not in keys:
            near = configs.nearest(key, keys)
            raise UserError(f"config.{key} is not a key of {path}; {near}.")


def find(name: str) -> str:
    """Finds the file of a config.

    Args:
      name: The name of a shipped config, such as `simclr/cifar10`, or the path of a file. The two
        cannot be confused, as the names of config files end in `.py`.

    Returns:
      The path of the file.

    Raises:
      UserError: If there is neither.
    """
    if not name:
        raise UserError("--config is empty: give it a name that --list shows, or a file's path.")
    shipped = catalog.files()
    if name in shipped:
        return str(shipped[name])
    if pathlib.Path(name).is_file():
        return name
    near = difflib.get_close_matches(name.removesuffix(".py"), shipped, 1)
    raise UserError(
        f"There is no config {name}{f'; the nearest is {near[0]}' if near else ''}: give --config "
        "a name that --list shows, or the path of a file."
    )


def load(path: str) -> ConfigDict:
    """Loads a config, and turns every way in which that fails into one sentence.

    Args:
      path: The name or file of a config, as `find` takes it, and perhaps a colon and one of its
        variants: those that the parameter of its `get_config` names as a `Literal`.

    Returns:
      The config, with every key that `base_config` has.

    Raises:
      UserError: If there is no such config or variant, or if its code fails.
    """
    name, *variant = path.split(":", 1)
    file = find(name)
    try:
        get_config = _get_config(file)
        if variant:
            _check_variant(name, get_config, *variant)
        config = get_config(*variant)
    except UserError:
        raise
    except Exception as error:  # A config file is code, and can fail in any way.
        last_line = (str(error).strip().splitlines() or [""])[-1]
        raise UserError(f"The config {path} fails: {type(error).__name__}: {last_line}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"The config {path} must have a get_config that returns a ConfigDict.")
    configs.check_whole(config, f"The config {path}")
    return config


def _get_config(file: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location("config", file)
    if spec is None or spec.loader is None:
        raise UserError(f"The config file {file} is not Python: its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    get_config: Callable[..., Any] = module.get_config
    return get_config


def _check_variant(name: str, get_config: Callable[..., Any], variant: str) -> None:
    """Raises a `UserError` if a config does not have this variant."""
    parameters = inspect.signature(get_config).parameters
    if not parameters:
        raise UserError(f"The config {name} has no variants: leave :{variant} out.")
    hint = typing.get_type_hints(get_config).get(next(iter(parameters)))
    known = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal and variant not in known:
        raise UserError(
            f"The config {name} has no variant {variant!r}: leave it out, or choose one of "
            f"{', '.join(other for other in known if other)}."
        )


class _Tuple(tuple_parser.TupleParser):
    """Reads tuples as Python writes them, and `a,b` as two strings."""

    def parse(self, argument: Any) -> Any:
        if not isinstance(argument, str) or _is_literal(argument):
            return super().parse(argument)
        if not argument.strip():
            return ()
        if "," not in argument:
            return (argument,)
        for first, last in ("()", "[]"):
            if argument.startswith(first) and argument.endswith(last):
                argument = argument[1:-1]
        parts = [part.strip() for part in argument.split(",")]
        return tuple(ast.literal_eval(x) if _is_literal(x) else x for x in parts if x)


class _Anything(flags.ArgumentParser):
    """Reads any value as Python writes it, for keys whose default is None."""

    def parse(self, argument: Any) -> Any:
        literal = isinstance(argument, str) and _is_literal(argument)
        return ast.literal_eval(argument) if literal else argument


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        return False
    return True


def read_command_line(arguments: list[str], values: flags.FlagValues) -> list[str]:
    """Parses options, with `--config` and its keys among them.

    Args:
      arguments: The program's name, then the options.
      values: The other options, not parsed yet.

    Returns:
      What is not an option, the program's name first.

    Raises:
      UserError: If there is a mistake in them.
    """
    with_files, paths = _find_configs(arguments)
    config_flags.register_flag_parser_for_type(tuple, _Tuple())
    config_flags.register_flag_parser_for_type(type(None), _Anything())
    config_flags.DEFINE_config_file(
        "config",
        None,
        "A name that --list shows, such as simclr/cifar10, or the path of a Python file with a "
        "get_config; a variant may follow, as in simclr/cifar10:cpu. --config.key=value sets a "
        "key.",
        flag_values=values,
        sys_argv=with_files,
    )
    try:
        if paths:
            check_keys(paths[-1], arguments[1:])
        rest: list[str] = values(with_files)
    except flags.IllegalFlagValueError as error:
        raise UserError(_misfit(str(error), paths)) from error
    except flags.Error as error:
        raise UserError(" ".join(str(error).split())) from error
    except (TypeError, ValueError) as error:
        raise UserError(f"A value on the command line does not fit: {error}") from error
    return rest


def _find_configs(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Puts files in place of the names of configs.

    Args:
      arguments: The command line.

    Returns:
      The command line with the path of a file in every `--config`, and what stood there before.
    """
    with_files, given, rest = [], [], iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option in ("--config", "-config"):
            value = value if equals else next(rest, "")
            name, colon, variant = value.partition(":")
            argument = f"--config={find(name)}{colon}{variant}"
            given.append(value)
        with_files.append(argument)
    return with_files, given


def _misfit(message: str, paths: list[str]) -> str:
    """What absl says of a value of the wrong type, in the config's own words."""
    found = re.match(r"flag --config\.([\w.]+)=(.*?): ", message, re.DOTALL)
    if not found or not paths:
        return " ".join(message.split())
    key, value = found.groups()
    kind = rules.kind(configs.flatten(load(paths[-1]))[key])
    return f"config.{key}={value} is impossible: it must be {kind}."
