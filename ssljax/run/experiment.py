"""One run, put together from its config: mesh, data, method, and the state's place on the mesh."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int
from ml_collections import ConfigDict

from ssljax import data, mesh, methods, optimizers
from ssljax.errors import UserError, first_line
from ssljax.methods.contract import Batch, Method, Task, TrainState, phase_at
from ssljax.run import feeds, memory, pretrained, weights
from ssljax.run.step import init_state, make_step

PyTree = Any
_log = logging.getLogger(__name__)
Step = Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]

_KEPT_BYTES = 256_000_000
"""Of decoded images that evaluations may hold."""


class Experiment:
    """A run, ready to start.

    Args:
      config: The resolved config.
      recorded: What an existing run has recorded, if it is resumed or scored: its method is built
        for the data that it began with.

    Attributes:
      config: The same; `init` holds all that is known of the run that this one starts from.
      mesh: The mesh of all devices.
      sources: What the method is fed.
      source: That of its first feed, by which epochs are counted.
      task: What the method knows of data and length.
      method: The method, in the first of its phases; see `method_at`.
      batches_per_step: Fresh batches in one train step: as many as are accumulated for one update,
        times the updates.
      abstract_state: Shapes, types and shardings of the training state.

    Raises:
      UserError: If something in the config does not fit the data, the devices or the network.
    """

    def __init__(self, config: ConfigDict, recorded: pretrained.Recorded | None = None) -> None:
        config = pretrained.resolve(config)
        self.config = config
        self.mesh: Mesh = mesh.make_mesh(config.mesh.data, config.mesh.fsdp)
        known = recorded.task if recorded is not None else ConfigDict()
        self.sources = feeds.open_sources(config, known)
        self.source = next(iter(self.sources.fed.values()))
        self._may_keep = _KEPT_BYTES
        sizes = [len(source) for source in self.sources.fed.values()]
        for size, feed in zip(sizes, methods.feeds(config).values(), strict=True):
            with feeds.told_with_section(feed):
                data.Order(size, config.batch_size, config.seed)  # Refuses less than one batch.
        self.method: Method
        self.task, self.method = self._build(known)
        self._methods = {self.task.phase: self.method}
        updates = max(player.updates for player in self.method.players)
        self.batches_per_step = updates * config.optimizer.accumulate
        memory.check_images(config, self.mesh, self.batches_per_step, sum(sizes))
        self._tell_shorter_warmup()
        with _told_as_misfit():
            abstract = jax.eval_shape(self._init)
            if self.task.source is not None:
                taken = pretrained.abstract_state(self.task.source)
                jax.eval_shape(self._start_from, abstract, taken)
        if self._file:
            weights.check(abstract)
        self._crops: tuple[data.Crop, ...] = ()
        if config.data.crop == "host":
            for name, feed in methods.feeds(config).items():
                if "image" in feed.fields:
                    fields = self.sources.fed[name].fields
                    self._crops = data.host_crops(self.method.policies, fields, config.method.name)
        self.shardings = mesh.state_shardings(self.mesh, abstract)
        self.abstract_state: TrainState = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            abstract,
            self.shardings,
        )
        memory.check_state(self.abstract_state, self.mesh)
        self._steps: dict[int, Step] = {}

    def _build(self, known: ConfigDict) -> tuple[Task, Method]:
        """Builds the task and the method.

        How many steps an epoch has depends on the players' updates, so a method of several updates
        is built twice.
        """
        config, source = self.config, self.source
        whole = next(iter(self.sources.whole.values()))
        num_images = known.get("num_images", len(source))
        side = config.data.image_size
        pretrained_method = pretrained.build(config)

        def task(updates: int) -> Task:
            batches = num_images // config.batch_size
            epoch = batches / (updates * config.optimizer.accumulate)
            return Task(
                image_shape=(side, side, config.data.channels),
                batch_size=config.batch_size,
                total_steps=config.steps or max(1, round(config.epochs * epoch)),
                steps_per_epoch=epoch,
                num_classes=source.num_classes and known.get("num_classes", whole.num_classes),
                class_names=known.get("class_names", whole.class_names),
                label_names=known.get("label_names", data.label_names(whole)),
                num_images=num_images,
                source=pretrained_method,
            )

        with _told_as_misfit():
            told = task(updates=1)
            method = methods.build(config, told)
            updates = max(player.updates for player in method.players)
            if updates > 1:
                told = task(updates)
                method = methods.build(config, told)
        return told, method

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
            step = make_step(self.method_in(phase), self.config.optimizer.accumulate)
            self._steps[phase] = jax.jit(step, inline=True)
        return self._steps[phase]

    def method_in(self, phase: int) -> Method:
        """The method with the graph of one of its phases."""
        if phase not in self._methods:
            task = dataclasses.replace(self.task, phase=phase)
            self._methods[phase] = methods.build(self.config, task)
        return self._methods[phase]

    def method_at(self, step: int) -> Method:
        """The method by whose graph a state of so many steps was trained: see `build_at`."""
        return self.method_in(phase_at(self.method.phases, max(0, step - 1))[0])

    def trace(self) -> None:
        """Traces the train step of every phase, with shapes alone: nothing is read or computed.

        Errors that the first step would meet in views, losses, optimizer or `after_step` show up
        now. The step that is compiled later is made from what is traced here.

        Raises:
          UserError: For the first thing in the config that does not fit.
        """
        phases = range(max(1, len(self.method.phases)))
        with _told_as_misfit():
            for phase in phases:
                jax.eval_shape(self.step(phase), self.abstract_state, self._abstract_batch())

    @property
    def _fed(self) -> tuple[ConfigDict, feeds.Sources, int, Mesh, tuple[data.Crop, ...]]:
        return self.config, self.sources, self.batches_per_step, self.mesh, self._crops

    def _abstract_batch(self) -> PyTree:
        return feeds.abstract_batch(*self._fed)

    @functools.cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What the training set is made of: see `data.fingerprint`."""
        return self.sources.fingerprint()

    def _init(self) -> TrainState:
        return init_state(self.method, jax.random.key(self.config.seed))

    def init(self) -> TrainState:
        """The untrained state, made in place on the devices; the same for the same seed."""
        return jax.jit(self._init, out_shardings=self.shardings)()

    @property
    def _file(self) -> str:
        """The file of published weights that the encoder starts with, if one is named."""
        return str(self.config.get("pretrained", ConfigDict({"weights": ""})).weights)

    def start(self) -> TrainState:
        """The state at step 0.

        It is untrained, or has the weights of a file, or is what the method makes of the run that
        it starts from.
        """
        if self._file:
            keys = self.config.model.get("encoder")
            return weights.start_with(self.init(), self._file, self.shardings, keys)
        if self.task.source is None:
            return self.init()
        source = pretrained.restore(self.config, self.task.source, self.mesh)
        return jax.jit(self._start_from, out_shardings=self.shardings)(self.init(), source)

    def _start_from(self, state: TrainState, source_state: TrainState) -> TrainState:
        assert self.task.source is not None
        return self.method.start_from(state, self.task.source, source_state)

    def load(self, source: data.Source) -> dict[str, np.ndarray]:
        """Reads a whole source as the network is to see it: "image" and perhaps "label"."""
        return feeds.load(self.config.data, source)

    def scan(
        self,
        source: data.Source,
        batch_size: int,
        order: Int[np.ndarray, "records"] | None = None,
        may_keep: bool = True,
    ) -> data.Scan:
        """Opens a source for passes over it, as the network is to see it.

        The pixels of small sets, 256 MB of all of them together, are kept after their first pass.

        Args:
          source: The images.
          batch_size: Images at once, rounded up to a multiple of the devices.
          order: The places in the source that are read, in this order; all by default.
          may_keep: Whether there will be several passes, for which pixels may be kept.
        """
        config = self.config.data
        batch_size = -(-batch_size // self.mesh.size) * self.mesh.size
        count = len(source) if order is None else len(order)
        size = count * config.image_size**2 * config.channels
        keep = may_keep and size <= self._may_keep
        self._may_keep -= size if keep else 0
        return data.Scan(
            source,
            batch_size=batch_size,
            rows=mesh.local_rows(self.mesh, batch_size),
            order=order,
            keep=keep,
            **feeds.reading(config),
        )

    def stream(self) -> feeds.Stream:
        """Opens the training data, streamed from the host or held on the devices."""
        return feeds.open_stream(*self._fed)


@contextlib.contextmanager
def _told_as_misfit() -> Iterator[None]:
    """Turns errors of networks, views and losses about shapes and values into a `UserError`."""
    try:
        yield
    except (ArithmeticError, TypeError, ValueError) as error:
        raise UserError(f"The config does not fit together: {first_line(error)}") from error
