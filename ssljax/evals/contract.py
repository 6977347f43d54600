"""What an evaluation is, and what it is given of a run.

An evaluation checks before training that it will be possible, and later scores states. The program
that runs them, `ssljax.evaluate`, knows none of them: it finds them in `ssljax.evals.REGISTRY`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
from ml_collections import ConfigDict

from ssljax import data
from ssljax.errors import UserError
from ssljax.methods.contract import Feed, Method, TrainState
from ssljax.methods.protocols import Generator
from ssljax.report import GENERATORS, TRANSLATORS, Picture
from ssljax.run import feeds
from ssljax.run.experiment import Experiment

Made = TypeVar("Made")


class Rows(NamedTuple):
    """Names of the rows of a table; empty where there is no such row.

    Attributes:
      without: The baseline without a network.
      untrained: The state at step 0.
      trained: The state that is asked for.
    """

    without: str
    untrained: str
    trained: str


NETWORK = Rows("raw pixels", "random network", "trained network")
GENERATOR = Rows(*GENERATORS)
TRANSLATOR = Rows(*TRANSLATORS)


@dataclasses.dataclass(frozen=True)
class Scores:
    """What an evaluation finds.

    Attributes:
      values: By name; the spread of "x" is "x_std".
      pictures: By name.
      notes: By name, what the page of a run draws and no table holds, such as places on a map: what
        JSON can hold.
    """

    values: dict[str, float] = dataclasses.field(default_factory=dict)
    pictures: dict[str, Picture] = dataclasses.field(default_factory=dict)
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)


class Evaluation:
    """Base of all evaluations.

    Attributes:
      name: Its key in the registry, of its own keys `config.evals.<name>`, and in
        `config.evals.final`.
      higher_is_better: Whether the best checkpoint may be chosen by its scores.
      rows: The rows of the table that its scores fill.
    """

    name: str
    higher_is_better: bool = True
    rows: Rows = NETWORK

    @staticmethod
    def default_config() -> ConfigDict:
        """Its own keys; `every`, the interval in train steps, is added to them."""
        return ConfigDict()

    def stages(self, run: Run) -> tuple[str, ...]:
        """The layers that it reads, for the caption of a table."""
        return tuple(run.config.stages)

    def check(self, run: Run) -> tuple[str, ...]:
        """Opens what will be needed; labels may be read, but no images.

        Args:
          run: Whose states will be scored.

        Returns:
          Names of the scores to come, without their spreads.

        Raises:
          UserError: If they cannot be computed.
        """
        raise TypeError(f"{type(self).__name__} does not define check")

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores a state.

        Args:
          run: Whose state it is.
          state: The training state; None for the row `without` a network.

        Returns:
          What is found; nothing where that row says nothing.
        """
        raise TypeError(f"{type(self).__name__} does not define score")


