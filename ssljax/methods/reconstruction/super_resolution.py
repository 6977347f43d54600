"""Super-resolution: a large image is predicted from a small one.

Ledig et al., Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network,
2017.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, metrics, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Method, Task, TrainState, Turn
from ssljax.methods.frozen_encoder import Extractor, encoder_of
from ssljax.methods.pretext_method import PretextMethod, encoder_weights
from ssljax.methods.pretext_task import Encode, Outputs, PretextTask, Question
from ssljax.methods.reconstruction.decoding import Images
from ssljax.methods.reconstruction.judge import Judge
from ssljax.models import weights

PyTree = Any
Small = Float[Array, "batch small_height small_width channels"]


class SuperResolutionHead(nn.Module):
    """Enlarges the encoder's last map to an image.

    Attributes:
      upscaler: See `models.Upscaler`.
    """

    upscaler: models.Upscaler

    def __call__(self, encode: Encode, inputs: Small, train: bool) -> Outputs:
        """Makes large images of small ones.

        Args:
          encode: An encoder that keeps the side of its input.
          inputs: Small images in [0, 1].
          train: Whether norms use and update batch statistics.

        Returns:
          "prediction" (batch, height, width, channels), large images in [-1, 1]; "features"
          (batch, dim), the encoder's.

        Raises:
          ValueError: If the encoder's last map is smaller than its input.
        """
        outputs = encode(inputs)
        trunk = models.last_map(outputs)
        if trunk.shape[1:3] != inputs.shape[1:3]:
            raise ValueError(
                f"Super-resolution needs an encoder that keeps the side of its images, and this "
                f"one makes {trunk.shape[1]} of {inputs.shape[1]}: choose "
                "config.model.encoder.name=srresnet."
            )
        return {"prediction": self.upscaler(trunk, train), "features": outputs["features"]}


class SuperResolutionTask(PretextTask):
    """The small image is the large one, reduced by bicubic interpolation.

    The loss is the squared error. Small images are in [0, 1] and large ones in [-1, 1], so that a
    mean and deviation of the view are not read. Marks are of the luma Y alone, and of what lies
    inside a border.
    """

    def __init__(self, config: ConfigDict, task: Task, dtype: str) -> None:
        view = augment.view_from_config(config.view)
        self.view = dataclasses.replace(view, mean=None, std=None)
        self.policies = [(self.view, 1)]
        self.factor, self.border = config.factor, config.border
        inner = self.view.size - 2 * self.border
        if self.view.size % self.factor or inner < 11:
            raise ValueError(
                f"method.view.size={self.view.size} with method.factor={self.factor} and "
                f"method.border={self.border} is impossible: the factor must divide the size, and "
                "SSIM needs 11 pixels inside the border."
            )
        channels = task.image_shape[-1]
        self.head = SuperResolutionHead(
            models.Upscaler(self.factor, channels, config.upscaler_channels, dtype)
        )
        self.chance = {"psnr": jnp.nan, "ssim": jnp.nan}

    @staticmethod
    def default_config() -> ConfigDict:
        """The paper's values."""
        view = augment.ViewPolicy(96, crop_scale=None, flip_p=0.0)
        return ConfigDict(
            dict(
                factor=4,  # By which the sides grow: 2, 4 or 8.
                upscaler_channels=64,  # Of the enlarged maps.
                border=4,  # Pixels on every side that are not marked.
                view=ConfigDict(dataclasses.asdict(view)),
            )
        )

    def reduce(self, large: Images) -> Small:
        """Small images of large ones, both in [0, 1]."""
        side = self.view.size // self.factor
        return augment.resize(large, (side, side), "bicubic")

    def ask(self, key: PRNGKeyArray, images: Mapping[str, Array]) -> Question:
        """Makes small images; keeps the large ones in [0, 1]."""
        large = augment.make_view(self.view, key, images)
        return Question(self.reduce(large), large)

    def loss(self, outputs: Outputs, targets: Images) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Squared error of the large images in [-1, 1]."""
        return losses.pixel_squared_error(outputs["prediction"], augment.tanh_range(targets)), {}

    def scores(self, outputs: Outputs, targets: Images) -> dict[str, Float[Array, " batch"]]:
        """Signal-to-noise ratio and structural similarity."""
        return self._mark(self._enlarged(outputs), targets)

    def guess(self, question: Question) -> dict[str, Float[Array, " batch"]]:
        """The marks of bicubic interpolation."""
        return self._mark(self._interpolated(question.inputs), question.targets)

    def picture(
        self, outputs: Outputs, question: Question
    ) -> Float[Array, "batch columns height width channels"]:
        """The small image, enlarged by bicubic interpolation and by the network, and the truth."""
        squares = jnp.repeat(jnp.repeat(question.inputs, self.factor, 1), self.factor, 2)
        enlarged = [self._interpolated(question.inputs), self._enlarged(outputs)]
        return jnp.stack([squares, *enlarged, question.targets], axis=1)

    def features(
        self, encode: Encode, images: Num[Array, "batch height width channels"]
    ) -> Outputs:
        """The encoder's outputs for small images, as in training."""
        return encode(self.reduce(augment.center_view(self.view, images)))

    def _interpolated(self, small: Small) -> Images:
        side = self.view.size
        return augment.resize(small, (side, side), "bicubic")

    def _enlarged(self, outputs: Outputs) -> Images:
        return jnp.clip(augment.unit_range(outputs["prediction"]), 0.0, 1.0)

    def _mark(self, enlarged: Images, truth: Images) -> dict[str, Float[Array, " batch"]]:
        pair = [enlarged, truth]
        if truth.shape[-1] == 3:
            pair = [metrics.luma(x) for x in pair]
        inner, wanted = (metrics.without_border(x, self.border) for x in pair)
        return {"psnr": metrics.psnr(inner, wanted), "ssim": metrics.ssim(inner, wanted)}


