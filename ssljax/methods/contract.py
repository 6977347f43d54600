"""What a method is: a game of one or more players over one training state.

A method names its players, its views and what happens after the step. The step itself, the loop,
the checkpoints and the evaluations are the same for all methods and know none of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import optax
from flax import struct
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models

PyTree = Any
Batch = Mapping[str, Array]
"""Arrays with the batch axis first.

"image" (uint8, NHWC), "index", the image's place in the training set (that of the corrupt image
where another stands in for it), and, where there are any, "label", -1 for an image without one.
"""


class TrainState(struct.PyTreeNode):
    """All that a run carries from step to step, and all that a checkpoint holds.

    Attributes:
      step: Number of finished train steps, an int32 scalar: the one clock of all schedules.
      params: Parameters by player.
      variables: Mutable collections (batch statistics, ...) by player.
      opt_state: Optimizer state by player.
      memory: What the method carries beside parameters: target network, queue, centre, image pool.
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
    """What a loss gives beside its value.

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


Loss = Callable[[PyTree, TrainState, PyTree, PRNGKeyArray, Mapping[str, PyTree]], tuple[Array, Aux]]
"""`loss(params, state, views, key, carried) -> (scalar, Aux)`.

`params` are the player's own and the only ones differentiated; the other players' are read from
`state`, frozen. `carried` is what earlier players of this step put in their `carry`, in their last
update. Where an update takes several batches, the loss of one of them is given what was carried of
the one in the same place.
"""


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
      active: Whether the player moves at a given train step, a traced scalar; None is always. In a
        step in which it rests its metrics and carry are zeros. See `every`.
      project: Applied to the parameters before each update (WGAN's weight clipping).
    """

    name: str
    loss: Loss
    tx: optax.GradientTransformation
    schedule: Callable[[Array], Float[Array, ""]] | None = None
    updates: int = 1
    active: Callable[[Int[Array, ""]], Bool[Array, ""]] | None = None
    project: Callable[[PyTree], PyTree] | None = None


def every(n: int) -> Callable[[Int[Array, ""]], Bool[Array, ""]]:
    """Makes a player move in one train step of n: steps 0, n, 2n, ..."""
    return lambda step: step % n == 0


@dataclasses.dataclass(frozen=True)
class Phase:
    """A stretch of training with a graph of its own, such as one image size of ProGAN.

    Attributes:
      name: For the log.
      steps: Its length in train steps; the last phase runs to the end of training.
    """

    name: str
    steps: int


@dataclasses.dataclass(frozen=True)
class Task:
    """What a method is told of the data and the length of the run.

    Attributes:
      image_shape: (height, width, channels) of the batches' images.
      batch_size: Images in one global batch. An update takes `config.optimizer.accumulate` of them.
      total_steps: Train steps of the whole run.
      steps_per_epoch: Train steps in which the data set is seen once.
      num_classes: Classes of the data set's labels; None without labels.
      class_names: Their names, in the order of their numbers.
      num_images: Images of the training set.
      source: The method of the run that this one starts from; None without one.
    """

    image_shape: tuple[int, int, int]
    batch_size: int
    total_steps: int
    steps_per_epoch: float
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()
    num_images: int = 0
    source: Method | None = None


