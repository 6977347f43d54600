"""What a method is: a game of one or more players over one training state.

A method names its players, its views and what happens after the step. The step itself, the loop,
the checkpoints and the evaluations are the same for all methods and know none of them.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models

PyTree = Any
Batch = Mapping[str, Mapping[str, Array]]
"""Feed -> field -> array with the batch axis first: see `Feed`.

Of one image: "image" (uint8, NHWC), "index", the image's place in the training set (that of the
corrupt image where another stands in for it), and "label", -1 for an image without one.
"""


class TrainState(struct.PyTreeNode):
    """All that a run carries from step to step, and all that a checkpoint holds.

    Attributes:
      step: Number of finished train steps, an int32 scalar: the one clock of all schedules.
      params: Parameters by player.
      variables: Mutable collections (batch statistics, ...) by player.
      opt_state: Optimizer state by player.
      memory: What the method carries besides parameters: target network, queue, centre, image pool.
      key: The run's random key. It never changes; each step folds its own number into it.
    """

    # As for any pytree, transformations put shapes, shardings or None in the arrays' places.
    step: Any
    params: dict[str, PyTree]
    variables: dict[str, PyTree]
    opt_state: dict[str, PyTree]
    memory: PyTree
    key: Any


class Aux(struct.PyTreeNode):
    """What a loss returns besides its value.

    Attributes:
      variables: New mutable collections of the player's own networks; empty changes nothing.
      metrics: Scalars to log.
      carry: Arrays with a row for each image (or for each batch), for the players that follow in
        the same step, and for `after_step`.
      memory: New entries of `state.memory` that every batch changes, such as the batch statistics
        of a target network; empty changes nothing.

    An update may take several batches. `variables` and `memory` go from one to the next, metrics
    are averaged, and of what is carried `after_step` gets the rows of all batches together.
    """

    variables: dict[str, PyTree] = struct.field(default_factory=dict)
    metrics: dict[str, Any] = struct.field(default_factory=dict)
    carry: dict[str, PyTree] = struct.field(default_factory=dict)
    memory: dict[str, PyTree] = struct.field(default_factory=dict)


class Turn(struct.PyTreeNode):
    """What a loss is given besides the parameters that it is differentiated by.

    Attributes:
      state: The state as it is by now: the other players' parameters are read from it, frozen.
      views: What `Method.views` makes of the batch.
      key: Of this player, step and batch.
      batch: The raw batch.
      carried: What earlier players of this step put in their `carry`, in their last update. Where
        an update takes several batches, what was carried of the one in the same place.
    """

    state: TrainState
    views: PyTree
    key: PRNGKeyArray
    batch: Batch = struct.field(default_factory=dict)
    carried: Mapping[str, PyTree] = struct.field(default_factory=dict)


Loss = Callable[[PyTree, Turn], tuple[Array, Aux]]
"""`loss(params, turn) -> (scalar, Aux)`, differentiated by `params`, which are the player's own."""


@dataclasses.dataclass(frozen=True)
class Player:
    """One side of the game: a loss and the optimizer of the parameters that it owns.

    Attributes:
      name: Key of the player's entries in the state, and prefix of its metrics.
      loss: See `Loss`.
      tx: The optimizer. Its update is given the train step as `step=`, by which all schedules go;
        see `optimizers.scale_by_step`.
      schedule: Learning rate by train step, for the log; None if there is nothing to log.
      updates: Updates in one train step, each on fresh data (five for a WGAN critic).
      beside: Name of something that an earlier player carries; this player is then updated on the
        batches that it came from. None: on the first of the step's batches.
      active: Whether the player moves at a given train step, a traced scalar; None is always. In a
        step in which it rests its metrics and carry are zeros. See `every`.
      project: Applied to the parameters before each update (WGAN's weight clipping).
      init: Makes the parameters of a player that `Method.init` does not know of.
    """

    name: str
    loss: Loss
    tx: optax.GradientTransformation
    schedule: Callable[[Array], Float[Array, ""]] | None = None
    updates: int = 1
    beside: str | None = None
    active: Callable[[Int[Array, ""]], Bool[Array, ""]] | None = None
    project: Callable[[PyTree], PyTree] | None = None
    init: Callable[[], PyTree] | None = None


def every(n: int) -> Callable[[Int[Array, ""]], Bool[Array, ""]]:
    """Makes a player move in one train step of n: steps 0, n, 2n, ..."""
    return lambda step: step % n == 0


