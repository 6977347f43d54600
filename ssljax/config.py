"""The keys that every config has, and the checks that turn a mistake into a clear sentence."""

from __future__ import annotations

import dataclasses
import difflib
import math
import pathlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags

from ssljax import methods, optimizers
from ssljax.errors import UserError


def base_config(method: str) -> ConfigDict:
    """The config that every config file starts from.

    Args:
      method: Name of a method; its own keys stand under `method`.

    Returns:
      A config with every key that the command line accepts, at its default.
    """
    config = ConfigDict()
    config.seed = 0
    config.batch_size = 256
    config.steps = 0  # Train steps; 0 means by epochs.
    config.epochs = 100.0
    config.data = ConfigDict(
        dict(
            name="",  # A TFDS name, "folder", or the name of a prepared directory in `dir`.
            dir="",  # Empty: TFDS_DATA_DIR.
            split="train",
            cache="none",  # "device": the whole set lies on the devices.
            image_size=32,
            channels=3,
            resize="short_side",  # "short_side", "exact" or "none".
            image_key="",
            label_key="",
            labels=0.0,  # Labels a class that are known; below 1, a fraction of them; 0: all.
            labels_seed=0,  # Of their draw.
            threads=0,  # Of the host that read and decode; 0: one a core, at most 16.
            prefetch=2,  # Batches placed on the devices ahead of the step.
            max_corrupt=0,  # Images that may be unreadable before the run stops.
        )
    )
    # The workdir of a run to start from, and its step; 0: its newest checkpoint.
    config.init = ConfigDict(dict(workdir="", step=0))
    # Keys whose change a run that goes on accepts, and "data": another content of its data set.
    config.resume = ConfigDict(dict(accept=()))
    config.method = methods.default_config(method)
    config.model = methods.TABLE[method].default_model()
    config.optimizer = ConfigDict(
        dataclasses.asdict(optimizers.Settings(name="sgd", learning_rate=0.3))
    )
    config.evals = ConfigDict(
        dict(
            every=0,  # Train steps between evaluations; 0: only at the end.
            # Before the end, which of "knn", "linear" and "few_label", on features, "classifier",
            # the method's own if it has one, and, of generators, "fid", "kid", "inception_score"
            # and "precision_recall".
            during=("knn",),
            final=("knn", "linear", "few_label"),
            baselines=True,  # At the end, a random network and raw pixels as well.
            name="",  # Empty: the training set.
            dir="",
            train_split="train",
            test_split="test",
            stage="features",
            batch_size=512,
            knn=((20, 0.07), (200, 0.1)),  # (k, temperature)
            linear_epochs=20,
            few_label=(1.0, 5.0, 10.0),  # Labels a class; below 1, a fraction of the labels.
            few_label_seeds=5,
            generator=ConfigDict(
                dict(
                    # A safetensors file of the Inception network, or the workdir of a run.
                    extractor="",
                    cache="",  # Keeps features of real images; empty: beside the extractor.
                    count=10000,  # Images that are generated.
                    split="test",  # Real images that they are compared with.
                    neighbors=50000,  # Training images among which pictures show the nearest.
                )
            ),
        )
    )
    config.samples = ConfigDict(dict(count=64))  # Images that --mode=sample writes.
    config.mesh = ConfigDict(dict(data=-1, fsdp=1))
    config.log = ConfigDict(dict(every=50, tensorboard=True, wandb=""))
    config.checkpoint = ConfigDict(dict(every=1000, keep=2, best=""))
    return config


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _not_negative(value: float) -> bool:
    return math.isfinite(value) and value >= 0


def _one_of(*names: Any) -> Callable[[Any], bool]:
    return lambda value: value in names


GENERATOR_EVALS = ("fid", "kid", "inception_score", "precision_recall")
"""Scores of methods that generate images."""

