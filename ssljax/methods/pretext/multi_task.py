"""Several pretext tasks over one encoder.

Doersch and Zisserman, Multi-task Self-Supervised Visual Learning (arXiv:1708.07860), 2017.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8
from ml_collections import ConfigDict

from ssljax import augment, metrics, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Feed, Method, Task, TrainState, Turn
from ssljax.methods.pretext.context_prediction import ContextPredictionTask
from ssljax.methods.pretext.counting import CountingTask
from ssljax.methods.pretext.cpc import CPCTask
from ssljax.methods.pretext.exemplar import ExemplarTask
from ssljax.methods.pretext.jigsaw import JigsawTask
from ssljax.methods.pretext.relative_transformation import RelativeTransformationTask
from ssljax.methods.pretext.rotation import RotationTask, refuse_bars
from ssljax.methods.pretext.shared_encoder import Encoded, Harmony, TrunkWithTask
from ssljax.methods.pretext_method import example_inputs
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question
from ssljax.methods.reconstruction.autoencoder import AutoencoderTask, DenoisingAutoencoderTask
from ssljax.methods.reconstruction.colorization import ColorizationTask
from ssljax.methods.reconstruction.context_encoder import ContextEncoderTask
from ssljax.methods.video.motion_segmentation import MotionSegmentationTask

PyTree = Any

TASKS: dict[str, type[PretextTask]] = {
    "autoencoder": AutoencoderTask,
    "colorization": ColorizationTask,
    "context_encoder": ContextEncoderTask,
    "context_prediction": ContextPredictionTask,
    "counting": CountingTask,
    "cpc": CPCTask,
    "denoising_autoencoder": DenoisingAutoencoderTask,
    "exemplar": ExemplarTask,
    "jigsaw": JigsawTask,
    "motion_segmentation": MotionSegmentationTask,
    "relative_transformation": RelativeTransformationTask,
    "rotation": RotationTask,
}
"""The tasks that may share an encoder. Each has its keys under `config.method.<name>`."""
APART = frozenset(
    {"shuffle_and_learn", "split_brain", "super_resolution", "tracking", "video_colorization"}
)
"""Tasks about clips, or whose encoder has two halves or as many places as its images."""

_IMAGES, _FRAMES = "images", "frames"
"""Names of the feeds."""
_WHOLE = "whole"
_KEPT = 0.99
"""Share of the old value in each update of a loss's running mean."""