@dataclasses.dataclass(frozen=True)
class Feed:
    """One of the streams of data that a method is fed, in its own order.

    Attributes:
      fields: What is taken of each record. There is no "label" where the data set has no classes.
        A method that takes "index" remembers records by it, and cannot resume on another data set.
      data: Dotted key of the config's section that names the data set. A key that the section
        lacks or leaves empty is taken from `config.data`.
      unlabelled: What becomes of the images without a label. "as_found": those that have none in
        the data set are seen, with label -1, and those whose label `data.labels` keeps back are
        not. "seen": all of them, with label -1. "left_out": none; the others are repeated until
        they fill a batch. "refused": the first that is met ends the run.
    """

    fields: tuple[str, ...] = ("image",)
    data: str = "data"
    unlabelled: Literal["as_found", "seen", "left_out", "refused"] = "as_found"


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of training with its own graph, such as one image size of ProGAN.

    Attributes:
      name: For the log.
      steps: Its length in train steps; the last phase runs to the end of training.
    """

    name: str
    steps: int


def phase_at(phases: Sequence[Phase], step: int) -> tuple[int, int]:
    """The phase of a train step, and the step at which it begins: (0, 0) without phases."""
    starts = [0, *itertools.accumulate(phase.steps for phase in phases[:-1])]
    index = max(i for i, start in enumerate(starts) if start <= step)
    return index, starts[index]


@dataclasses.dataclass(frozen=True)
class Task:
    """What a method knows of the data and the length of the run.

    Attributes:
      image_shape: (height, width, channels) of the batches' images.
      batch_size: Images in one global batch. An update takes `config.optimizer.accumulate` of them.
      total_steps: Train steps of the whole run.
      steps_per_epoch: Train steps in which the data set is seen once.
      num_classes: Classes of the data set's labels; None without labels.
      class_names: Their names, in the order of their numbers.
      label_names: Names of the classes of which an image may have several; empty without such.
      num_images: Images of the training set.
      source: The method of the run that this one starts from; None without one.
      phase: For which of its `phases` the method is built. The state's structure is the same in all
        of them.
    """

    image_shape: tuple[int, int, int]
    batch_size: int
    total_steps: int
    steps_per_epoch: float
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()
    label_names: tuple[str, ...] = ()
    num_images: int = 0
    source: Method | None = None
    phase: int = 0


class Method:
    """Base of all methods. A subclass sets `players` and overrides what it needs.

    Other abilities of a method, such as drawing images, are in `protocols`.

    Args:
      config: The whole resolved config.
      task: What is known of data and length.

    Attributes:
      roles: What its networks may be. Each has a section `config.model.<role>`, from which
        `Role.from_config` makes the network.
      players: In the order of their updates.
      phases: Static schedule of graphs; empty if the graph never changes. For each of them the
        method is built anew, see `Task.phase`.
      policies: Of its views, and how many views of each, in the order of `augment.make_views`, so
        that the host can cut them; empty if the views are no crops of one image each.
      evaluated: The name, in every table of scores, of the network that `features` reads.
      class_names: Names of the classes whose scores are the feature "logits", in their order; empty
        without a classifier.
    """

    roles: ClassVar[Mapping[str, models.Role]] = {}
    players: Sequence[Player] = ()
    phases: Sequence[Phase] = ()
    policies: Sequence[tuple[augment.ViewPolicy, int]] = ()
    evaluated: str = "online encoder"
    class_names: tuple[str, ...] = ()

    def __init__(self, config: ConfigDict, task: Task) -> None:
        """Builds networks, losses and players."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The method's own keys, under `config.method`, at the values of its paper."""
        return ConfigDict()

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """What the method is fed, by the whole config: the feeds of a batch, and their fields.

        Epochs are counted by the first, which `Task` describes.
        """
        return {"images": Feed()}

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes (params by player, variables by player, memory) of an untrained method."""
        raise TypeError(f"{type(self).__name__} does not define init")

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes the inputs of the losses from a raw batch; runs inside the jitted step."""
        raise TypeError(f"{type(self).__name__} does not define views")

    def before_step(self, state: TrainState) -> TrainState:
        """Updates the targets that must move before the losses are computed. Pure."""
        return state

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Updates targets, queues and centres, once all players have moved. Pure.

        Args:
          state: The state with what the losses changed of `variables` and `memory`.
          carried: What the losses carried, by name, of all images of the players' last updates.
        """
        return state

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Named features of raw images, layer by layer, in evaluation mode.

        Args:
          state: Training state.
          images: Uint8, (batch, height, width, channels); anything else is a ValueError.

        Returns:
          (batch, height, width, channels) or (batch, dim) by name; "features" is the one that
          evaluations take by default.
        """
        raise TypeError(f"{type(self).__name__} does not define features")

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """What another run may start from: the network that `features` reads.

        Returns:
          Its parameters and its other collections, each by module: "encoder", "projector", ...
        """
        return state.params["online"], state.variables["online"]

    def start_from(self, state: TrainState, source: Method, source_state: TrainState) -> TrainState:
        """Starts from another run. Pure.

        Args:
          state: The untrained state of this method.
          source: The method of the other run.
          source_state: Its trained state.

        Returns:
          The state at step 0, of the structure of `state`.

        Raises:
          ValueError: If the two do not fit.
        """
        raise ValueError(
            f"{type(self).__name__} cannot start from another run: leave config.init.workdir empty."
        )

    def enter_phase(self, state: TrainState) -> TrainState:
        """Changes the state as this method's phase begins: a fresh optimizer state, ... Pure."""
        return state