_EVALS = ("knn", "linear", "few_label", "classifier", *GENERATOR_EVALS)
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda value: 0 <= value < 2**32, "from 0 to 4294967295"),
    "batch_size": (_positive, "a positive number"),
    "steps": (_not_negative, "0 (by epochs) or more"),
    "epochs": (_not_negative, "0 or more"),
    "data.name": (bool, 'a data set\'s name, or "folder"'),
    "data.labels": (_not_negative, "0 (all), a fraction, or a number a class"),
    "data.labels_seed": (_not_negative, "0 or more"),
    "resume.accept": (
        lambda value: not isinstance(value, str),
        "a list of keys, such as \"('optimizer.learning_rate',)\"",
    ),
    "init.step": (_not_negative, "0 (the newest) or more"),
    "data.cache": (_one_of("none", "device"), '"none" or "device"'),
    "data.image_size": (_positive, "a positive number of pixels"),
    "data.channels": (_one_of(1, 3), "1 or 3"),
    "data.resize": (_one_of("short_side", "exact", "none"), '"short_side", "exact" or "none"'),
    "data.threads": (_not_negative, "0 (one a core) or more"),
    "data.prefetch": (_positive, "a positive number of batches"),
    "data.max_corrupt": (_not_negative, "0 or more images"),
    "method.temperature": (_positive, "a positive number"),
    "model.dtype": (_one_of("float32", "bfloat16"), '"float32" or "bfloat16"'),
    "evals.every": (_not_negative, "0 (at the end) or more steps"),
    "evals.during": (lambda value: set(value) <= set(_EVALS), f"some of {_EVALS}"),
    "evals.final": (lambda value: set(value) <= set(_EVALS), f"some of {_EVALS}"),
    "evals.batch_size": (_positive, "a positive number"),
    "evals.generator.count": (_positive, "a positive number of images"),
    "evals.generator.neighbors": (_positive, "a positive number of images"),
    "samples.count": (_positive, "a positive number of images"),
    "log.every": (_positive, "a positive number of steps"),
    "checkpoint.every": (_positive, "a positive number of steps"),
    "checkpoint.best": (
        lambda value: not value.startswith(("fid", "kid", "class_kl")),
        "a score of which more is better",
    ),
    "checkpoint.keep": (_positive, "a positive number of checkpoints"),
}


def check(config: ConfigDict) -> None:
    """Raises a `UserError` at the first value that no run could have."""
    values = flatten(config)
    for key, (holds, wanted) in _RULES.items():
        if key in values and not holds(values[key]):
            raise UserError(f"config.{key}={values[key]!r} is impossible: it must be {wanted}.")
    for key in values["resume.accept"]:
        if key not in ("data", *values):
            raise UserError(
                f"config.resume.accept names {key!r}, which is no key; {_nearest(key, values)}."
            )
    if not config.steps and not config.epochs:
        raise UserError("config.steps and config.epochs are both 0: set one of them.")
    _check_known("method.name", values, methods.TABLE)
    if "model.name" in values:
        _check_known("model.name", values, methods.TABLE[values["method.name"]].model_names())


def _check_known(key: str, values: Mapping[str, Any], names: Collection[str]) -> None:
    if values[key] not in names:
        raise UserError(
            f"config.{key}={values[key]!r} is not known; {_nearest(str(values[key]), names)}."
        )


def check_keys(path: str, arguments: Iterable[str]) -> None:
    """Raises a `UserError` if the command line sets a key that the config file does not have.

    Args:
      path: The config file.
      arguments: The command line.
    """
    config = _load(path)
    keys = flatten(config)
    for argument in arguments:
        if not argument.lstrip("-").startswith(("config.", "noconfig.")):
            continue
        key = argument.split("=", 1)[0].split(".", 1)[1]
        if key not in keys:
            raise UserError(f"config.{key} is not a key of {path}; {_nearest(key, keys)}.")


def _load(path: str) -> ConfigDict:
    """Reads a config file, with every way in which that fails told in one sentence."""
    if not pathlib.Path(path.split(":", 1)[0]).is_file():
        raise UserError(f"There is no config file {path}: give --config the path of one.")
    try:
        config = config_flags.ConfigFileFlagParser("config").parse(path)
    except Exception as error:  # A config file is code, and can fail in any way.
        last_line = (str(error).strip().splitlines() or [""])[-1]
        raise UserError(
            f"The config file {path} fails: {type(error).__name__}: {last_line}"
        ) from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"The config file {path} must have a get_config that returns a ConfigDict.")
    return config


def _nearest(name: str, names: Iterable[str]) -> str:
    """Names the nearest or, if none is near, all of them."""
    names = sorted(names)
    last = name.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(name, names, 1, 0.6) or [
        key for key in names if key.rsplit(".", 1)[-1] == last
    ]
    return f"the nearest is {near[0]}" if near else f"there are: {', '.join(names)}"


def flatten(config: ConfigDict) -> dict[str, Any]:
    """Every value of a config by its dotted key."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            flat |= {f"{key}.{inner}": x for inner, x in flatten(value).items()}
        else:
            flat[key] = value
    return flat
