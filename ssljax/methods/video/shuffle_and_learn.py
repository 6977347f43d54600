"""Shuffle and Learn: are frames in their order? And sorting: in which order are they?

Misra, Zitnick and Hebert, Shuffle and Learn: Unsupervised Learning using Temporal Order
Verification (arXiv:1603.08561), 2016. Lee, Huang, Singh and Yang, Unsupervised Representation
Learning by Sorting Sequences (arXiv:1708.01246), 2017.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models
from ssljax.augment import presets
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, Question, encode_each, output_of
from ssljax.methods.video.clip_task import PLAIN_NORM, ClipTask, frame_keys

FORMS = ("tuples", "sorting")


class Orders(NamedTuple):
    """Orders of a clip's frames, all of which the network is asked about.

    Attributes:
      places: (orders, frames): which frame of the clip comes to each place.
      answers: (orders,): the right answer about each.
      weights: (orders,): how much each counts; their sum is 1.
    """

    places: np.ndarray
    answers: np.ndarray
    weights: np.ndarray


def tuples(positives: float) -> Orders:
    """Three of five frames a, b, c, d, e: (b, c, d) is in order, (b, a, d) and (b, e, d) are not.

    Played backwards each has the same answer: 1 where the three are in order, and 0.

    Args:
      positives: What those in order count together.
    """
    right, wrong = (1, 2, 3), ((1, 0, 3), (1, 4, 3))
    forward = [right, *wrong]
    places = np.array([order for one in forward for order in (one, one[::-1])], np.int32)
    answers = np.array([1, 1, 0, 0, 0, 0], np.int32)
    weights = np.where(answers == 1, positives / 2, (1 - positives) / 4)
    return Orders(places, answers, weights)


def permutations(frames: int) -> Orders:
    """All orders of a clip's frames; one and its reverse have the same answer.

    Args:
      frames: How many.
    """
    forward = [order for order in itertools.permutations(range(frames)) if order[0] < order[-1]]
    places = np.array([order for one in forward for order in (one, one[::-1])], np.int32)
    answers = np.repeat(np.arange(len(forward), dtype=np.int32), 2)
    return Orders(places, answers, np.full(len(places), 1 / len(places)))


class FrameOrderHead(nn.Module):
    """Fully connected layers on each frame, or on pairs of frames, and then on all of an order.

    Every frame is encoded once, for all orders.

    Attributes:
      places: As in `Orders`, as tuples.
      answers: How many different answers there are.
      pairs: Whether the second layer reads every pair of an order's frames, the same for all
        pairs, instead of each frame.
      layer: The encoder's output that is read.
      pool: As in `models.TileEmbedding`.
      embedding_dim: Units of the first layer, on each frame.
      hidden_dim: Units of the second layer.
      order_dim: Units of a third layer, on all that is read of an order; 0 for none. Without one,
        and without pairs, the answer is a sum of what each frame says by itself.
      norm: Whether norms without scale and bias follow these layers.
      dtype: Type of the arithmetic.
    """

    places: tuple[tuple[int, ...], ...]
    answers: int
    pairs: bool
    layer: str
    pool: bool
    embedding_dim: int
    hidden_dim: int
    order_dim: int
    norm: bool
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, encode: Encode, inputs: Float[Array, "batch frames size size channels"], train: bool
    ) -> Outputs:
        """Answers about every order.

        Args:
          encode: The encoder.
          inputs: The frames of each clip, in the order of time.
          train: Whether the norms use and update batch statistics.

        Returns:
          "logits" (batch, orders, answers); "features" (batch, dim) of the middle frame.
        """
        outputs = encode_each(encode, inputs)
        kind = "bn_relu" if self.norm else "relu"
        x = models.TileEmbedding(
            self.embedding_dim, kind, False, self.pool, self.dtype, name="frame"
        )(output_of(outputs, self.layer), train)
        hidden = models.FullyConnected(self.hidden_dim, kind, False, self.dtype, name="fc7")
        read = np.array(self.places)
        if self.pairs:
            first, second, read = _pairs(read)
            x = jnp.concatenate([x[:, first], x[:, second]], axis=-1)
        x = hidden(x, train)[:, read]
        x = x.reshape(*x.shape[:2], -1)
        if self.order_dim:
            x = models.FullyConnected(self.order_dim, kind, False, self.dtype, name="fc8")(x, train)
        classify = models.FullyConnected(self.answers, "linear", False, self.dtype, name="order")
        logits = classify(x, train)
        middle = inputs.shape[1] // 2
        return {"logits": logits.astype(jnp.float32), "features": outputs["features"][:, middle]}


def _pairs(places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first and the second frames of all pairs, and which pairs each order is made of."""
    frames = places.shape[1]
    first, second = np.array(list(itertools.permutations(range(frames), 2))).T
    numbers = np.zeros((frames, frames), int)
    numbers[first, second] = np.arange(len(first))
    earlier, later = np.array(list(itertools.combinations(range(frames), 2))).T
    return first, second, numbers[places[:, earlier], places[:, later]]


