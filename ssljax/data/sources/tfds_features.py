"""Features of TFDS records, found by their names, or by their paths where they are nested."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from ssljax.data.boxes import Boxes, Things
from ssljax.data.fields import Classes, Field, Mask, MultiLabel, Parts
from ssljax.data.sources.annotations import check_box_classes
from ssljax.errors import UserError


def single_features(
    features: tfds.features.FeaturesDict, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """The features of which a record holds one, those of nested dictionaries by their paths."""
    for key, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            yield from single_features(feature, f"{prefix}{key}/")
        else:
            yield prefix + key, feature


def skip_images(features: tfds.features.FeaturesDict) -> dict[str, Any]:
    """Decoders that leave all images encoded: of masks and second views none is decoded in vain."""
    decoders: dict[str, Any] = {}
    for key, feature in features.items():
        if isinstance(feature, tfds.features.Image):
            decoders[key] = tfds.decode.SkipDecoding()
        elif isinstance(feature, tfds.features.Video):
            decoders[key] = _KeepEncoded()
        elif isinstance(feature, tfds.features.FeaturesDict) and (nested := skip_images(feature)):
            decoders[key] = nested
    return decoders


class _KeepEncoded(tfds.decode.SkipDecoding):
    """Leaves the frames of a video encoded, which TFDS' own class does of single images alone."""

    def decode_batch_example_np(self, serialized_example: Any) -> Any:
        """The encoded frames."""
        return serialized_example


def find_feature(
    builder: tfds.core.DatasetBuilder, kind: type, default: str, key: str, chosen: str | None
) -> str | None:
    """The path of the feature that was chosen, or else the default, or else the only of its kind.

    Of several there is no first: TFDS reads them in another order in each process.
    """
    features = builder.info.features
    of_kind = sorted(k for k, v in single_features(features) if isinstance(v, kind))
    if chosen is None:
        only = of_kind[0] if len(of_kind) == 1 else None
        return default if default in of_kind else only
    path = chosen.replace(".", "/")
    for name in (chosen, path):
        if name in of_kind:
            return name
    start = f"config.data.{key}={chosen!r}"
    choice = f"choose one of {', '.join(of_kind) or 'none, it has no such feature'}"
    if several := _sequence_above(features, path):
        raise UserError(
            f"{start} lies in {several!r}, of which a record of {builder.info.name} holds several,"
            f" and an image has one {'class' if default == 'label' else 'picture'}: {choice}."
        )
    raise UserError(
        f"{start} is not a feature of {builder.info.name} of the type {kind.__name__}: {choice}."
    )


def _sequence_above(features: Any, path: str) -> str | None:
    """The sequence in which a path ends, or through which it leads; None if there is none."""
    keys = path.split("/")
    for depth, key in enumerate(keys):
        if not isinstance(features, tfds.features.FeaturesDict) or key not in features:
            return None
        features = features[key]
        if isinstance(features, tfds.features.Sequence | tfds.features.Dataset):
            return "/".join(keys[: depth + 1])
    return None


def find_parts(
    builder: tfds.core.DatasetBuilder, parts: Parts
) -> dict[str, tuple[Field, Callable[[dict], Any]]]:
    """The fields beside image and class that are asked for, and what reads each from a record.

    Args:
      builder: Of the data set.
      parts: What is asked for.

    Raises:
      UserError: There is no such feature, or it is of another type.
    """
    found: dict[str, tuple[Field, Callable[[dict], Any]]] = {}
    if parts.mask_key:
        path = find_feature(builder, tfds.features.Image, "mask", "mask_key", parts.mask_key)
        assert path is not None
        found["mask"] = Mask(parts.void, parts.mask_classes), lambda x: get(x, path)
    if parts.multi_label_key:
        found["multi_label"] = _multi_label(builder, parts)
    if parts.boxes_key:
        found["boxes"] = _find_boxes(builder, parts)
    return found