class MultiTask(Method):
    """One player, "online": an encoder that all tasks share, and a head for each task.

    Every task gets a part of each batch, and the batch norms have statistics for each: its inputs
    alone, such as tiles or grey images, make the means that they are normalised by. Scales and
    offsets are shared like all of the encoder's parameters.

    The losses are of unlike scale. Each is divided by its running mean, so that all tasks count
    alike at any time, and then weighed by `weights`; `balance=False` sums them as they are.

    Evaluations see whole images, which are the input of no task. The batch norms have statistics of
    them too, from a pass over each batch that teaches nothing: normalised by another input's
    statistics, no channel would have the mean and the variance that the next layer has learnt with.

    In the paper each task has data of its own, and motion segmentation has frames of videos. Here
    the tasks that read masks are fed another data set where `config.method.frames` names one, whose
    batches are as large; each task takes its part of its own batch.

    It is the `protocols.PretextSolver` of its tasks, and each answers by its own statistics; those
    that are fed frames are not asked about images.
    """

    roles: ClassVar = {"encoder": models.ENCODER}

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's tasks, and the keys of all tasks."""
        view = augment.ViewPolicy(224, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD)
        own = dict(
            tasks=("context_prediction", "colorization", "exemplar", "motion_segmentation"),
            weights=(),  # Of the tasks' losses; empty: 1 each.
            shares=(),  # How many parts of each batch a task gets; empty: 1 each.
            balance=True,  # Whether each loss is divided by its running mean.
            harmonize=False,  # Whether all that the encoder sees is grey, on every channel.
            noise=0.0,  # Added to each channel of what is made grey: its standard deviation.
            view=ConfigDict(dataclasses.asdict(view)),  # Of whole images.
            # Images with masks, for the tasks that read masks: what differs from config.data.
            frames=dict(name="", dir="", split=""),
        )
        return ConfigDict(own | {name: kind.default_config() for name, kind in TASKS.items()})

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """Images, and what else the tasks read of a record; and perhaps images with masks."""
        found = {_IMAGES: list(Feed().fields)}
        for name, feed in _feed_of_each(config).items():
            found.setdefault(feed, []).extend(TASKS[name].fields)
        sections = {_IMAGES: Feed.data, _FRAMES: "method.frames"}
        return {
            feed: Feed(tuple(dict.fromkeys(fields)), data=sections[feed])
            for feed, fields in found.items()
        }

    def __init__(self, config: ConfigDict, task: Task) -> None:
        method, names = config.method, config.method.tasks
        _check_tasks(names)
        if "rotation" in names:
            refuse_bars(config)
        self.weights = _for_each("weights", method.weights, names)
        self.shares = _for_each("shares", method.shares, names)
        if task.batch_size % sum(self.shares.values()):
            raise ValueError(
                f"A batch of {task.batch_size} images cannot be split into the "
                f"{sum(self.shares.values())} parts of method.shares: change batch_size."
            )
        self.balance = method.balance
        self.image_shape = task.image_shape
        self.view = augment.view_from_config(method.view)
        dtype = config.model.encoder.dtype
        self.pretext = {name: TASKS[name](method[name], task, dtype) for name in names}
        self.feed_of = _feed_of_each(config)
        self.asked = [name for name in names if self.feed_of[name] == _IMAGES]
        self.encoder_options = _common_options(self.pretext)
        self.harmony = Harmony(task.image_shape[-1], method.harmonize, method.noise)
        encoder = self.build_encoder(config.model.encoder)
        wholes = {_WHOLE: TrunkWithTask(encoder, Encoded(), self.harmony)}
        self.networks = wholes | {
            name: TrunkWithTask(pretext.wrap(encoder), pretext.head, self.harmony)
            for name, pretext in self.pretext.items()
        }
        self.players = (passes.online_player(self.loss, config, task),)

    def build_encoder(self, config: ConfigDict) -> nn.Module:
        """Makes an encoder as the tasks need it, by `config.model.encoder`."""
        return models.encoder_from_config(config, **self.encoder_options)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the encoder, the heads, and the statistics of each task and of whole images.

        Raises:
          ValueError: If a task does not fit the encoder.
        """
        params: dict[str, PyTree] = {}
        collections: dict[str, dict[str, PyTree]] = {}
        for number, (name, network) in enumerate(self.networks.items()):
            made = dict(network.init(jax.random.fold_in(key, number), self._example(name), False))
            own = made.pop("params")
            encoder = params.setdefault("encoder", own["encoder"])
            if jax.tree.map(jnp.shape, encoder) != jax.tree.map(jnp.shape, own["encoder"]):
                raise ValueError(
                    f"The task {name} needs an encoder of its own form: take it out of "
                    "method.tasks."
                )
            if "head" in own:
                params[name] = own["head"]
            for collection, values in made.items():
                collections.setdefault(collection, {})[name] = values
        zeros = {name: jnp.zeros(()) for name in self.pretext}
        return {"online": params}, {"online": collections}, {"loss_means": zeros}

    def _example(self, name: str) -> PyTree:
        if name in self.pretext:
            return example_inputs(self.pretext[name], self.image_shape)
        return jnp.zeros((1, self.view.size, self.view.size, self.image_shape[-1]))

    def views(self, key: PRNGKeyArray, batch: Batch) -> dict[str, Question]:
        """Each task's questions about its part of its batch, and the whole images of all parts."""
        count, start = sum(self.shares.values()), 0
        views = {_WHOLE: Question(augment.center_view(self.view, batch[_IMAGES]["image"]))}
        for number, (name, pretext) in enumerate(self.pretext.items()):
            part = slice(start, start + self.shares[name])
            images = batch[self.feed_of[name]]
            own = {field: pick(x, count, part) for field, x in images.items()}
            views[name] = pretext.ask(jax.random.fold_in(key, number), own)
            start = part.stop
        return views

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The weighted sum of the tasks' losses, each in units of its running mean."""
        total = jnp.zeros(())
        logged: dict[str, Array] = {}
        collections: dict[str, dict[str, PyTree]] = {}
        means: dict[str, Array] = {}
        features = None
        for number, (name, network) in enumerate(self.networks.items()):
            own, variables = _part(name, params, turn.state.variables["online"])
            if name == _WHOLE:
                own = jax.lax.stop_gradient(own)
            key = jax.random.fold_in(turn.key, number)
            question = turn.views[name]
            outputs, changed = passes.forward(network, own, variables, question.inputs, key)
            for collection, values in changed.items():
                collections.setdefault(collection, {})[name] = values
            if name == _WHOLE:
                features = outputs["features"]
                continue
            pretext = self.pretext[name]
            loss, found = pretext.loss(outputs, question.targets)
            found = {"loss": loss} | found | pretext.scores(outputs, question.targets)
            logged |= _by_task({name: {key: jnp.mean(value) for key, value in found.items()}})
            means[name] = _running_mean(turn.state.memory["loss_means"][name], loss)
            total += self.weights[name] * (loss / means[name] if self.balance else loss)
        assert features is not None
        return total, Aux(
            variables=collections,
            metrics=logged | metrics.collapse_metrics(features),
            carry={"features": features},
            memory={"loss_means": means},
        )

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the encoder on the whole images, by the statistics of whole images."""
        encoder = self.networks[_WHOLE].encoder
        params, variables = self.trained_weights(state)
        weights = {"params": params["encoder"]} | {
            name: part["encoder"] for name, part in variables.items()
        }
        return self.encode_whole(lambda x: encoder.apply(weights, x, False), images)

    def encode_whole(self, encode: Encode, images: Array) -> Outputs:
        """Encodes whole images, made grey where all that the encoder sees is."""
        return encode(self.harmony(augment.center_view(self.view, images)))

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """The encoder, with the statistics of whole images."""
        params, variables = _part(_WHOLE, state.params["online"], state.variables["online"])
        return params, variables

    @property
    def seen_only(self) -> bool:
        """Whether one of the tasks can only be asked about images of the training set."""
        return any(self.pretext[name].seen_only for name in self.asked)

    def chance(self) -> Mapping[str, float]:
        """The scores of all tasks, named as "rotation/rotation_accuracy", for a guess."""
        return _by_task({name: self.pretext[name].chance for name in self.asked})

    def guess(
        self, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> dict[str, Float[Array, " batch"]]:
        """Asks each task's question about every image, and marks a guess."""
        marks = {}
        for name, question in self._questions(images, key).items():
            pretext, rows = self.pretext[name], images["image"].shape[0]
            known = not any(map(math.isnan, pretext.chance.values()))
            marks[name] = (
                {score: jnp.full((rows,), x, jnp.float32) for score, x in pretext.chance.items()}
                if known
                else pretext.guess(question)
            )
        return _by_task(marks)

    def solve(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> dict[str, Float[Array, " batch"]]:
        """Asks each task's question about every image, and marks the answers."""
        return _by_task(
            {
                name: self.pretext[name].scores(outputs, question.targets)
                for name, (question, outputs) in self._answers(state, images, key).items()
            }
        )

    def show(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> UInt8[Array, "batch columns height width channels"]:
        """Shows the pictures of all tasks beside one another, brought to the size of the images."""
        shown = []
        for name, (question, outputs) in self._answers(state, images, key).items():
            picture = self.pretext[name].picture(outputs, question)
            shape = (*picture.shape[:2], *self.image_shape[:2], picture.shape[-1])
            shown.append(jax.image.resize(picture, shape, "nearest"))
        channels = max(picture.shape[-1] for picture in shown)
        joined = jnp.concatenate(
            [jnp.broadcast_to(x, (*x.shape[:-1], channels)) for x in shown], axis=1
        )
        return augment.to_bytes(joined)

    def _questions(self, images: Mapping[str, Array], key: PRNGKeyArray) -> dict[str, Question]:
        return {
            name: pretext.ask(jax.random.fold_in(key, number), images)
            for number, (name, pretext) in enumerate(self.pretext.items())
            if name in self.asked
        }

    def _answers(
        self, state: TrainState, images: Mapping[str, Array], key: PRNGKeyArray
    ) -> dict[str, tuple[Question, Outputs]]:
        answers = {}
        for name, question in self._questions(images, key).items():
            params, variables = _part(name, state.params["online"], state.variables["online"])
            outputs: Any = self.networks[name].apply(
                {"params": params, **variables}, question.inputs, False
            )
            answers[name] = question, outputs
        return answers


def pick(x: Array, count: int, part: slice) -> Array:
    """Picks some rows of every `count`: with many devices, each picks of its own rows.

    Args:
      x: Rows.
      count: Divides their number.
      part: Which of every `count` rows.

    Returns:
      The rows, in their order.
    """
    picked = x.reshape(x.shape[0] // count, count, *x.shape[1:])[:, part]
    return picked.reshape(-1, *x.shape[1:])


def _part(
    name: str, params: PyTree, variables: Mapping[str, PyTree]
) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
    """What one of the networks is applied with: the encoder, its own head and its own statistics.

    Returns:
      Parameters, and the other collections.
    """
    own = {"encoder": params["encoder"]} | ({"head": params[name]} if name in params else {})
    return own, {
        collection: values[name] for collection, values in variables.items() if name in values
    }


def _by_task(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Scores that bear the names of their tasks: two may have some of one name."""
    return {f"{name}/{score}": x for name, part in found.items() for score, x in part.items()}


def _running_mean(mean: Array, loss: Array) -> Array:
    """The running mean of a loss's size; it begins with the first."""
    size = jnp.maximum(jnp.abs(jax.lax.stop_gradient(loss)), 1e-8)
    return jnp.where(mean == 0, size, _KEPT * mean + (1 - _KEPT) * size)


def _feed_of_each(config: ConfigDict) -> dict[str, str]:
    """Which feed each of the known tasks is given."""
    frames = config.method.frames
    apart = bool(frames.name or frames.dir or frames.split)
    return {
        name: _FRAMES if apart and "mask" in TASKS[name].fields else _IMAGES
        for name in config.method.tasks
        if name in TASKS
    }


def _check_tasks(names: Sequence[str]) -> None:
    if not names or len(set(names)) < len(names):
        raise ValueError(f"method.tasks is {tuple(names)}; it must name tasks, each once.")
    for name in names:
        if name not in TASKS:
            raise ValueError(
                f"method.tasks names {name!r}, which is no task that can share an encoder: choose "
                f"of {', '.join(TASKS)}."
            )


def _for_each(key: str, values: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """The values by task; 1 for each where there are none."""
    if not values:
        return dict.fromkeys(names, 1)
    if len(values) != len(names) or min(values) <= 0:
        raise ValueError(
            f"method.{key} is {tuple(values)}; it must have a number above 0 for each of the "
            f"{len(names)} tasks."
        )
    return dict(zip(names, values, strict=True))


def _common_options(pretext: Mapping[str, PretextTask]) -> dict[str, Any]:
    """What the encoder must have for all tasks."""
    options: dict[str, Any] = {}
    for name, task in pretext.items():
        for option, value in task.encoder_options.items():
            if options.setdefault(option, value) != value:
                raise ValueError(
                    f"The task {name} needs another {option} of the encoder than the tasks before "
                    "it: take one of them out of method.tasks."
                )
    return options
