"""What a method is fed: the sources of its feeds, and the stream of batches made of them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int
from ml_collections import ConfigDict

from ssljax import data, mesh, methods
from ssljax.errors import UserError
from ssljax.methods.contract import Batch, Feed

PyTree = Any
_log = logging.getLogger(__name__)

_FROM = {
    "clip": "set config.data.frames to the frames of a clip, or ",
    "mask": "name its feature in config.data.mask_key, or ",
    "boxes": "name its feature in config.data.boxes_key, or a folder's file in "
    "config.data.annotations, or ",
    "multi_label": "name its feature in config.data.multi_label_key, or ",
}
"""Where fields come from that are read only where they are named."""


@dataclasses.dataclass(frozen=True)
class Stream:
    """Where the step's batches come from.

    Attributes:
      constants: Arrays that stay on the devices for the whole run; an argument of the step.
      unpack: Makes the batch from (constants, what `batches` gives), inside the step.
      batches: `batches(step)` iterates over placed batches from any train step on.
      corrupt: How many corrupt images this process has met as it streamed, for which others stand.
    """

    constants: PyTree
    unpack: Callable[[PyTree, PyTree], Batch]
    batches: Callable[[int], data.Prefetch]
    corrupt: Callable[[], int] = lambda: 0


class Sources(NamedTuple):
    """The data of a run.

    Attributes:
      whole: What lies there, by the config's section that names it.
      fed: What is seen of it, by feed.
    """

    whole: dict[str, data.Source]
    fed: dict[str, data.Source]

    def fingerprint(self) -> dict[str, Any]:
        """What the training sets are made of: see `data.fingerprint`."""
        first, *others = map(data.fingerprint, self.whole.values())
        return first | {
            "images": first["images"] + sum(other["images"] for other in others),
            "digest": "-".join([first["digest"], *(other["digest"] for other in others)]),
        }


def own_keys(config: ConfigDict, feed: Feed) -> dict[str, Any]:
    """The keys of the config's section that names a feed's data set, but for the empty ones."""
    own = functools.reduce(lambda part, key: part[key], feed.data.split("."), config)
    return {key: value for key, value in own.to_dict().items() if value != ""}


def section(config: ConfigDict, feed: Feed) -> ConfigDict:
    """The keys of `config.data` for a feed: those of its own section go before."""
    return ConfigDict(config.data.to_dict() | own_keys(config, feed))


@contextlib.contextmanager
def told_with_section(feed: Feed) -> Generator[None, None, None]:
    """Says of what is wrong with a feed's data set in which section that is named."""
    try:
        yield
    except UserError as error:
        if feed.data == Feed.data:
            raise
        raise UserError(
            f"Of config.{feed.data}, whose other keys are those of config.data: {error}"
        ) from error


def open_source(keys: ConfigDict) -> data.Source:
    """Opens the set that keys such as those of `config.data` name.

    Raises:
      UserError: If it is not there.
    """
    return data.open_source(
        keys.name,
        keys.split,
        data_dir=keys.dir or None,
        image_key=keys.image_key or None,
        label_key=keys.label_key or None,
        parts=parts(keys),
    )


def open_sources(config: ConfigDict, known: ConfigDict) -> Sources:
    """Opens what the method of a config is fed.

    Args:
      config: The whole resolved config.
      known: What the same run's `Task` was before, where it goes on; else empty.

    Raises:
      UserError: If there is no such set, or it has not the labels or fields that are read.
    """
    feeds = methods.feeds(config)
    whole: dict[str, data.Source] = {}
    named: dict[str, data.Source] = {}  # With the classes of before, where labels are read.
    fed = {}
    for name, feed in feeds.items():
        keys = section(config, feed)
        if feed.data not in whole:
            with told_with_section(feed):
                opened = open_source(keys)
            beside = [other for other in feeds.values() if other.data == feed.data]
            if keys.labels or any("label" in other.fields for other in beside):
                names = () if whole else known.get("class_names", ())
                named[feed.data] = _with_labels(config, opened, names)
            whole[feed.data] = opened
        fed[name] = _seen(config, keys, feed, named.get(feed.data, whole[feed.data]))
        for field in feed.fields:
            # A method learns from its task's `num_classes` that there are no labels.
            if field not in (*_shapes(keys, fed[name]), "label"):
                raise UserError(
                    f"{fed[name].name}/{fed[name].split} has no field {field!r}, which "
                    f"{_method(config)} reads: {_FROM.get(field, '')}choose another data set in "
                    f"config.{feed.data}.name."
                )
    return Sources(whole, fed)


