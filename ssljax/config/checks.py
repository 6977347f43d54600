"""The checks of a config: the first mistake in it becomes one clear sentence."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from ssljax import augment, evals, methods, optimizers
from ssljax.config import rules
from ssljax.config.base import base_config, flatten
from ssljax.errors import UserError
from ssljax.ops.propagation import FOLLOWING
from ssljax.report.embedding_map import PROJECTIONS


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _not_negative(value: float) -> bool:
    return math.isfinite(value) and value >= 0


def _one_of(*names: Any) -> Callable[[Any], bool]:
    return lambda value: value in names


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _neighbors(value: Any) -> bool:
    """Whether these are pairs of (k, temperature) for a weighted vote of neighbours."""
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


def _costs(value: Any) -> bool:
    return len(value) > 0 and all(_is_number(x) and _positive(x) for x in value)


def _sets(value: Any) -> bool:
    """Whether these are names of data sets, or names with two splits and perhaps a directory."""
    return not isinstance(value, str) and all(
        isinstance(one, str)
        or (len(one) in (3, 4) and all(isinstance(part, str) and part for part in one))
        for one in value
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
    "data.frames": (_not_negative, "0 (images) or more"),
    "data.stride": (_positive, "a positive number of frames"),
    "data.hop": (_not_negative, "0 (no two clips overlap) or a number of frames"),
    "data.motion": (lambda value: 0 <= value <= 1, "from 0 to 1"),
    "data.max_boxes": (_positive, "a positive number of boxes"),
    "data.threads": (lambda value: 0 <= value <= 1024, "from 0 (one a core) to 1024"),
    "data.prefetch": (lambda value: 0 < value <= 1024, "from 1 to 1024 batches"),
    "data.max_corrupt": (_not_negative, "0 or more images"),
    "evals.final": (
        lambda value: set(value) <= set(evals.REGISTRY),
        f"some of {', '.join(evals.REGISTRY)}",
    ),
    "evals.train_split": (bool, 'a split such as "train"'),
    "evals.test_split": (bool, 'a split such as "test"'),
    "evals.stages": (
        lambda value: len(value) > 0 and all(isinstance(x, str) and x for x in value),
        'stages of the network such as ("features",)',
    ),
    "evals.batch_size": (_positive, "a positive number"),
    "evals.knn.neighbors": (
        _neighbors,
        "pairs of a whole number of neighbours and a temperature, both positive, such as "
        "((20, 0.07), (200, 0.1))",
    ),
    "evals.pool": (_one_of("average", "max"), '"average" or "max"'),
    "evals.pool_values": (_not_negative, "0 (one place) or more values"),
    "evals.linear.epochs": (_positive, "a positive number of epochs"),
    "evals.mlp.hidden": (
        lambda value: all(type(x) is int and x > 0 for x in value),
        "whole numbers of units above 0, such as (200, 200)",
    ),
    "evals.mlp.epochs": (_positive, "a positive number of epochs"),
    "evals.mlp.batch_size": (lambda value: value >= 2, "2 images or more"),
    "evals.mlp.pool_values": (_not_negative, "0 (one place) or more values"),
    "evals.mlp.crop_padding": (_not_negative, "0 or more pixels"),
    "evals.few_label.labels": (
        _few_labels,
        "whole numbers of labels a class, or shares below 1, such as (0.01, 1, 10)",
    ),
    "evals.few_label.seeds": (_positive, "a positive number of draws"),
    "evals.svm.costs": (_costs, "numbers above 0, such as (0.01, 0.1, 1.0)"),
    "evals.svm.pool_values": (_not_negative, "0 (one place) or more values"),
    "evals.svm.low_shot": (
        lambda value: all(type(x) is int and x > 0 for x in value),
        "whole numbers of images above 0, such as (1, 4, 16)",
    ),
    "evals.svm.seeds": (_positive, "a positive number of draws"),
    "evals.transfer.sets": (
        _sets,
        "names of data sets, or names with two splits (and a directory), such as "
        "('mnist', ('tiny_imagenet_100', 'train', 'validation'))",
    ),
    "evals.transfer.probes": (
        lambda value: len(value) > 0 and set(value) <= set(evals.PROBES),
        f"some of {', '.join(evals.PROBES)}",
    ),
    "evals.multi_label.crops": (_not_negative, "0 (the whole image) or more crops"),
    "evals.generator.split": (bool, 'a split such as "test"'),
    "evals.generator.count": (_positive, "a positive number of images"),
    "evals.embedding_map.count": (_positive, "a positive number of images"),
    "evals.embedding_map.projection": (_one_of(*PROJECTIONS), '"tsne" or "pca"'),
    "evals.pictures.neighbors": (_positive, "a positive number of images"),
    "evals.detection.shown_score": (lambda value: 0 <= value <= 1, "a score in [0, 1]"),
    "evals.detection.batch_size": (_positive, "a positive number of images"),
    "evals.segmentation.scales": (
        lambda value: len(value) > 0 and all(_is_number(x) and _positive(x) for x in value),
        "numbers above 0 such as (0.75, 1.0)",
    ),
    "evals.segmentation.batch_size": (_positive, "a positive number of images"),
    "evals.segmentation.crf.position": (_positive, "above 0"),
    "evals.segmentation.crf.color": (_positive, "above 0"),
    "evals.linear_segmentation.steps": (_positive, "a positive number of steps"),
    "evals.linear_segmentation.batch_size": (_positive, "a positive number of windows"),
    "evals.linear_segmentation.test_batch_size": (_positive, "a positive number of images"),
    "evals.linear_segmentation.sizes": (
        lambda value: len(value) > 0 and all(_is_number(x) and _positive(x) for x in value),
        "numbers above 0 such as (0.5, 1.0, 2.0)",
    ),
    "evals.linear_segmentation.overlap": (lambda value: 0 <= value < 1, "in [0, 1)"),
    "evals.propagation.name": (bool, 'a data set\'s name, or "folder"'),
    "evals.propagation.protocol": (_one_of(*FOLLOWING), f"one of {', '.join(FOLLOWING)}"),
    "evals.propagation.stages": (
        lambda value: all(isinstance(x, str) and x for x in value),
        'stages of the network such as ("stage3",), or () for one that is fine enough',
    ),
    "evals.propagation.batch_size": (_positive, "a positive number of frames"),
    "evals.translation.count": (_positive, "a positive number of images"),
    "samples.count": (_positive, "a positive number of images"),
    "embed.projection": (_one_of(*PROJECTIONS), '"tsne" or "pca"'),
    "log.every": (_positive, "a positive number of steps"),
    "checkpoint.every": (_positive, "a positive number of steps"),
    "checkpoint.keep": (_positive, "a positive number of checkpoints"),
}

_NETWORK_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "widths": (
        lambda value: all(type(x) is int and x > 0 for x in value),
        "whole numbers above 0",
    ),
    "dtype": (_one_of("float32", "bfloat16"), '"float32" or "bfloat16"'),
}
"""Of these options, whichever network has them."""

_READ_ELSEWHERE = ("init.run.", "init.task.")


def check(config: ConfigDict) -> None:
    """Raises a `UserError` at the first value that is impossible."""
    check_whole(config, "The config")
    values = flatten(config)
    for key, (holds, wanted) in _RULES.items():
        if key in values and not _holds(holds, values[key]):
            raise UserError(f"config.{key}={values[key]!r} is impossible: it must be {wanted}.")
    for key, value in values.items():
        if key.startswith("model.") and (option := key.rpartition(".")[2]) in _NETWORK_RULES:
            holds, wanted = _NETWORK_RULES[option]
            if not _holds(holds, value):
                raise UserError(f"config.{key}={value!r} is impossible: it must be {wanted}.")
    rules.check_numbers(values)
    for key in values["resume.accept"]:
        if key not in ("data", *values):
            raise UserError(
                f"config.resume.accept names {key!r}, which is not a key; {nearest(key, values)}."
            )
    if not config.steps and not config.epochs:
        raise UserError("config.steps and config.epochs are both 0: set one of them.")
    if config.data.crop == "host" and config.data.cache == "device":
        raise UserError(
            "config.data.crop='host' cuts crops from files, and config.data.cache='device' keeps "
            "none: set one of the two to its default."
        )
    _check_clips(config)
    for role, kind in methods.REGISTRY[values["method.name"]].roles.items():
        _check_known(f"model.{role}.name", values, kind.networks)
    optimizers.read_settings(config.optimizer.to_dict())
    for name, view in config.method.items():
        if isinstance(view, ConfigDict) and "crop_scale" in view:
            try:
                augment.view_from_config(view)
            except ValueError as error:
                raise UserError(f"config.method.{name} is impossible: {error}") from error


def _check_clips(config: ConfigDict) -> None:
    """Raises a `UserError` at a key of clips that would not be read."""
    keys = config.data
    plain = {"stride": 1, "hop": 0, "motion": 0.0, "clip_key": "", "time_key": ""}
    for key, unset in plain.items():
        if not keys.frames and keys[key] != unset:
            raise UserError(
                f"config.data.{key}={keys[key]!r} is about clips, and config.data.frames=0 reads "
                f"images: set config.data.frames, or leave config.data.{key} at {unset!r}."
            )
    # What is scored may be a set whose records are frames.
    if {keys.name, config.evals.name or keys.name} != {"folder"}:
        return
    for key in ("clip_key", "time_key"):
        if keys[key]:
            raise UserError(
                f"config.data.{key}={keys[key]!r} names a feature of a TFDS set, and a folder has "
                "none: its folders of frames and its files are the videos; leave it empty."
            )


def _holds(rule: Callable[[Any], bool], value: Any) -> bool:
    try:
        return rule(value)
    except (AttributeError, TypeError, ValueError):  # Not of the type that the rule expects.
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
    # A config file may give a network more options than the command line offers.
    more = {
        f"model.{role}.{option}"
        for role, kind in methods.REGISTRY[method].roles.items()
        for option in kind.known_options()
    }
    for key, value in values.items():
        if key not in base:
            if key in more or key.startswith(_READ_ELSEWHERE):
                continue
            raise UserError(
                f"{where} has {key}, which the method {method} does not: "
                f"{nearest(key, base.keys() | more)}."
            )
        # Fields of a view may be None, whatever their default is.
        is_absent = value is None and key.startswith("method.")
        if rules.is_mistyped(value, base[key]) and not is_absent:
            raise UserError(f"{where} has {key}={value!r}: it must be {rules.kind(base[key])}.")
    for key in base:
        if key not in values:
            raise UserError(
                f"{where} lacks {key}: let get_config start from base_config({method!r}) of "
                "ssljax.config, and change its values."
            )


def _check_known(key: str, values: Mapping[str, Any], names: Collection[str]) -> None:
    if values[key] not in names:
        raise UserError(
            f"config.{key}={values[key]!r} is not known; {nearest(str(values[key]), names)}."
        )


_INTERVAL = "each evaluation has its own interval, such as evals.knn.every"
_MOVED = {"evals.every": _INTERVAL, "evals.during": _INTERVAL}
"""Where to find what a key was for, if no key of a similar name replaces it."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Names the nearest or, if it is a group or none is near, all of them."""
    names = sorted(names)
    inside = [key for key in names if key.startswith(f"{name}.")]
    if inside:
        return f"it is a group of them: {', '.join(inside)}"
    if name in _MOVED:
        return _MOVED[name]
    if roles := _in_roles(name, names):
        return f"it is {' or '.join(roles)}"
    last = name.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(name, names, 1, 0.6) or [
        key for key in names if key.rsplit(".", 1)[-1] == last
    ]
    return f"the nearest is {near[0]}" if near else f"there are: {', '.join(names)}"


def _in_roles(name: str, names: Iterable[str]) -> list[str]:
    """Where a key of a network is that was sought under `model`, or under `method` by its role."""
    group, _, rest = name.partition(".")
    if group not in ("model", "method") or not rest:
        return []
    if any(key.startswith(f"model.{rest}.") for key in names):
        return [f"model.{rest}"]
    return [key for key in names if key.startswith("model.") and key.endswith(f".{rest}")]
