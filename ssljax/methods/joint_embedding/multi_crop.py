"""What SwAV, DeepCluster-v2 and LeJEPA share: multi-crop views, an encoder and a projector."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models
from ssljax.augment import presets
from ssljax.methods import passes
from ssljax.methods.contract import Batch, Method, Task, TrainState


class MultiCrop(Method):
    """An encoder with a projection head, on two large crops and some small ones of every image.

    Args:
      config: The whole resolved config.
      task: What is known of data and length.
      projector_layers: Layers of the projection head.

    Attributes:
      network: Encoder and projector.
      image_shape: (height, width, channels) of a large crop.
    """

    roles: ClassVar = {"encoder": models.ENCODER}

    @staticmethod
    def default_config() -> ConfigDict:
        """Crops and head of SwAV's paper for ImageNet."""
        return ConfigDict(
            dict(
                projector_hidden_dim=2048,
                projector_dim=128,
                local_crops=6,  # With 0, give `view` a crop_scale of (0.08, 1.0).
                view=ConfigDict(dataclasses.asdict(presets.swav(224, (0.14, 1.0)))),
                local_view=ConfigDict(dataclasses.asdict(presets.swav(96, (0.05, 0.14)))),
            )
        )

    def __init__(self, config: ConfigDict, task: Task, projector_layers: int = 2) -> None:
        method = config.method
        self.config = method
        self._view = augment.view_from_config(method.view)
        local_view = augment.view_from_config(method.local_view)
        self.policies = [(self._view, 2), (local_view, method.local_crops)]
        self.image_shape = (self._view.size, self._view.size, task.image_shape[-1])
        self.network = models.EncoderWithHeads(
            encoder=models.encoder_from_config(config.model.encoder),
            projector=models.ProjectionHead(
                num_layers=projector_layers,
                hidden_dim=method.projector_hidden_dim,
                out_dim=method.projector_dim,
                last_batch_norm=False,
                dtype=config.model.encoder.dtype,
            ),
        )

    def crops(self, key: PRNGKeyArray, batch: Batch) -> tuple[Array, ...]:
        """Makes two large crops of every image, and then the small ones."""
        return augment.make_views(key, batch["images"], self.policies)

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of encoder and projector on the whole images."""
        return passes.features(
            self.network, state.params["online"], state.variables["online"], self._view, images
        )