def parts(keys: ConfigDict) -> data.Parts:
    """What is read of each record besides its image and its class."""
    return data.Parts(**{part.name: keys[part.name] for part in dataclasses.fields(data.Parts)})


def _seen(config: ConfigDict, keys: ConfigDict, feed: Feed, whole: data.Source) -> data.Source:
    """What a feed shows of a set: see `Feed.unlabelled`."""
    rows = _labelled_rows(config, keys, feed, whole) if keys.labels else None
    if feed.unlabelled == "left_out":
        rows = _all_labelled(keys, whole) if rows is None else rows
        return _at_least(config.batch_size, whole, rows)
    source = whole
    if rows is not None:
        source = (data.FewLabels if feed.unlabelled == "seen" else data.Subset)(whole, rows)
    if feed.unlabelled == "refused":
        source = data.with_labels(source, _method(config), every=True)
    return source


def abstract_batch(
    config: ConfigDict,
    sources: Sources,
    updates: int,
    on: Mesh,
    crops: Sequence[data.Crop] = (),
) -> PyTree:
    """Shapes and types of what the step is fed: see `data.Loader.iterate`.

    Args:
      config: The whole resolved config.
      sources: What `open_sources` gave.
      updates: Batches in one train step.
      on: The mesh.
      crops: What the host cuts from each image, in place of the images.
    """
    placed = mesh.batch_sharding(on)
    batch = {}
    for name, feed in methods.feeds(config).items():
        cut = crops if "image" in feed.fields else ()
        shapes = _shapes(section(config, feed), sources.fed[name], cut)
        batch[name] = {
            field: jax.ShapeDtypeStruct(
                (config.batch_size, updates, *shape), dtype, sharding=placed
            )
            for field, (shape, dtype) in _wanted(feed, shapes).items()
        }
    return batch


def _shapes(
    keys: ConfigDict, source: data.Source, crops: Sequence[data.Crop] = ()
) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape and type of each field of one record."""
    frame = data.Frame(keys.image_size, keys.channels, keys.resize, tuple(keys.range) or None)
    fields = {name: (field.shape(frame), field.dtype) for name, field in source.fields.items()}
    if crops and "image" in fields:
        del fields["image"]
        cut = data.HostCrops(crops, 0).fields(frame)
        fields |= {name: (shape, np.uint8) for name, shape in cut.items()}
    return {"index": ((), np.int32), **fields}


def open_stream(
    config: ConfigDict,
    sources: Sources,
    updates: int,
    on: Mesh,
    crops: Sequence[data.Crop] = (),
) -> Stream:
    """Opens the training data, streamed from the host or held on the devices.

    Args:
      config: The whole resolved config.
      sources: What `open_sources` gave.
      updates: Batches in one train step.
      on: The mesh.
      crops: What the host cuts from each image, in place of the images.
    """
    parts = {
        name: _open_part(config, feed, sources.fed[name], config.seed + number, updates, on, crops)
        for number, (name, feed) in enumerate(methods.feeds(config).items())
    }

    def unpack(constants: PyTree, placed: PyTree) -> Batch:
        return {name: part.unpack(constants[name], placed[name]) for name, part in parts.items()}

    def batches(step: int) -> data.Prefetch:
        host = _together({name: part.host(step) for name, part in parts.items()})
        place = functools.partial(data.to_global, on, spec=mesh.BATCH)
        return data.Prefetch(host, place, config.data.prefetch)

    def corrupt() -> int:
        return sum(part.corrupt() for part in parts.values())

    constants = {name: part.constants for name, part in parts.items()}
    return Stream(constants, unpack, batches, corrupt)


class _Part(NamedTuple):
    """The stream of one feed: see `Stream`, but that `host` gives what is not placed yet."""

    constants: PyTree
    unpack: Callable[[PyTree, PyTree], dict[str, Array]]
    host: Callable[[int], Generator[PyTree, None, None]]
    corrupt: Callable[[], int] = lambda: 0


def _open_part(
    config: ConfigDict,
    feed: Feed,
    source: data.Source,
    seed: int,
    updates: int,
    on: Mesh,
    crops: Sequence[data.Crop],
) -> _Part:
    keys = section(config, feed)
    order: dict[str, Any] = dict(
        batch_size=config.batch_size,
        seed=seed,
        batches_per_step=updates,
        rows=mesh.local_rows(on, config.batch_size),
    )
    if keys.cache == "device":
        arrays = load(keys, source)
        size = len(next(iter(arrays.values())))
        return _Part(
            data.put_on_devices(on, _wanted(feed, arrays)),
            lambda constants, placed: _wanted(feed, data.gather(constants, placed)),
            lambda step: data.index_batches(size, start_step=step, **order),
        )
    cut = crops if "image" in feed.fields else ()
    loader = data.Loader(source, prefetch=keys.prefetch, crops=cut, **reading(keys), **order)

    def host(step: int) -> Generator[PyTree, None, None]:
        with contextlib.closing(loader.iterate(step)) as batches:
            for batch in batches:
                yield _wanted(feed, batch)

    return _Part((), lambda _, batch: batch, host, lambda: len(loader.corrupt))


def load(keys: ConfigDict, source: data.Source) -> dict[str, np.ndarray]:
    """Reads a whole source as the network is to see it: an array for each field."""
    return data.load_all(source, **reading(keys))


def reading(keys: ConfigDict) -> dict[str, Any]:
    """How a source is read: arguments of `data.Loader`, `data.Scan` and `data.load_all`."""
    return dict(
        image_size=keys.image_size,
        channels=keys.channels,
        resize=keys.resize,
        value_range=tuple(keys.range) or None,
        max_corrupt=keys.max_corrupt,
        threads=keys.threads or None,
    )


def _wanted(feed: Feed, batch: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a feed reads; of its images there may be the crops instead."""
    wanted = {name: array for name, array in batch.items() if name in feed.fields}
    if "image" in feed.fields and "image" not in batch:
        wanted |= {name: array for name, array in batch.items() if data.is_crop(name)}
    return wanted