class Method:
    """Base of all methods. A subclass sets `players` and overrides what it needs.

    Args:
      config: The whole resolved config.
      task: What is known of data and length.

    Attributes:
      players: In the order in which they move.
      phases: Static schedule of graphs; empty if the graph never changes.
      policies: Of its views, and how many views of each, in the order of `augment.make_views`, so
        that the host can cut them; empty if the views are no crops of one image each.
      evaluated: The network that `features` reads, as it is named beside every score.
      sees_unlabelled: Whether images whose label `data.labels` leaves out are seen all the same,
        with label -1, or not at all.
      labelled_batches: Whether there is beside each batch one as large of labelled images alone,
        "labelled_image" and "labelled_label", in an order of their own.
      remembers_images: Whether the memory holds something of each image, at its place in the set.
      generates: Whether the method draws images: it then has `latents` and `generate`.
      class_names: Names of the classes whose scores are the feature "logits", in their order; empty
        without a classifier.
    """

    players: Sequence[Player] = ()
    phases: Sequence[Phase] = ()
    policies: Sequence[tuple[augment.ViewPolicy, int]] = ()
    evaluated: str = "online encoder"
    sees_unlabelled: bool = False
    labelled_batches: bool = False
    remembers_images: bool = False
    generates: bool = False
    class_names: tuple[str, ...] = ()

    def __init__(self, config: ConfigDict, task: Task) -> None:
        """Builds networks, losses and players."""

    @staticmethod
    def default_config() -> ConfigDict:
        """The method's own keys, under `config.method`, at the values of its paper."""
        return ConfigDict()

    @staticmethod
    def default_model() -> ConfigDict:
        """The keys under `config.model`: an encoder, and the options of all encoders.

        What is empty, 0 or False stands for the encoder's own.
        """
        return ConfigDict(
            dict(
                name="resnet18",
                width=1,  # Multiplies a ResNet's channels.
                stem="cifar",  # Of a ResNet: "cifar" (3x3, no pooling) or "imagenet".
                zero_init_residual=False,
                widths=(),  # Of the small network's stages.
                convs_per_stage=1,  # Of the small network.
                patch_size=0,  # Of a ViT, in pixels.
                heads=0,  # Of a ViT.
                positions="",  # Of a ViT: "learned" or "sincos".
                initializer="",  # Of a ViT: "normal" or "xavier".
                freeze_patch_embedding=False,
                pool="",  # What the features of a ViT are: the "class" token or the "mean".
                drop_path=0.0,  # Probability that a ViT's last block is left out.
                dtype="float32",  # Compute type; parameters and statistics are float32.
            )
        )

    @staticmethod
    def model_names() -> Collection[str]:
        """What `config.model.name` may be."""
        return models.ENCODERS

    @classmethod
    def labels_read(cls, config: ConfigDict) -> Literal["none", "some", "all"]:
        """Which labels the losses read, by the method's own keys.

        "some" are those that are known: images without one are left out of what learns from labels.
        Of "all" none may be missing.
        """
        return "none"

    @classmethod
    def updates_per_step(cls, config: ConfigDict) -> int:
        """Updates in one train step, each on fresh data: the most of any player."""
        return 1

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes (params by player, variables by player, memory) of an untrained method."""
        raise TypeError(f"{type(self).__name__} does not define init")

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes the inputs of the losses from a raw batch; runs inside the jitted step."""
        raise TypeError(f"{type(self).__name__} does not define views")

    def before_step(self, state: TrainState) -> TrainState:
        """Moves targets that must have moved before the losses look at them. Pure."""
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
          images: uint8, (batch, height, width, channels); anything else is a ValueError.

        Returns:
          (batch, height, width, channels) or (batch, dim) by name; "features" is the one that
          evaluations take by default.
        """
        raise TypeError(f"{type(self).__name__} does not define features")

    def latents(self, key: PRNGKeyArray, count: int) -> PyTree:
        """Draws what images are made from: arrays with `count` rows each, noise, classes, ..."""
        raise TypeError(f"{type(self).__name__} does not define latents")

    def generate(self, state: TrainState, latents: PyTree) -> Float[Array, "count h w channels"]:
        """Makes an image of each row of latents, in evaluation mode.

        Args:
          state: Training state.
          latents: What `latents` draws, or mixtures of it.

        Returns:
          Images in [-1, 1].
        """
        raise TypeError(f"{type(self).__name__} does not define generate")

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

    def in_phase(self, phase: int) -> Method:
        """The method with the graph of one of its `phases`; the state keeps its structure."""
        return self

    def enter_phase(self, phase: int, state: TrainState) -> TrainState:
        """Changes the state as a phase begins, such as a fresh optimizer state. Pure."""
        return state
