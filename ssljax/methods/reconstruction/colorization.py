"""Colorization: what colours has a grey image?

Zhang, Isola and Efros, Colorful Image Colorization (arXiv:1603.08511), 2016.
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
from ssljax.ops import color, color_bins


class ColorPrior(nn.Module):
    """How often each bin of colour was met in training, counted as training goes on.

    The collection "color_prior" holds the counts, in images. Each batch is counted before the prior
    is read, so that the first step has one too.
    """

    @nn.compact
    def __call__(
        self, shares: Float[Array, "batch bins"], train: bool
    ) -> Float[Array, "batch bins"]:
        """Counts a batch in training, and tells the share of each bin.

        Args:
          shares: Each image's own shares of the bins; zeros for one that is not to count.
          train: Whether to count.

        Returns:
          The prior, the same row for each image; zeros if nothing was counted.
        """
        counts = self.variable("color_prior", "counts", jnp.zeros, shares.shape[1:], jnp.float32)
        if train and not self.is_initializing():
            counts.value += jnp.sum(shares, axis=0)
        total = jnp.sum(counts.value)
        prior = counts.value / jnp.where(total > 0, total, 1.0)
        return jnp.broadcast_to(prior[None], shares.shape)


class ColorizationHead(nn.Module):
    """A `DenseHead` on the encoder's last map, and the prior of what it is to tell.

    Attributes:
      bins: Number of bins of colour.
      places: Places along a side at which the colour is told.
      width: Channels of the head.
      dtype: Type of the arithmetic.
    """

    bins: int
    places: int
    width: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, encode: Encode, inputs: Mapping[str, Array], train: bool) -> Outputs:
        """Tells the colours.

        Args:
          encode: The encoder.
          inputs: "lightness", the images' L, centred; "shares" (batch, bins), of each image's true
            colours, which are counted and nothing else.
          train: Whether to count them.

        Returns:
          "logits" (batch, places, places, bins), "prior" (batch, bins), in equal rows, and
          "features" (batch, dim).
        """
        outputs = encode(inputs["lightness"])
        head = models.DenseHead(
            self.places, self.bins, self.width, dtype=self.dtype, name="classifier"
        )
        return {
            "logits": head(models.last_map(outputs), train),
            "prior": ColorPrior(name="prior")(inputs["shares"], train),
            "features": outputs["features"],
        }


class ColorizationTask(PretextTask):
    """The encoder sees L alone; the head tells the distribution of ab at each of some places.

    True colours are those of single pixels, `view.size // places` apart, each shared by the bins
    around it. Images that are grey throughout teach nothing: they may be of anything.

    The error at a rare colour weighs more. The paper weighs by how often ImageNet has each colour;
    here the colours of the run's own images are counted as they are seen, so that every data set
    has its own prior: on CIFAR-10 the weights after 20 batches of 128 images are, on average,
    within 6 % of those after 100. Colours are counted by the shares that bins have of them, which
    smooths the counts by the Gaussian of the encoding.

    Probes read what the encoder makes of the L of whole images. It has one channel; a task that
    shares the encoder may give it more.

    The authors start from k-means of data, and others report that training from random weights
    stalls; here weights are random, and encoders have batch norm.

    The scores are the accuracy of the likeliest bin, and the paper's raw accuracy of the annealed
    mean (AuC): the mean of 1 - distance / 150 in ab. Those of a guess are the grey image's.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        self.view = augment.view_from_config(config.view)
        self.places, self.uniform = config.places, config.uniform
        colors.check_colors("colorization", self.view, self.places, task)
        self.policies = [(self.view, 1)]
        self.coding = colors.ab_coding(config)
        self.head = ColorizationHead(
            len(self.coding.bins), self.places, config.head_dim, jnp.dtype(dtype)
        )
        self.chance = {"color_accuracy": float("nan"), "color_closeness": float("nan")}

    @staticmethod
    def default_config() -> ConfigDict:
        """The authors' values for ImageNet: random squares of 176 pixels out of 256."""
        share = (176 / 256) ** 2
        view = augment.ViewPolicy(176, crop_scale=(share, share), crop_ratio=(1.0, 1.0))
        return ConfigDict(
            dict(
                places=44,  # Along a side, at which colours are told.
                grid=10.0,  # Between the bins of ab.
                neighbors=10,  # Bins that share a colour; 5 in the paper, 10 in its code.
                sigma=5.0,  # Of the Gaussian by which they share it.
                uniform=0.5,  # Share of the uniform in the prior that weighs; 1: all alike.
                temperature=0.38,  # Of the annealed mean.
                head_dim=256,
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Takes the colours off one view of each image."""
        view = augment.make_view(self.view, key, images)
        lab = color.srgb_to_lab(view)
        truth = colors.pick(lab[..., 1:], self.places)
        colored = colors.is_colored(lab)
        shares = self.coding.encode(truth)
        counted = jnp.mean(shares, axis=(1, 2)) * colored[:, None]
        return Question(
            {"lightness": colors.centered(lab)[..., :1], "shares": counted},
            {"shares": shares, "ab": truth, "colored": colored, "view": view},
        )

    def loss(self, outputs: Outputs, targets: Any) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Cross-entropy over the bins, weighted by how rare the colours are."""
        weights = color_bins.rebalancing_weights(outputs["prior"], self.uniform)
        loss = losses.color_classification(
            outputs["logits"], targets["shares"], weights, targets["colored"]
        )
        return loss, {"colored": jnp.mean(targets["colored"])}

    def scores(self, outputs: Outputs, targets: Any) -> dict[str, Float[Array, " batch"]]:
        """Marks the likeliest bins and the annealed mean."""
        logits = outputs["logits"]
        classes, values = jnp.argmax(logits, axis=-1), self.coding.decode(logits)
        return self.coding.marks("color", classes, values, targets["ab"])

    def guess(self, question: Question) -> dict[str, Float[Array, " batch"]]:
        """The marks of the grey image."""
        truth = question.targets["ab"]
        grey = self.coding.guesses(truth)
        return self.coding.marks("color", self.coding.nearest(grey), grey, truth)

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The grey image, the same in the colours that are told, and the true one."""
        view = question.targets["view"]
        lightness = color.srgb_to_lab(view)[..., :1]
        said = colors.spread(self.coding.decode(outputs["logits"]), view.shape[1])
        painted = [jnp.concatenate([lightness, ab], axis=-1) for ab in (0.0 * said, said)]
        return jnp.stack([*map(color.lab_to_srgb, painted), view], axis=1)

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """The encoder's outputs for the L of whole images."""
        return encode(colors.centered(colors.lab_view(self.view, images))[..., :1])


class Colorization(PretextMethod):
    """Colorization."""

    task_type = ColorizationTask