class ShuffleAndLearnTask(ClipTask):
    """The order of a clip's frames, in one of two forms.

    In the form "tuples" three frames are in order or not, see `tuples`; clips have five frames. In
    the form "sorting" the order of four is told from the eleven others, see `permutations`.

    A camera whose brightness drifts, or a codec whose quality does, would tell the order. By
    default each frame is standardised, shows one random channel, is cut from a place of its own,
    blurred and given noise. Of these the authors of the first form have none and those of the
    second have the channel and the place: for the papers' own set `standardize=False`, `blur=()`
    and `noise=0`, and for the first `channel_splitting=False` and `jitter=0`.

    Simplified: the frames of a clip are equally far apart, where the authors draw the distances of
    a tuple's frames; and all orders of a clip are asked about, each frame encoded once, where they
    draw one.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        if config.form not in FORMS:
            raise ValueError(f"method.form must be one of {FORMS}, got {config.form!r}.")
        if not 0.0 < config.positives < 1.0:
            raise ValueError(
                f"method.positives must lie between 0 and 1, got {config.positives}: it is the "
                "share of the tuples that are in order."
            )
        self.sorts = config.form == "sorting"
        self.set_frames(config, task, frames=4 if self.sorts else 5)
        self.orders = permutations(self.frames) if self.sorts else tuples(config.positives)
        if not config.encoder_affine:
            self.encoder_options = {"norm": PLAIN_NORM}
        often = np.bincount(self.orders.answers, self.orders.weights)
        self.head = FrameOrderHead(
            tuple(map(tuple, self.orders.places.tolist())),
            len(often),
            self.sorts,
            config.layer,
            config.pool,
            config.embedding_dim,
            config.hidden_dim,
            config.order_dim,
            config.batch_norm,
            dtype,
        )
        self.chance = {"order_accuracy": float(often.max())}

    @staticmethod
    def default_config() -> ConfigDict:
        """The values of tuples on UCF101, and precautions against shortcuts."""
        view = augment.ViewPolicy(
            227, crop_scale=None, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD
        )
        precautions = frame_keys(
            view,
            jitter=5,
            channel_splitting=True,
            standardize=True,
            blur=(1.0, 2.0),
            noise=0.1,
        )
        return ConfigDict(
            dict(
                form="tuples",  # Or "sorting".
                positives=0.25,  # Share of the tuples that are in order.
                encoder_affine=False,  # Whether the encoder's norms have scales and biases.
                layer="features",  # The encoder's output that the head reads.
                pool=False,  # Whether that is a map that is pooled first.
                embedding_dim=4096,  # Units of fc6.
                hidden_dim=4096,  # Units of fc7.
                order_dim=0,  # Units of a layer on all of an order's frames, which the papers lack.
                batch_norm=True,  # Of these layers.
                **precautions,
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Makes what is seen of the frames; the orders are always the same."""
        return Question(self.frames_of(key, images))

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Cross-entropy of the answers about all orders, by their weights."""
        logits = outputs["logits"]
        costs = optax.softmax_cross_entropy_with_integer_labels(logits, self._answers(logits))
        return jnp.mean(self._weigh(costs)), {}

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """The share of the orders, by their weights, about which the answer is right."""
        logits = outputs["logits"]
        right = jnp.argmax(logits, axis=-1) == self._answers(logits)
        return {"order_accuracy": self._weigh(right.astype(jnp.float32))}

    def _answers(self, logits: Float[Array, "batch orders answers"]) -> Array:
        return jnp.broadcast_to(jnp.asarray(self.orders.answers)[None], logits.shape[:2])

    def _weigh(self, values: Float[Array, "batch orders"]) -> Float[Array, " batch"]:
        return jnp.sum(values * jnp.asarray(self.orders.weights, jnp.float32)[None], axis=1)

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """Frames in some orders, after each a green or a red square: whether the answer is right.

        Of tuples the three that are not played backwards, the one in order first; of sorting, the
        frames in the order of time, in another one, and as the answer about that would sort them.
        """
        frames = self.to_pixels(question.inputs)
        right = jnp.argmax(outputs["logits"], axis=-1) == self._answers(outputs["logits"])
        if self.sorts:
            return self._sorted(frames, outputs["logits"], right)
        shown = []
        for number in range(0, len(self.orders.places), 2):
            shown += [frames[:, self.orders.places[number]], mark(right[:, number], frames)]
        return jnp.concatenate(shown, axis=1)

    def _sorted(
        self,
        frames: Float[Array, "batch frames size size channels"],
        logits: Float[Array, "batch orders answers"],
        right: Array,
    ) -> Float[Array, "batch columns size size channels"]:
        number = len(self.orders.places) // 2
        order = self.orders.places[number]
        mixed = frames[:, order]
        # By place, where in the answer's order each shown frame would stand.
        said = jnp.asarray(self.orders.places[::2])[jnp.argmax(logits[:, number], axis=-1)]
        back = jnp.argsort(said, axis=1)
        as_said = jnp.take_along_axis(mixed, back[:, :, None, None, None], axis=1)
        return jnp.concatenate([frames, mixed, as_said, mark(right[:, number], frames)], axis=1)


def mark(
    right: Array, frames: Float[Array, "batch frames size size channels"]
) -> Float[Array, "batch 1 size size channels"]:
    """A green square for each clip about which an answer is right, and a red one for the others.

    Of grey frames a white and a black one.
    """
    good, bad = jnp.array([[0.0, 1.0, 0.0]]), jnp.array([[1.0, 0.0, 0.0]])
    colors = jnp.where(right[:, None], good, bad)
    if frames.shape[-1] != 3:
        colors = right[:, None].astype(jnp.float32)
    return jnp.broadcast_to(colors[:, None, None, None], frames[:, :1].shape)


class ShuffleAndLearn(PretextMethod):
    """Shuffle and Learn, or sorting of sequences."""

    task_type = ShuffleAndLearnTask
