"""One run, put together from its config: mesh, data, method, and the state's place on the mesh."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int
from ml_collections import ConfigDict

from ssljax import data, mesh, methods, metrics, optimizers
from ssljax.errors import UserError
from ssljax.methods.contract import Batch, Method, Task, TrainState
from ssljax.run import memory, pretrained
from ssljax.run.step import init_state, make_step

PyTree = Any
_log = logging.getLogger(__name__)
Step = Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]

_KEPT_BYTES = 256_000_000
"""Of decoded images that evaluations may hold."""


@dataclasses.dataclass(frozen=True)
class Feed:
    """Where the step's batches come from.

    Attributes:
      constants: Arrays that stay on the devices for the whole run; an argument of the step.
      unpack: Makes the batch from (constants, what `batches` gives), inside the step.
      batches: `batches(step)` iterates over placed batches from any train step on.
    """

    constants: PyTree
    unpack: Callable[[PyTree, PyTree], Batch]
    batches: Callable[[int], data.Prefetch]


class Experiment:
    """A run before it runs.

    Args:
      config: The resolved config.
      recorded: What is known of the same run from before, where it goes on or is scored: its method
        is built for the data that it began with.

    Attributes:
      config: The same; `init` holds all that is known of the run that this one starts from.
      mesh: The mesh of all devices.
      source: The training images.
      labelled: Of these the labelled ones, for a method that has batches of them; else None.
      task: What the method was told of data and length.
      method: The method.
      batches_per_step: Fresh batches in one train step: as many as are accumulated for one update,
        times the updates.
      abstract_state: Shapes, types and shardings of the training state.

    Raises:
      UserError: for whatever in the config does not go with the data, the devices or the network.
    """

    def __init__(self, config: ConfigDict, recorded: pretrained.Recorded | None = None) -> None:
        config = pretrained.resolve(config)
        self.config = config
        self.mesh: Mesh = mesh.make_mesh(config.mesh.data, config.mesh.fsdp)
        known = recorded.task if recorded is not None else ConfigDict()
        self._opened = data.open_source(
            config.data.name,
            config.data.split,
            data_dir=config.data.dir or None,
            image_key=config.data.image_key or None,
            label_key=config.data.label_key or None,
            parts=data.Parts(
                **{part.name: config.data[part.name] for part in dataclasses.fields(data.Parts)}
            ),
        )
        whole = _with_labels(config, self._opened, known)
        self.labelled: data.Source | None = None
        kind = methods.REGISTRY[config.method.name]
        rows = _labelled_rows(config, whole) if config.data.labels else None
        if kind.labelled_batches:
            labelled = _all_labelled(config, whole) if rows is None else rows
            self.labelled = _at_least(config.batch_size, whole, labelled)
        self.source = whole
        if rows is not None:
            few = data.FewLabels if kind.sees_unlabelled else data.Subset
            self.source = few(whole, rows)
        if kind.labels_read(config.method) == "all":
            self.source = data.with_labels(self.source, _method(config), every=True)
        self._rows = mesh.local_rows(self.mesh, config.batch_size)
        self._may_keep = _KEPT_BYTES
        updates = kind.updates_per_step(config.method)
        self.batches_per_step = updates * config.optimizer.accumulate
        data.Order(len(self.source), config.batch_size, config.seed)  # Refuses a set of no batch.
        memory.check_images(config, self.mesh, self.batches_per_step, len(self.source))
        num_images = known.get("num_images", len(self.source))
        epoch = num_images // config.batch_size / self.batches_per_step
        side = config.data.image_size
        self.task = Task(
            image_shape=(side, side, config.data.channels),
            batch_size=config.batch_size,
            total_steps=config.steps or max(1, round(config.epochs * epoch)),
            steps_per_epoch=epoch,
            num_classes=self.source.num_classes and known.get("num_classes", whole.num_classes),
            class_names=known.get("class_names", whole.class_names),
            num_images=num_images,
            source=pretrained.build(config),
        )
        self._tell_shorter_warmup()
        with _told_as_misfit():
            self.method: Method = methods.build(config, self.task)
            abstract = jax.eval_shape(self._init)
            if self.task.source is not None:
                taken = pretrained.abstract_state(self.task.source)
                jax.eval_shape(self._start_from, abstract, taken)
        self._crops: tuple[data.Crop, ...] = ()
        if config.data.crop == "host":
            self._crops = data.host_crops(
                self.method.policies, self.source.fields, config.method.name
            )
        self.shardings = mesh.state_shardings(self.mesh, abstract)
        self.abstract_state: TrainState = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            abstract,
            self.shardings,
        )
        memory.check_state(self.abstract_state, self.mesh)
        self._steps: dict[int, Step] = {}

    def _tell_shorter_warmup(self) -> None:
        total, per_epoch = self.task.total_steps, self.task.steps_per_epoch
        settings = optimizers.read_settings(self.config.optimizer.to_dict())
        warmup = settings.warmup(per_epoch)
        if warmup > total and jax.process_index() == 0:
            _log.info(
                "The warm-up of %d steps is longer than the run: it is shortened to the run's %d.",
                warmup,
                total,
            )

    def step(self, phase: int = 0) -> Step:
        """The train step of one phase, `(state, batch) -> (state, metrics)`: traced only once."""
        if phase not in self._steps:
            step = make_step(self.method.in_phase(phase), self.config.optimizer.accumulate)
            self._steps[phase] = jax.jit(step, inline=True)
        return self._steps[phase]

    def trace(self) -> None:
        """Traces the train step of every phase, with shapes alone: nothing is read or computed.

        Views, losses, optimizer and `after_step` thereby say now what the first step would say. The
        step that is compiled later is made of what is traced here.

        Raises:
          UserError: for the first thing in the config that does not fit.
        """
        phases = range(max(1, len(self.method.phases)))
        with _told_as_misfit():
            for phase in phases:
                jax.eval_shape(self.step(phase), self.abstract_state, self._abstract_batch())

    def _abstract_batch(self) -> PyTree:
        """Shapes and types of what the step is fed: see `data.Loader.iterate`."""
        rows = (self.config.batch_size, self.batches_per_step)
        frame = self._frame
        shapes: dict[str, tuple[tuple[int, ...], type]] = {}
        for prefix, source in self._sources().items():
            shapes[f"{prefix}index"] = rows, np.int32
            for name, field in source.fields.items():
                shapes[prefix + name] = (*rows, *field.shape(frame)), field.dtype
        if self._crops:
            del shapes["image"]
            for name, shape in data.HostCrops(self._crops, 0).fields(frame).items():
                shapes[name] = (*rows, *shape), np.uint8
        placed = mesh.batch_sharding(self.mesh)
        return {
            name: jax.ShapeDtypeStruct(shape, dtype, sharding=placed)
            for name, (shape, dtype) in shapes.items()
        }

    def _sources(self) -> dict[str, data.Source]:
        """What a batch is made of, by the prefix of its fields."""
        sources = {"": self.source}
        return sources if self.labelled is None else sources | {"labelled_": self.labelled}

    @functools.cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What the training set is made of: see `data.fingerprint`."""
        return data.fingerprint(self._opened)

    def _init(self) -> TrainState:
        return init_state(self.method, jax.random.key(self.config.seed))

    def init(self) -> TrainState:
        """The untrained state, made in place on the devices; the same for the same seed."""
        return jax.jit(self._init, out_shardings=self.shardings)()

    def start(self) -> TrainState:
        """The state at step 0: untrained, or what the method makes of the run it starts from."""
        if self.task.source is None:
            return self.init()
        source = pretrained.restore(self.config, self.task.source, self.mesh)
        return jax.jit(self._start_from, out_shardings=self.shardings)(self.init(), source)

    def _start_from(self, state: TrainState, source_state: TrainState) -> TrainState:
        assert self.task.source is not None
        return self.method.start_from(state, self.task.source, source_state)

    def load(self, source: data.Source) -> dict[str, np.ndarray]:
        """Reads a whole source as the network is to see it: "image" and perhaps "label"."""
        return data.load_all(source, **self._reading)

    @property
    def _frame(self) -> data.Frame:
        """What every image is brought to."""
        config = self.config.data
        return data.Frame(
            config.image_size, config.channels, config.resize, tuple(config.range) or None
        )

    @property
    def _reading(self) -> dict[str, Any]:
        """How whatever reads a source is to read it."""
        config = self.config.data
        return dict(
            image_size=config.image_size,
            channels=config.channels,
            resize=config.resize,
            value_range=tuple(config.range) or None,
            max_corrupt=config.max_corrupt,
            threads=config.threads or None,
        )

    def scan(
        self,
        source: data.Source,
        batch_size: int,
        order: Int[np.ndarray, "records"] | None = None,
    ) -> data.Scan:
        """Opens a source for passes over it, as the network is to see it.

        The pixels of small sets, 256 MB of all of them together, are kept after their first pass.

        Args:
          source: The images.
          batch_size: Images at once, rounded up to a multiple of the devices.
          order: The places in the source that are read, in this order; all by default.
        """
        config = self.config.data
        batch_size = -(-batch_size // self.mesh.size) * self.mesh.size
        count = len(source) if order is None else len(order)
        size = count * config.image_size**2 * config.channels
        keep = size <= self._may_keep
        self._may_keep -= size if keep else 0
        return data.Scan(
            source,
            batch_size=batch_size,
            rows=mesh.local_rows(self.mesh, batch_size),
            order=order,
            keep=keep,
            **self._reading,
        )

    def feed(self) -> Feed:
        """Opens the training data, streamed from the host or held on the devices."""
        streams = {
            prefix: self._stream(source, self.config.seed + number)
            for number, (prefix, source) in enumerate(self._sources().items())
        }

        def unpack(constants: PyTree, placed: PyTree) -> Batch:
            return {
                prefix + key: array
                for prefix, stream in streams.items()
                for key, array in stream.unpack(constants[prefix], placed[prefix]).items()
            }

        def batches(step: int) -> data.Prefetch:
            host = _together({prefix: stream.host(step) for prefix, stream in streams.items()})
            place = functools.partial(data.to_global, self.mesh, spec=mesh.BATCH)
            return data.Prefetch(host, place, self.config.data.prefetch)

        constants = {prefix: stream.constants for prefix, stream in streams.items()}
        return Feed(constants, unpack, batches)

    def _stream(self, source: data.Source, seed: int) -> _Stream:
        """Opens one set."""
        config = self.config.data
        order: dict[str, Any] = dict(
            batch_size=self.config.batch_size,
            seed=seed,
            batches_per_step=self.batches_per_step,
            rows=self._rows,
        )
        if config.cache == "device":
            arrays = self.load(source)
            size = len(next(iter(arrays.values())))
            return _Stream(
                data.put_on_devices(self.mesh, arrays),
                data.gather,
                lambda step: data.index_batches(size, start_step=step, **order),
            )
        loader = data.Loader(
            source, prefetch=config.prefetch, crops=self._crops, **self._reading, **order
        )
        return _Stream((), lambda _, batch: batch, loader.iterate)


@contextlib.contextmanager
def _told_as_misfit() -> Iterator[None]:
    """Turns what networks, views and losses say of shapes and values into the user's mistake."""
    try:
        yield
    except (ArithmeticError, TypeError, ValueError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"The config does not fit together: {first_line}") from error


class _Stream(NamedTuple):
    """One set of a feed: see `Feed`, but that `host` gives what is not placed yet."""

    constants: PyTree
    unpack: Callable[[PyTree, PyTree], Batch]
    host: Callable[[int], Generator[PyTree, None, None]]


def _together(
    hosts: Mapping[str, Generator[PyTree, None, None]],
) -> Generator[dict[str, PyTree], None, None]:
    """Takes one item of each at a time, without end, and closes them all."""
    with contextlib.ExitStack() as stack:
        for host in hosts.values():
            stack.enter_context(contextlib.closing(host))
        while True:
            yield {name: next(host) for name, host in hosts.items()}


def _with_labels(config: ConfigDict, source: data.Source, known: ConfigDict) -> data.Source:
    """Where labels are read, gives the images the classes of before, and looks for labels."""
    read = methods.REGISTRY[config.method.name].labels_read(config.method)
    if read == "none" and not config.method.online_probe and not config.data.labels:
        return source
    if names := known.get("class_names"):
        source = data.with_classes(source, names, "the training set that this run began with")
    return data.with_labels(source, _method(config), every=False)


def _method(config: ConfigDict) -> str:
    probe = " with its online probe" if config.method.online_probe else ""
    return f"the method {config.method.name}{probe}"


def _all_labelled(config: ConfigDict, source: data.Source) -> Int[np.ndarray, "labelled"] | None:
    """The images that have a label; None if all have one."""
    known = data.read_labels(source, config.data.threads or None) != data.NO_LABEL
    if known.all():
        return None
    if jax.process_index() == 0:
        _log.info("Of %d training images %d have a label.", len(known), known.sum())
    return np.flatnonzero(known)


def _labelled_rows(config: ConfigDict, source: data.Source) -> Int[np.ndarray, "labelled"]:
    """Draws the images whose labels are known."""
    if source.num_classes is None:
        raise UserError(
            f"{source.name}/{source.split} has no labels of which config.data.labels could be "
            "drawn: name the feature in config.data.label_key, or set config.data.labels=0."
        )
    kind = methods.REGISTRY[config.method.name]
    if kind.sees_unlabelled and config.method.online_probe:
        raise UserError(
            "config.method.online_probe learns from the labels of all images, and "
            "config.data.labels keeps most of them back: set one of the two to its default."
        )
    return metrics.labelled_rows(
        data.read_labels(source, config.data.threads or None),
        source.num_classes,
        config.data.labels,
        config.data.labels_seed,
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