def _multi_label(
    builder: tfds.core.DatasetBuilder, parts: Parts
) -> tuple[Field, Callable[[dict], Any]]:
    """The field of several classes, and what reads it."""
    kind = tfds.features.ClassLabel
    classes, path = _inside_sequence(builder, parts.multi_label_key, kind, "multi_label_key")
    field = MultiLabel(classes.num_classes, tuple(classes.names))

    def read(example: dict, path: str = path) -> list[int]:
        return [int(label) for label in get(example, path)]

    if not parts.doubtful_key:
        return field, read
    others, doubtful = _inside_sequence(builder, parts.doubtful_key, kind, "doubtful_key")
    if others.names != classes.names:
        raise UserError(
            f"config.data.doubtful_key={parts.doubtful_key!r} of {builder.info.name} has other "
            f"classes than config.data.multi_label_key={parts.multi_label_key!r}: leave it empty."
        )
    return field, lambda x: Classes(read(x), read(x, doubtful))


def _find_boxes(
    builder: tfds.core.DatasetBuilder, parts: Parts
) -> tuple[Boxes, Callable[[dict], Things]]:
    """The field of boxes, and what reads them with their classes and what is said of them."""
    _, path = _inside_sequence(builder, parts.boxes_key, tfds.features.BBoxFeature, "boxes_key")
    parent = path.rpartition("/")[0]
    beside = {
        name.removeprefix(f"{parent}/"): feature
        for name, feature in _several_features(builder.info.features)
        if parent and name.rpartition("/")[0] == parent
    }
    classes = _class_beside(beside)
    known = beside[classes].num_classes if classes else 1
    names = tuple(beside[classes].names) if classes else ()
    check_box_classes(parts, known, builder.info.name)

    def column(example: dict, name: str | None, missing: Any = None) -> Any:
        return np.asarray(get(example, f"{parent}/{name}")) if name in beside else missing

    def read(example: dict) -> Things:
        boxes = np.asarray(get(example, path))
        return Things(
            boxes,
            column(example, classes, np.zeros(len(boxes))),
            column(example, "is_crowd"),
            column(example, "is_difficult"),
        )

    return Boxes(parts.max_boxes, parts.box_classes, names), read


def get(example: dict, path: str) -> Any:
    """What a record holds at a path such as "objects/bbox"."""
    for key in path.split("/"):
        example = example[key]
    return example


def _several_features(features: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The features of which a record holds several, by their paths."""
    for key, feature in features.items():
        if isinstance(feature, tfds.features.FeaturesDict):
            yield from _several_features(feature, f"{prefix}{key}/")
        elif isinstance(feature, tfds.features.Sequence):
            inside = feature.feature
            if isinstance(inside, tfds.features.FeaturesDict):
                yield from ((f"{prefix}{key}/{name}", each) for name, each in inside.items())
            else:
                yield prefix + key, inside


def _inside_sequence(
    builder: tfds.core.DatasetBuilder, chosen: str, kind: type, key: str
) -> tuple[Any, str]:
    """The feature at a path of which a record holds several."""
    path = chosen.replace(".", "/")
    of_kind = {k: v for k, v in _several_features(builder.info.features) if isinstance(v, kind)}
    if path not in of_kind:
        raise UserError(
            f"config.data.{key}={chosen!r} is not a feature of {builder.info.name} that holds any"
            f" number of the type {kind.__name__}: choose one of"
            f" {', '.join(sorted(of_kind)) or 'none, it has no such feature'}."
        )
    return of_kind[path], path


def _class_beside(beside: dict[str, Any]) -> str | None:
    """The classes of boxes: the feature "label" beside them, or else the only class there."""
    classes = sorted(
        name for name, feature in beside.items() if isinstance(feature, tfds.features.ClassLabel)
    )
    if "label" in classes:
        return "label"
    return classes[0] if len(classes) == 1 else None
