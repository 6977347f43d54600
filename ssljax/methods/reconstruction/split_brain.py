"""Split-brain autoencoder: one half of a network tells colours from lightness, one the reverse.

Zhang, Isola and Efros, Split-Brain Autoencoders (arXiv:1611.09842), 2016.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.methods.contract import Task
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question
from ssljax.methods.reconstruction import colors
from ssljax.ops import color

_LOSSES = ("classification", "regression")


class SplitBrainHead(nn.Module):
    """A `DenseHead` on each half of the last map of a `models.SplitEncoder`.

    Attributes:
      colors: What the half that sees lightness predicts at each place, scores or coordinates.
      lightness: What the half that sees colours predicts.
      places: Places along a side at which both predict.
      width: Channels of each head.
      dtype: Type of the arithmetic.
    """

    colors: int
    lightness: int
    places: int
    width: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, encode: Encode, inputs: Float[Array, "batch height width 3"], train: bool
    ) -> Outputs:
        """Predicts what either half does not see.

        Args:
          encode: The encoder of two halves.
          inputs: Lab, centred.
          train: Unread; there is nothing that differs.

        Returns:
          "colors" (batch, places, places, colors), "lightness" (batch, places, places, lightness)
          and "features" (batch, dim), of both halves.
        """
        outputs = encode(inputs)
        halves = jnp.split(models.last_map(outputs), 2, axis=-1)
        answers = {}
        wanted = {"colors": self.colors, "lightness": self.lightness}
        for half, (name, values) in zip(halves, wanted.items(), strict=True):
            head = models.DenseHead(self.places, values, self.width, dtype=self.dtype, name=name)
            answers[name] = head(half, train)
        return answers | {"features": outputs["features"]}


class SplitBrainTask(PretextTask):
    """Half of the encoder sees L and tells ab, the other half sees ab and tells L.

    The encoder is built twice at half the width, so that no weight crosses the halves. Its features
    are those of both, stage by stage. Probes read what it makes of whole images in Lab.

    As classes, ab has the bins of colorization and L equal bins, each colour in the nearest; the
    classes are not weighted. As numbers, centred coordinates have a squared error. Images that are
    grey throughout teach neither half.

    The scores are those of colorization, for both ways: accuracy of the likeliest bin, and the mean
    of 1 - distance / 150 for ab and of 1 - distance / 100 for L. Those of a guess are of the middle
    grey. It is not the best constant for a set whose mean is darker or lighter, and with an even
    number of bins L = 50 lies on the edge of two, of which the darker counts.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        self.view = augment.view_from_config(config.view)
        self.places = config.places
        colors.check_colors("split_brain", self.view, self.places, task)
        if config.loss not in _LOSSES:
            raise ValueError(f"method.loss is {config.loss!r}; it must be one of {_LOSSES}.")
        self.classify = config.loss == "classification"
        self.policies = [(self.view, 1)]
        self.codings = {
            "colors": colors.ab_coding(config),
            "lightness": colors.lightness_coding(config),
        }
        sizes = {
            name: len(coding.bins) if self.classify else coding.bins.shape[1]
            for name, coding in self.codings.items()
        }
        self.head = SplitBrainHead(
            colors=sizes["colors"],
            lightness=sizes["lightness"],
            places=self.places,
            width=config.head_dim,
            dtype=jnp.dtype(dtype),
        )
        self.chance = {
            f"{name}_{mark}": float("nan")
            for name in self.codings
            for mark in ("accuracy", "closeness")
        }

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's classes, at the places of its AlexNet."""
        share = (207 / 256) ** 2
        view = augment.ViewPolicy(207, crop_scale=(share, share), crop_ratio=(1.0, 1.0))
        return ConfigDict(
            dict(
                loss="classification",  # Or "regression".
                places=12,  # Along a side, at which both halves predict.
                grid=10.0,  # Between the bins of ab.
                neighbors=10,  # Bins that share an ab; 5 in the paper on colorization.
                sigma=5.0,  # Of the Gaussian by which they share it.
                lightness_bins=100,
                temperature=0.38,  # Of the annealed mean.
                head_dim=256,  # Of each half.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def wrap(self, encoder: nn.Module) -> nn.Module:
        """Makes two encoders of half the width."""
        narrow = models.half_width(encoder)
        return models.SplitEncoder(narrow, narrow.clone())

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Makes Lab of one view of each image."""
        view = augment.make_view(self.view, key, images)
        lab = color.srgb_to_lab(view)
        picked = colors.pick(lab, self.places)
        truth = {"colors": picked[..., 1:], "lightness": picked[..., :1]}
        return Question(
            colors.centered(lab), {"truth": truth, "colored": colors.is_colored(lab), "view": view}
        )

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The sum of both halves' losses."""
        logged = {"colored": jnp.mean(targets["colored"])}
        total = jnp.zeros(())
        for name, coding in self.codings.items():
            answers, truth = outputs[name], targets["truth"][name]
            if self.classify:
                equal = jnp.ones((len(answers), len(coding.bins)))
                loss = losses.color_classification(
                    answers, coding.encode(truth), equal, targets["colored"]
                )
            else:
                loss = losses.color_regression(answers, coding.center(truth), targets["colored"])
            logged[f"{name}_loss"] = loss
            total += loss
        return total, logged

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """Marks the likeliest bins and the colours of both halves."""
        marks: dict[str, Array] = {}
        for name, coding in self.codings.items():
            values = self._decode(name, outputs[name])
            classes = jnp.argmax(outputs[name], axis=-1)
            if not self.classify:
                classes = coding.nearest(values)
            marks |= coding.marks(name, classes, values, targets["truth"][name])
        return marks

    def guess(self, question: Question) -> dict[str, Float[Array, " batch"]]:
        """The marks of the middle grey."""
        marks: dict[str, Array] = {}
        for name, coding in self.codings.items():
            truth = question.targets["truth"][name]
            grey = coding.guesses(truth)
            marks |= coding.marks(name, coding.nearest(grey), grey, truth)
        return marks

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """L, the image in the colours told of it, ab, the image in the L told of it, the truth."""
        view = question.targets["view"]
        lab, size = color.srgb_to_lab(view), view.shape[1]
        lightness, ab = lab[..., :1], lab[..., 1:]
        told = {
            name: colors.spread(self._decode(name, outputs[name]), size) for name in self.codings
        }
        middle = jnp.full_like(lightness, colors.LIGHTNESS_CENTER)
        shown = [
            (lightness, 0.0 * ab),
            (lightness, told["colors"]),
            (middle, ab),
            (told["lightness"], ab),
        ]
        painted = [color.lab_to_srgb(jnp.concatenate(pair, axis=-1)) for pair in shown]
        return jnp.stack([*painted, view], axis=1)

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """The outputs of both halves for whole images in Lab."""
        return encode(colors.centered(colors.lab_view(self.view, images)))

    def _decode(
        self, name: str, answers: Float[Array, "batch n n values"]
    ) -> Float[Array, "batch n n dim"]:
        """The colours that the answers mean."""
        coding = self.codings[name]
        return coding.decode(answers) if self.classify else coding.uncenter(answers)


class SplitBrain(PretextMethod):
    """Split-brain autoencoder."""

    task_type = SplitBrainTask
