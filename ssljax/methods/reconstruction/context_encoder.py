"""The context encoder: what is cut out of an image is painted in from what lies around it.

Pathak et al., Context Encoders: Feature Learning by Inpainting, 2016; `train.lua` and
`train_random.lua` of pathak22/context-encoder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import traverse_util
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, models
from ssljax.augment import presets
from ssljax.methods.contract import Aux, Task, Turn
from ssljax.methods.pretext_method import PretextMethod
from ssljax.methods.pretext_task import Outputs, PretextTask, Question
from ssljax.methods.reconstruction.decoding import (
    Images,
    check_statistics,
    mark,
    mean_colour,
    reconstruction_head,
)
from ssljax.methods.reconstruction.judge import Judge

PyTree = Any


class ContextEncoderTask(PretextTask):
    """The hole is filled with the mean colour, and the decoder paints by the squared error alone.

    With the region "center" it paints the middle half of each side. The hole is smaller by
    `overlap` pixels on every side, so that the border of what is painted is seen, and errors there
    weigh more. With "random" it paints the whole image, around one mask for the whole batch; an
    overlap is then not one of the border: where it is above 0 all that is seen weighs more, so that
    of a hole of a quarter of the image the errors have 3 % of the weight. Set it to 0 there.

    The scales of the decoder's norms start at 1; the authors draw them from a normal distribution
    about 1 of standard deviation 0.02.

    The views' mean and deviation are those of the data set's pixels, so that what the network is
    given is 0 in the hole. In the authors' code inputs are in [-1, 1], and the mean colour's red
    and blue are not where they should be: (117, 104, 123) of red, green and blue.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        if config.region not in ("center", "random"):
            raise ValueError(
                f"method.region is {config.region!r}; it must be 'center' or 'random'."
            )
        self.view = augment.view_from_config(config.view)
        check_statistics(self.view)
        self.pixel_view = dataclasses.replace(self.view, mean=None, std=None)
        self.policies = [(self.pixel_view, 1)]
        self.region, self.resolution = config.region, config.region_resolution
        self.overlap, self.overlap_weight = config.overlap, config.overlap_weight
        side = self.view.size
        if config.region == "center" and side % 4:
            raise ValueError(
                f"method.view.size is {side}: the middle half of each side lies between pixels "
                "only where it is a multiple of 4."
            )
        if not 0 <= config.overlap < side // 4 or config.overlap_weight <= 0:
            raise ValueError(
                f"method.overlap={config.overlap} with method.overlap_weight="
                f"{config.overlap_weight} is impossible: an overlap is from 0 to {side // 4 - 1} "
                "pixels, and its weight is above 0."
            )
        self.head = reconstruction_head(
            config,
            self.painted,
            task.image_shape[-1],
            dtype,
            tanh=True,
            kernel_init=models.DCGAN_INIT,
        )
        self.chance = {"variance_explained": jnp.nan, "psnr": jnp.nan}

    @staticmethod
    def default_config() -> ConfigDict:
        """The authors' values for ImageNet at 128 pixels."""
        view = augment.ViewPolicy(
            128,
            crop_scale=None,
            mean=presets.IMAGENET_MEAN,
            std=presets.IMAGENET_STD,
        )
        return ConfigDict(
            dict(
                region="center",  # Or "random".
                region_resolution=0.06,  # Of random regions; see `augment.random_region_mask`.
                overlap=4,  # Pixels of what is painted that are seen as well, on every side.
                overlap_weight=10.0,  # Of the squared error there.
                bottleneck=4000,  # Units; 0: the decoder is given the encoder's last map.
                decoder="transposed",  # Or "resized".
                decoder_widths=(512, 256, 128, 64),  # A doubling each.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    @property
    def painted(self) -> int:
        """The side of what the decoder paints."""
        return self.view.size // 2 if self.region == "center" else self.view.size

    def cut(self, x: Array) -> Array:
        """Of whole images or masks, what the decoder paints."""
        margin = (self.view.size - self.painted) // 2
        return x[:, margin : margin + self.painted, margin : margin + self.painted]

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Cuts the hole; keeps the images in [0, 1], and the masks, which are True in the hole."""
        assert self.view.mean is not None
        assert self.view.std is not None
        view_key, mask_key = jax.random.split(key)
        whole = augment.make_view(self.pixel_view, view_key, images)
        side = self.view.size
        if self.region == "center":
            mask = augment.center_mask(side, self.painted - 2 * self.overlap)
        else:
            mask = augment.random_region_mask(mask_key, side, self.resolution)
        hole = jnp.broadcast_to(mask[None], whole.shape[:3])
        seen = augment.normalize(whole, self.view.mean, self.view.std)
        return Question(jnp.where(hole[..., None], 0.0, seen), {"image": whole, "hole": hole})

    def loss(self, outputs: Outputs, targets: PyTree) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Squared error of all that is painted, in [-1, 1]."""
        weight = None
        if self.overlap:
            weight = jnp.where(self.cut(targets["hole"]), 1.0, self.overlap_weight)
        error = losses.pixel_squared_error(outputs["prediction"], self.truth(targets), weight)
        return error, {}

    def truth(self, targets: PyTree) -> Images:
        """What should be painted, in [-1, 1]."""
        return augment.tanh_range(self.cut(targets["image"]))

    def scores(self, outputs: Outputs, targets: PyTree) -> dict[str, Float[Array, " batch"]]:
        """Share of variance explained and signal-to-noise ratio inside the hole."""
        return self._mark(augment.unit_range(outputs["prediction"]), targets)

    def guess(self, question: Question) -> dict[str, Float[Array, " batch"]]:
        """The marks of the mean colour, with which the hole is filled."""
        filled = mean_colour(self.view, self.cut(question.targets["image"]))
        return self._mark(filled, question.targets)

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """What is seen, the hole painted in, and the truth."""
        truth, hole = question.targets["image"], question.targets["hole"]
        margin = (self.view.size - self.painted) // 2
        edge = (margin, margin)
        prediction = augment.unit_range(outputs["prediction"])
        painted = jnp.pad(prediction, ((0, 0), edge, edge, (0, 0)))
        filled = jnp.where(hole[..., None], painted, truth)
        return jnp.stack([self.to_pixels(question.inputs), filled, truth], axis=1)

    def _mark(self, painted: Images, targets: PyTree) -> dict[str, Float[Array, " batch"]]:
        hole: Bool[Array, "batch h w"] = self.cut(targets["hole"])
        return mark(painted, self.cut(targets["image"]), self.view, hole)


class ContextEncoder(PretextMethod):
    """Two players: the encoder with its decoder, and a discriminator of what is painted.

    The discriminator judges the painted patch or its original alone, never what lies around: it
    would win by the seam. Both players learn from one pass of the decoder, as in the authors' code.
    Without a weight on the adversarial loss there is no discriminator.
    """

    roles: ClassVar = {
        "encoder": models.ENCODER,
        "discriminator": models.DISCRIMINATOR.with_options(width=0.5, kernel=4),
    }
    task_type = ContextEncoderTask
    pretext: ContextEncoderTask

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        method = config.method
        self.weight = method.adversarial_weight
        if not 0 <= self.weight < 1:
            raise ValueError(
                f"method.adversarial_weight is {self.weight}; it must be in [0, 1): the squared "
                "error has the rest."
            )
        project = without_biases if method.reset_biases else None
        (online,) = self.players
        self.players = (dataclasses.replace(online, project=project),)
        if self.weight:
            self.judge = Judge(
                self.roles["discriminator"],
                config,
                task,
                self.pretext.painted,
                method.discriminator_rate,
            )
            judge = self.judge.player(lambda turn: self.pretext.truth(turn.views.targets), project)
            self.players = (*self.players, judge)

    @classmethod
    def default_config(cls) -> ConfigDict:
        """The task's keys, and those of the game."""
        config = super().default_config()
        config.update(
            adversarial_weight=0.001,  # The squared error has the rest; 0: no discriminator.
            discriminator_rate=0.1,  # Its learning rate, as a multiple of the other player's.
            reset_biases=True,  # Of convolutions and linear layers, to 0 before every step.
        )
        return config

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the encoder, the decoder and the discriminator."""
        params, variables, memory = super().init(key)
        if self.weight:
            params["discriminator"], variables["discriminator"] = self.judge.init(key)
        return params, variables, memory

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The squared error, and how surely the discriminator takes the painted for painted."""
        outputs, variables = self.forward(params, turn)
        loss, aux = self.mark(outputs, variables, turn.views.targets)
        if not self.weight:
            return loss, aux
        painted = outputs["prediction"]
        return self.judge.join(loss, 1.0 - self.weight, self.weight, aux, painted, turn)


def without_biases(params: PyTree) -> PyTree:
    """Sets the biases of all layers that have a kernel to 0; those of norms stay."""
    flat = traverse_util.flatten_dict(params)
    return traverse_util.unflatten_dict(
        {
            path: jnp.zeros_like(x) if path[-1] == "bias" and (*path[:-1], "kernel") in flat else x
            for path, x in flat.items()
        }
    )
