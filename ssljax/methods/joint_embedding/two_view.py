"""What methods that compare two views of an image share: all but their heads, loss and memory."""

from __future__ import annotations

from typing import Any, ClassVar

import flax.linen as nn
from jaxtyping import Array, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models
from ssljax.methods import passes
from ssljax.methods.contract import Aux, Batch, Method, Task, TrainState, Turn
from ssljax.methods.joint_embedding import target_network

PyTree = Any


class TwoView(Method):
    """One player, "online": an encoder with heads, and a loss on two views of every image.

    A subclass hands its heads to `__init__`, defines `loss` and, if it has a memory, `after_step`.
    The views are those of `config.method`: two draws of `view`, or one of `view1` and of `view2`.

    Args:
      config: The whole resolved config.
      task: What is known of data and length.
      projector: Head on the features.
      predictor: Head on the projection, if the method has one.
      **encoder: Attributes of the encoder that are not in the config, such as `norm`; left unread
        where the encoder has no such attribute.

    Attributes:
      keeps_target: Whether the memory holds a copy of encoder and projector that the method moves:
        "target", its parameters, and "target_variables".
      contrasts_batch: Whether the loss contrasts the images of a batch with one another.
      network: Encoder, projector and predictor.
      target_network: The same without the predictor, and without dropped paths.
      image_shape: (height, width, channels) of a view.
    """

    roles: ClassVar = {"encoder": models.ENCODER}
    keeps_target: bool = False
    contrasts_batch: bool = False

    def __init__(
        self,
        config: ConfigDict,
        task: Task,
        projector: nn.Module,
        predictor: nn.Module | None = None,
        **encoder: Any,
    ) -> None:
        if self.contrasts_batch and task.batch_size < 2:
            raise ValueError(
                f"method.name={config.method.name!r} contrasts the images of a batch, so it needs "
                "at least two: make batch_size larger."
            )
        twice = "view" in config.method
        names = ("view",) if twice else ("view1", "view2")
        views = [augment.view_from_config(config.method[name]) for name in names]
        self.policies = [(view, 2 if twice else 1) for view in views]
        self._view = views[0]
        size = self._view.size
        self.image_shape = (size, size, task.image_shape[-1])
        online = models.encoder_from_config(config.model.encoder, **encoder)
        self.network = models.EncoderWithHeads(online, projector, predictor)
        self.target_network = models.EncoderWithHeads(
            target_network.without_drop_path(online), projector
        )
        self.players = (passes.online_player(self.loss, config, task),)

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the network and, if there is a target, its copy without the predictor."""
        params, variables = passes.init(self.network, key, self.image_shape)
        memory: PyTree = ()
        if self.keeps_target:
            target, target_variables = target_network.without_predictor(params, variables)
            memory = {"target": target, "target_variables": target_variables}
        return {"online": params}, {"online": variables}, memory

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Makes two views of every image."""
        return augment.make_views(key, batch["images"], self.policies)

    def loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The method's own loss of its two views; see `contract.Loss`."""
        raise TypeError(f"{type(self).__name__} does not define loss")

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """Every output of the online network on the whole images."""
        return passes.features(
            self.network, state.params["online"], state.variables["online"], self._view, images
        )
