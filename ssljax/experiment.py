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

from ssljax import data, evals, memory, mesh, methods, optimizers, parent, state
from ssljax.errors import UserError
from ssljax.methods.contract import Batch, Method, Task, TrainState

PyTree = Any
_log = logging.getLogger(__name__)
Step = Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]


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

    Attributes:
      config: The same; `init` holds all that is known of the run that this one starts from.
      mesh: The mesh of all devices.
      source: The training images.
      labelled: Of these the labelled ones, for a method that has batches of them; else None.
      task: What the method was told of data and length.
      method: The method.
      updates: Fresh batches in one train step.
      abstract_state: Shapes, types and shardings of the training state.

    Raises:
      UserError: for whatever in the config does not go with the data, the devices or the network.
    """

    def __init__(self, config: ConfigDict) -> None:
        config = parent.resolve(config)
        self.config = config
        self.mesh: Mesh = mesh.make_mesh(config.mesh.data, config.mesh.fsdp)
        self.source = data.open_source(
            config.data.name,
            config.data.split,
            data_dir=config.data.dir or None,
            image_key=config.data.image_key or None,
            label_key=config.data.label_key or None,
        )
        self.labelled: data.Source | None = None
        kind = methods.TABLE[config.method.name]
        rows = _labelled_rows(config, self.source) if config.data.labels else None
        if kind.labelled_batches:
            self.labelled = _at_least(config.batch_size, self.source, rows)
        if rows is not None:
            few = data.FewLabels if kind.sees_unlabelled else data.Subset
            self.source = few(self.source, rows)
        self._rows = mesh.local_rows(self.mesh, config.batch_size)
        self.updates = kind.batches_per_step(config.method)
        order = data.Order(len(self.source), config.batch_size, config.seed, self.updates)
        batches = order.batches_per_epoch
        memory.check_images(config, self.mesh, self.updates, len(self.source))
        side = config.data.image_size
        self.task = Task(
            image_shape=(side, side, config.data.channels),
            batch_size=config.batch_size,
            total_steps=config.steps or max(1, round(config.epochs * batches / self.updates)),
            steps_per_epoch=max(1, batches // self.updates),
            num_classes=self.source.num_classes,
            num_images=len(self.source),
            source=parent.build(config),
        )
        self._tell_shorter_warmup()
        with _told_as_misfit():
            self.method: Method = methods.build(config, self.task)
            abstract = jax.eval_shape(self._init)
            if self.task.source is not None:
                taken = parent.abstract_state(self.task.source)
                jax.eval_shape(self._start_from, abstract, taken)
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
            step = state.make_step(self.method.in_phase(phase))
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
        rows = (self.config.batch_size, self.updates)
        shapes: dict[str, tuple[tuple[int, ...], type]] = {}
        for prefix, source in self._sources().items():
            shapes[f"{prefix}image"] = (*rows, *self.task.image_shape), np.uint8
            shapes[f"{prefix}index"] = rows, np.int32
            if source.num_classes is not None:
                shapes[f"{prefix}label"] = rows, np.int32
        placed = mesh.batch_sharding(self.mesh)
        return {
            name: jax.ShapeDtypeStruct(shape, dtype, sharding=placed)
            for name, (shape, dtype) in shapes.items()
        }

    def _sources(self) -> dict[str, data.Source]:
        """What a batch is made of, by the prefix of its fields."""
        sources = {"": self.source}
        return sources if self.labelled is None else sources | {"labelled_": self.labelled}

    def _init(self) -> TrainState:
        return state.init_state(self.method, jax.random.key(self.config.seed))

    def init(self) -> TrainState:
        """The untrained state, made in place on the devices; the same for the same seed."""
        return jax.jit(self._init, out_shardings=self.shardings)()

    def start(self) -> TrainState:
        """The state at step 0: untrained, or what the method makes of the run it starts from."""
        if self.task.source is None:
            return self.init()
        source = parent.restore(self.config, self.task.source, self.mesh)
        return jax.jit(self._start_from, out_shardings=self.shardings)(self.init(), source)

    def _start_from(self, state: TrainState, source_state: TrainState) -> TrainState:
        assert self.task.source is not None
        return self.method.start_from(state, self.task.source, source_state)

    def load(self, source: data.Source) -> dict[str, np.ndarray]:
        """Reads a whole source as the network is to see it: "image" and perhaps "label"."""
        config = self.config.data
        return data.load_all(
            source,
            image_size=config.image_size,
            channels=config.channels,
            resize=config.resize,
            max_corrupt=config.max_corrupt,
            threads=config.threads or None,
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
            batches_per_step=self.updates,
            rows=self._rows,
        )
        if config.cache == "device":
            arrays = self.load(source)
            size = len(arrays["image"])
            return _Stream(
                data.put_on_devices(self.mesh, arrays),
                data.gather,
                lambda step: data.index_batches(size, start_step=step, **order),
            )
        loader = data.Loader(
            source,
            image_size=config.image_size,
            channels=config.channels,
            resize=config.resize,
            threads=config.threads or None,
            prefetch=config.prefetch,
            max_corrupt=config.max_corrupt,
            **order,
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


def _labelled_rows(config: ConfigDict, source: data.Source) -> Int[np.ndarray, "labelled"]:
    """Draws the images whose labels are known."""
    if source.num_classes is None:
        raise UserError(
            f"{source.name}/{source.split} has no labels of which config.data.labels could be "
            "drawn: name the feature in config.data.label_key, or set config.data.labels=0."
        )
    kind = methods.TABLE[config.method.name]
    if kind.sees_unlabelled and config.method.online_probe:
        raise UserError(
            "config.method.online_probe learns from the labels of all images, and "
            "config.data.labels keeps most of them back: set one of the two to its default."
        )
    return evals.labelled_rows(
        data.read_labels(source, config.data.threads or None),
        source.num_classes,
        config.data.labels,
        config.data.labels_seed,
        key="config.data.labels",
    )


def _at_least(
    batch_size: int, source: data.Source, rows: Int[np.ndarray, "labelled"] | None
) -> data.Source:
    """The labelled images, each as often as it takes to fill a batch."""
    if rows is None:
        return source
    return data.Subset(source, np.tile(rows, -(-batch_size // len(rows))))