class SuperResolution(PretextMethod):
    """SRResNet, and SRGAN, which starts from a run of it in `config.init.workdir`.

    With `adversarial_weight` above 0 a discriminator of large images plays along. The content of an
    image, which it shares with the truth, is then "pixels" or "features" of a frozen encoder: the
    one that the SRResNet run has carried along from the run in its own `config.init.workdir`, or
    the VGG-19 whose weights `extractor` names. The paper's is the last map of a VGG-19 trained with
    labels.
    """

    roles: ClassVar = {
        "encoder": models.ENCODER.with_options(name="srresnet"),
        "discriminator": models.DISCRIMINATOR.with_options(name="srgan"),
    }
    task_type = SuperResolutionTask
    pretext: SuperResolutionTask

    def __init__(self, config: ConfigDict, task: Task) -> None:
        super().__init__(config, task)
        method = config.method
        self.weight, self.layer = method.adversarial_weight, method.content_layer
        self.scale = method.content_scale
        if self.weight < 0 or self.scale <= 0:
            raise ValueError(
                f"method.adversarial_weight={self.weight} with method.content_scale={self.scale} "
                "is impossible: the weight must be 0 or more, and the scale above 0."
            )
        if method.content not in ("pixels", "features"):
            raise ValueError(
                f"method.content is {method.content!r}; it must be 'pixels' or 'features'."
            )
        self.file = method.extractor
        self.extractor = _vgg19() if self.file else extractor_of(task.source)
        if self.file and task.source is None:
            raise ValueError(
                "method.extractor is for SRGAN, which starts from SRResNet: set "
                "config.init.workdir to a run of super_resolution."
            )
        self.reads_features = method.content == "features"
        if self.reads_features and self.extractor is None:
            raise ValueError(
                "method.content='features' needs an encoder: set config.init.workdir to a run with "
                "one, or to a run of super_resolution that started from such a run, or name a file "
                "of VGG-19's weights in method.extractor."
            )
        if self.weight:
            if not isinstance(task.source, SuperResolution):
                raise ValueError(
                    "SRGAN starts from SRResNet: set config.init.workdir to a run of "
                    "super_resolution with method.adversarial_weight=0."
                )
            self.judge = Judge(
                self.roles["discriminator"],
                config,
                task,
                self.pretext.view.size,
                method.discriminator_rate,
            )
            judge = self.judge.player(lambda turn: augment.tanh_range(turn.views.targets))
            self.players = (*self.players, judge)

    @classmethod
    def default_config(cls) -> ConfigDict:
        """The task's keys, and those of SRGAN."""
        config = super().default_config()
        config.update(
            adversarial_weight=0.0,  # 0.001 for SRGAN.
            discriminator_rate=1.0,  # Its learning rate, as a multiple of the other player's.
            content="pixels",  # Or "features", of a frozen encoder.
            extractor="",  # Or a safetensors file of VGG-19: see `ssljax.tools.convert_vgg`.
            content_layer="stage2",  # Which of that encoder's outputs.
            content_scale=1 / 12.75,  # A factor on them; the paper's, for VGG-19.
        )
        return config

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes trunk and end, the discriminator, and an encoder for `start_from` to replace."""
        params, variables, _ = super().init(key)
        if self.weight:
            params["discriminator"], variables["discriminator"] = self.judge.init(key)
        memory: dict[str, PyTree] = {}
        if self.extractor is not None:
            shape = (self.pretext.view.size,) * 2 + self.image_shape[-1:]
            own, others = passes.init(self.extractor.network, key, shape)
            memory["extractor"] = {"params": own, **others}
        return params, variables, memory

    def start_from(self, state: TrainState, source: Method, source_state: TrainState) -> TrainState:
        """Goes on from SRResNet and its extractor; from any other run takes the encoder alone.

        Raises:
          UserError: If the file of an extractor cannot be read, or is of another network.
        """
        loaded = {"extractor": weights.load_vgg19(self.file)} if self.file else None
        loaded = jax.tree.map(jnp.asarray, loaded)
        if isinstance(source, SuperResolution):
            params, variables = source.trained_weights(source_state)
            return state.replace(
                params=state.params | {"online": params},
                variables=state.variables | {"online": variables},
                memory=loaded or source_state.memory,
            )
        if loaded:
            return state.replace(memory=loaded)
        taken = encoder_weights(*source.trained_weights(source_state))
        return state.replace(memory={"extractor": taken})

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The content loss, and how surely the discriminator takes the image for enlarged."""
        outputs, variables = self.forward(params, turn)
        loss, aux = self.mark(outputs, variables, turn.views.targets)
        enlarged = outputs["prediction"]
        if self.reads_features:
            loss = self.content_loss(turn.state.memory, enlarged, turn.views.targets)
        if not self.weight:
            return loss, aux
        return self.judge.join(loss, 1.0, self.weight, aux, enlarged, turn)

    def content_loss(self, memory: PyTree, enlarged: Images, truth: Images) -> Float[Array, ""]:
        """Squared error of the extractor's features.

        Args:
          memory: That of the state.
          enlarged: Images in [-1, 1].
          truth: Images in [0, 1].
        """
        assert self.extractor is not None
        extractor = self.extractor

        def look(images: Images) -> Array:
            outputs: Any = extractor.network.apply(
                memory["extractor"], extractor.normalize(images), train=False
            )
            if self.layer not in outputs:
                raise ValueError(
                    f"method.content_layer is {self.layer!r}; the encoder has "
                    f"{', '.join(sorted(outputs))}."
                )
            return self.scale * outputs[self.layer].astype(jnp.float32)

        return jnp.mean(jnp.square(look(augment.unit_range(enlarged)) - look(truth)))


def _vgg19() -> Extractor:
    """The network of the paper, whose images are normalised as for all of torchvision's."""
    view = augment.ViewPolicy(96, mean=presets.IMAGENET_MEAN, std=presets.IMAGENET_STD)
    return Extractor(models.build_encoder("vgg19"), view)


def extractor_of(source: Method | None) -> Extractor | None:
    """The encoder that a run brings along: its own, or that of the run that it started from."""
    return source.extractor if isinstance(source, SuperResolution) else encoder_of(source)
