"""The keys that every config has, and the checks that turn a mistake into a clear sentence."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from ssljax import augment, methods, models, optimizers
from ssljax.config import rules
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
    config.steps = 0  # Train steps, each of one update; 0 means by epochs.
    config.epochs = 100.0
    config.data = ConfigDict(
        dict(
            name="",  # A TFDS name, "folder", or the name of a prepared directory in `dir`.
            dir="",  # Empty: TFDS_DATA_DIR.
            split="train",
            cache="none",  # "device": the whole set lies on the devices.
            # "host": views are cut from whole images there; "device": from images of image_size.
            crop="device",
            image_size=32,
            channels=3,
            range=(),  # The numbers that are black and white; empty: by the images' type.
            resize="short_side",  # "short_side", "exact", "pad" or "none".
            image_key="",
            label_key="",
            multi_label_key="",  # TFDS features that are read as well, where they are named.
            mask_key="",
            boxes_key="",
            void=255,  # The number of a mask's pixels that belong to no class.
            mask_classes=0,  # Classes of masks, numbered from 0; 0: any number.
            max_boxes=100,  # Boxes that an image may have.
            frames=0,  # Above 0, a folder's records are clips of so many frames.
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
    config.model = methods.REGISTRY[method].default_model()
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _neighbors(value: Any) -> bool:
    """Whether these are pairs of (k, temperature) by which neighbours can vote."""
    return len(value) > 0 and all(
        isinstance(pair, Sequence)
        and not isinstance(pair, str)
        and len(pair) == 2
        and all(_is_number(x) and _positive(x) for x in pair)
        and isinstance(pair[0], int)
        for pair in value
    )


def _few_labels(value: Any) -> bool:
    """Whether these are numbers of labels: shares of a class, or whole numbers."""
    return len(value) > 0 and all(
        _is_number(x) and _positive(x) and (x < 1 or x == int(x)) for x in value
    )


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda value: 0 <= value < 2**32, "from 0 to 4294967295"),
    "batch_size": (_positive, "a positive number"),
    "steps": (_not_negative, "0 (by epochs) or more"),
    "epochs": (_not_negative, "0 or more"),
    "data.name": (bool, 'a data set\'s name, or "folder"'),
    "data.labels": (
        lambda value: value == 0 or _few_labels((value,)),
        "0 (all), a share below 1, or a whole number of labels a class",
    ),
    "data.labels_seed": (_not_negative, "0 or more"),
    "optimizer.accumulate": (_positive, "a positive number of batches"),
    "resume.accept": (
        lambda value: not isinstance(value, str) and all(isinstance(x, str) for x in value),
        "a list of keys, such as \"('optimizer.learning_rate',)\"",
    ),
    "init.step": (_not_negative, "0 (the newest) or more"),
    "data.cache": (_one_of("none", "device"), '"none" or "device"'),
    "data.crop": (_one_of("device", "host"), '"device" or "host"'),
    "data.image_size": (_positive, "a positive number of pixels"),
    "data.channels": (_positive, "a positive number"),
    "data.range": (
        lambda value: len(value) in (0, 2) and (not value or value[0] < value[1]),
        "(), or the numbers that are black and white, such as (0, 4095)",
    ),
    "data.resize": (
        _one_of("short_side", "exact", "pad", "none"),
        '"short_side", "exact", "pad" or "none"',
    ),
    "data.max_boxes": (_positive, "a positive number of boxes"),
    "data.threads": (lambda value: 0 <= value <= 1024, "from 0 (one a core) to 1024"),
    "data.prefetch": (lambda value: 0 < value <= 1024, "from 1 to 1024 batches"),
    "data.max_corrupt": (_not_negative, "0 or more images"),
    "model.widths": (
        lambda value: all(type(x) is int and x > 0 for x in value),
        "whole numbers above 0",
    ),
    "model.dtype": (_one_of("float32", "bfloat16"), '"float32" or "bfloat16"'),
    "evals.every": (_not_negative, "0 (at the end) or more steps"),
    "evals.during": (lambda value: set(value) <= set(_EVALS), f"some of {_EVALS}"),
    "evals.final": (lambda value: set(value) <= set(_EVALS), f"some of {_EVALS}"),
    "evals.train_split": (bool, 'a split such as "train"'),
    "evals.test_split": (bool, 'a split such as "test"'),
    "evals.stage": (bool, 'a stage of the network such as "features"'),
    "evals.batch_size": (_positive, "a positive number"),
    "evals.knn": (
        _neighbors,
        "pairs of a whole number of neighbours and a temperature, both positive, such as "
        "((20, 0.07), (200, 0.1))",
    ),
    "evals.linear_epochs": (_positive, "a positive number of epochs"),
    "evals.few_label": (
        _few_labels,
        "whole numbers of labels a class, or shares below 1, such as (0.01, 1, 10)",
    ),
    "evals.few_label_seeds": (_positive, "a positive number of draws"),
    "evals.generator.split": (bool, 'a split such as "test"'),
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


_READ_ELSEWHERE = ("init.run.", "init.task.", "method.generator.", "method.discriminator.")
_ENCODER_OPTIONS = {
    option for encoder in models.ENCODERS.values() for option in models.options_of(encoder)
}
"""A config file may give a network more options than the command line offers."""


def check(config: ConfigDict) -> None:
    """Raises a `UserError` at the first value that no run could have."""
    check_whole(config, "The config")
    values = flatten(config)
    for key, (holds, wanted) in _RULES.items():
        if key in values and not _holds(holds, values[key]):
            raise UserError(f"config.{key}={values[key]!r} is impossible: it must be {wanted}.")
    rules.check_numbers(values)
    for key in values["resume.accept"]:
        if key not in ("data", *values):
            raise UserError(
                f"config.resume.accept names {key!r}, which is no key; {nearest(key, values)}."
            )
    if not config.steps and not config.epochs:
        raise UserError("config.steps and config.epochs are both 0: set one of them.")
    if config.data.crop == "host" and config.data.cache == "device":
        raise UserError(
            "config.data.crop='host' cuts crops from files, and config.data.cache='device' keeps "
            "none: set one of the two to its default."
        )
    if "model.name" in values:
        _check_known("model.name", values, methods.REGISTRY[values["method.name"]].model_names())
    optimizers.read_settings(config.optimizer.to_dict())
    for name, view in config.method.items():
        if isinstance(view, ConfigDict) and "crop_scale" in view:
            try:
                augment.view_from_config(view)
            except ValueError as error:
                raise UserError(f"config.method.{name} is impossible: {error}") from error


def _holds(rule: Callable[[Any], bool], value: Any) -> bool:
    try:
        return rule(value)
    except (AttributeError, TypeError, ValueError):  # Not even of the kind that it speaks of.
        return False


def check_whole(config: ConfigDict, where: str) -> None:
    """Raises a `UserError` unless a config has the keys that `base_config` gave it, and no others.

    Args:
      config: Any config.
      where: What holds it, as the beginning of a sentence.
    """
    values = flatten(config)
    if "method.name" not in values:
        raise UserError(
            f"{where} lacks method.name: let get_config start from base_config(METHOD) of "
            "ssljax.config, and change its values."
        )
    _check_known("method.name", values, methods.REGISTRY)
    method = values["method.name"]
    base = flatten(base_config(method))
    for key in base:
        if key not in values:
            raise UserError(
                f"{where} lacks {key}: let get_config start from base_config({method!r}) of "
                "ssljax.config, and change its values."
            )
    for key, value in values.items():
        group, _, option = key.partition(".")
        if key not in base:
            if key.startswith(_READ_ELSEWHERE) or (group == "model" and option in _ENCODER_OPTIONS):
                continue
            raise UserError(
                f"{where} has {key}, which the method {method} does not: {nearest(key, base)}."
            )
        # Fields of a view may be None, whatever their default is.
        is_absent = value is None and key.startswith("method.")
        if rules.is_mistyped(value, base[key]) and not is_absent:
            raise UserError(f"{where} has {key}={value!r}: it must be {rules.kind(base[key])}.")


def _check_known(key: str, values: Mapping[str, Any], names: Collection[str]) -> None:
    if values[key] not in names:
        raise UserError(
            f"config.{key}={values[key]!r} is not known; {nearest(str(values[key]), names)}."
        )


def nearest(name: str, names: Iterable[str]) -> str:
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