class Run:
    """What evaluations are given of one run.

    Images stream from their source through the networks, whenever they are needed. What several
    evaluations need is made once.

    Args:
      experiment: The run.

    Attributes:
      experiment: The same.
      config: Its keys under `evals`.
      mesh: Its devices.
      dataset: Name of the set that is scored on.
      origin: Where it is made what does not depend on that set: the run itself, or the one that
        `elsewhere` was asked of.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.config = experiment.config.evals
        self.mesh = experiment.mesh
        self.dataset: str = self.config.name or experiment.config.data.name
        self.origin: Run = self
        self._feature_keys: dict[str, str] = {}
        self._made: dict[Any, Any] = {}
        self._shared: dict[Any, Callable[[], Any]] = {}

    def method(self, state: TrainState) -> Method:
        """The method with the graph of a state's step; for a state's shape, with the first."""
        step = state.step
        first = isinstance(step, jax.ShapeDtypeStruct)
        return self.experiment.method if first else self.experiment.method_at(int(step))

    def generator(self, state: TrainState) -> Generator:
        """The same, of a run whose method draws images."""
        method = self.method(state)
        assert isinstance(method, Generator)
        return method

    def once(self, make: Callable[..., Made], *arguments: Any) -> Made:
        """What `make(run, *arguments)` gives, made at most once a run."""
        key = make, arguments
        if key not in self._made:
            self._made[key] = make(self, *arguments)
        made: Made = self._made[key]
        return made

    def shared(self, make: Callable[[Run, TrainState | None], Made], state: Any) -> Made:
        """What `make(run, state)` gives, or raises, made at most once before `forget`."""
        if make not in self._shared:
            self._shared[make] = _outcome(make, self, state)
        made: Made = self._shared[make]()
        return made

    def forget(self) -> None:
        """Lets go of what the evaluations of one state have shared."""
        self._shared.clear()

    def keys(self, split: str, feed: Feed | None = None) -> ConfigDict:
        """What a split is opened by: keys as those of `config.data`.

        Without a feed of clips the frames of a folder's videos are images.

        Args:
          split: Which.
          feed: Of whose data set; by default of that of the evaluations, which also stands for the
            name and the place that a feed's own section leaves empty.
        """
        config = self.experiment.config
        keys = config.data.to_dict()
        # A folder of images or videos is no place where prepared sets are.
        elsewhere = keys["name"] == "folder" and self.dataset != "folder"
        place = self.config.dir or ("" if elsewhere else keys["dir"])
        keys |= {"name": self.dataset, "dir": place, **self._feature_keys}
        if feed is None or "clip" not in feed.fields:
            keys |= {"frames": 0}
        if feed is not None and feed.data != Feed.data:
            keys |= feeds.own_keys(config, feed)
        return ConfigDict(keys | {"split": split})

    def elsewhere(self, name: str, train_split: str, test_split: str, place: str = "") -> Run:
        """The same run, to be scored on another data set, whose features have their usual names.

        Args:
          name: Of the set.
          train_split: To learn from.
          test_split: To report on.
          place: The set's directory; by default that of the evaluations.
        """
        return self.once(_elsewhere, name, train_split, test_split, place)

    def name_of(self, split: str) -> str:
        """A split of the evaluations' data set, as messages call it."""
        return f"{self.dataset}/{split}"

    def open(self, split: str, names: tuple[str, ...] = (), owner: str = "") -> data.Scan:
        """Opens a split of the evaluations' data set.

        Args:
          split: Which.
          names: Of classes whose numbers its labels shall have; its own if there are none.
          owner: Whose classes they are, for the message.

        Returns:
          Passes over its images.

        Raises:
          UserError: If it is not there, or has classes of other names.
        """
        return self.once(_open, split, names, owner)


def _outcome(make: Callable[..., Made], *arguments: Any) -> Callable[[], Made]:
    """Gives again what a call has given, or raises again what it has raised."""
    try:
        made = make(*arguments)
    except Exception as raised:
        error = raised

        def again() -> Made:
            raise error

        return again
    return lambda: made


def _elsewhere(run: Run, name: str, train_split: str, test_split: str, place: str) -> Run:
    other = Run(run.experiment)
    other.config = run.config.copy_and_resolve_references()
    other.config.update(
        name=name, train_split=train_split, test_split=test_split, dir=place or run.config.dir
    )
    other.dataset, other.origin = name, run.origin
    other._feature_keys = {key: "" for key in run.experiment.config.data if key.endswith("_key")}
    return other


def _open(run: Run, split: str, names: tuple[str, ...], owner: str) -> data.Scan:
    if names:
        plain = run.open(split)
        source = data.with_classes(plain.source, names, owner)
        if source is plain.source:
            return plain
        return run.experiment.scan(source, run.config.batch_size)
    source = feeds.open_source(run.keys(split))
    if "image" not in source.fields:
        raise UserError(
            f"{run.name_of(split)} has no images that could be scored: name another set in "
            "config.evals.name, or set config.evals.final=()."
        )
    return run.experiment.scan(source, run.config.batch_size)


def leave_out(name: str) -> str:
    """How to do without an evaluation, for messages."""
    return f'take "{name}" out of config.evals.final and leave config.evals.{name}.every at 0'