def _together(
    hosts: Mapping[str, Generator[PyTree, None, None]],
) -> Generator[dict[str, PyTree], None, None]:
    """Takes one item of each at a time, without end, and closes them all."""
    with contextlib.ExitStack() as stack:
        for host in hosts.values():
            stack.enter_context(contextlib.closing(host))
        while True:
            yield {name: next(host) for name, host in hosts.items()}


def _with_labels(config: ConfigDict, source: data.Source, names: Any) -> data.Source:
    """Gives the images the classes of before, and looks for labels."""
    if names:
        source = data.with_classes(source, names, "the training set that this run began with")
    return data.with_labels(source, _method(config), every=False)


def _method(config: ConfigDict) -> str:
    probe = " with its online probe" if config.method.online_probe else ""
    return f"the method {config.method.name}{probe}"


def _all_labelled(keys: ConfigDict, source: data.Source) -> Int[np.ndarray, "labelled"] | None:
    """The images that have a label; None if all have one."""
    known = data.read_labels(source, keys.threads or None) != data.NO_LABEL
    if known.all():
        return None
    if jax.process_index() == 0:
        _log.info("Of %d training images %d have a label.", len(known), known.sum())
    return np.flatnonzero(known)


def _labelled_rows(
    config: ConfigDict, keys: ConfigDict, feed: Feed, source: data.Source
) -> Int[np.ndarray, "labelled"]:
    """Draws the images whose labels are known."""
    if source.num_classes is None:
        raise UserError(
            f"{source.name}/{source.split} has no labels of which config.data.labels could be "
            "drawn: name the feature in config.data.label_key, or set config.data.labels=0."
        )
    if feed.unlabelled == "seen" and config.method.online_probe:
        raise UserError(
            "config.method.online_probe learns from the labels of all images, and "
            "config.data.labels keeps most of them back: set one of the two to its default."
        )
    return data.labelled_rows(
        data.read_labels(source, keys.threads or None),
        source.num_classes,
        keys.labels,
        keys.labels_seed,
        key="config.data.labels",
        class_names=source.class_names,
    )


def _at_least(
    batch_size: int, source: data.Source, rows: Int[np.ndarray, "labelled"] | None
) -> data.Source:
    """The labelled images, each as often as it takes to fill a batch."""
    if rows is None:
        return source
    return data.Subset(source, np.tile(rows, -(-batch_size // len(rows))))
