"""What methods share: passes through a network in training mode, and the player of one network."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, models, optimizers
from ssljax.methods.contract import Loss, Player, Task

PyTree = Any
Outputs = dict[str, Array]
"""Named outputs of a network; "features" (batch, dim) is the representation."""


def init(
    network: nn.Module,
    key: PRNGKeyArray,
    image_shape: tuple[int, int, int],
    dtype: DTypeLike = jnp.float32,
) -> tuple[PyTree, dict[str, PyTree]]:
    """Makes the parameters and the other collections of a network of images of this type."""
    variables = dict(network.init(key, jnp.zeros((1, *image_shape), dtype), train=False))
    return variables.pop("params"), variables


def online_player(loss: Loss, config: ConfigDict, task: Task, **frozen: Any) -> Player:
    """The one player of a method: "online", with the optimizer of the config.

    Args:
      loss: Its loss.
      config: The whole resolved config.
      task: What is known of data and length.
      **frozen: For `optimizers.build_with_frozen`, where some parameters are frozen at first.
    """
    make = optimizers.build_with_frozen if frozen else optimizers.build
    settings = config.optimizer.to_dict()
    if _freezes_patch_embedding(config.model.get("encoder")):
        # Weight decay would go on without a gradient.
        settings["exclude"] = (*settings["exclude"], "patch_embedding")
    optimizer = make(
        settings,
        total_steps=task.total_steps,
        steps_per_epoch=task.steps_per_epoch,
        batch_size=task.batch_size,
        **frozen,
    )
    return Player("online", loss, optimizer.tx, optimizer.schedule)


def _freezes_patch_embedding(encoder: ConfigDict | None) -> bool:
    option = "freeze_patch_embedding"
    if encoder is None or not encoder.get(option):
        return False
    return option in models.options_of(models.ENCODERS[encoder.name])


def forward(
    network: nn.Module,
    params: PyTree,
    variables: Mapping[str, PyTree],
    inputs: PyTree,
    key: PRNGKeyArray | None = None,
    held: Collection[str] = (),
    **options: Any,
) -> tuple[Any, dict[str, PyTree]]:
    """One pass in training mode.

    Args:
      network: Any network.
      params: Its parameters.
      variables: Its other collections.
      inputs: What it takes first, such as normalised images.
      key: Key of what the network drops at random, differently for each image of the pass; None for
        a network that drops nothing. The same holds for the passes below.
      held: Collections that the pass leaves as they are, where the network allows it.
      **options: For the network's `apply`: what else it takes, or another of its methods.

    Returns:
      The outputs, and the collections as they are after the pass, without those that are held.
    """
    outputs, changed = network.apply(
        {"params": params, **variables},
        inputs,
        train=True,
        mutable=[name for name in variables if name not in held],
        rngs={} if key is None else {"drop_path": key, "dropout": key},
        **options,
    )
    return outputs, dict(changed)


def forward_each(
    network: nn.Module,
    params: PyTree,
    variables: Mapping[str, PyTree],
    views: Sequence[Float[Array, "batch height width channels"]],
    key: PRNGKeyArray | None = None,
) -> tuple[list[Outputs], dict[str, PyTree]]:
    """One pass for each view, with batch statistics and dropped paths of that view alone.

    Returns:
      The outputs of each view, and the collections as they are after the last pass.
    """
    outputs = []
    for number, view in enumerate(views):
        own = None if key is None else jax.random.fold_in(key, number)
        output, variables = forward(network, params, variables, view, own)
        outputs.append(output)
    return outputs, dict(variables)


def forward_together(
    network: nn.Module,
    params: PyTree,
    variables: Mapping[str, PyTree],
    views: Sequence[Float[Array, "batch height width channels"]],
    key: PRNGKeyArray | None = None,
) -> tuple[list[Outputs], dict[str, PyTree]]:
    """One pass for several views of one size, with batch statistics over all of them.

    An image's views lie side by side in the joint batch, so that joining and parting them moves
    nothing between devices.

    Returns:
      The outputs of each view, and the collections as they are after the pass.
    """
    count = len(views)
    images = jnp.stack(views, axis=1).reshape(-1, *views[0].shape[1:])
    outputs, variables = forward(network, params, variables, images, key)
    parted = {name: x.reshape(-1, count, *x.shape[1:]) for name, x in outputs.items()}
    return [{name: x[:, i] for name, x in parted.items()} for i in range(count)], dict(variables)


def forward_crops(
    network: models.EncoderWithHeads,
    params: PyTree,
    variables: Mapping[str, PyTree],
    crops: Sequence[Float[Array, "batch _height _width channels"]],
    key: PRNGKeyArray | None = None,
) -> tuple[list[Outputs], dict[str, PyTree]]:
    """One encoder pass for each resolution, and one projector pass for all crops together.

    This determines the batch statistics: the encoder's are over the crops of one size, the
    projector's over all. As in `forward_together`, nothing moves between devices.

    Args:
      network: Encoder and projector; a predictor is not called.
      params: The network's parameters.
      variables: The network's other collections.
      crops: Crops of the same images; those of one size follow one another.
      key: Of what the encoder drops at random.

    Returns:
      "features" and the projector's outputs of each crop, named as by `EncoderWithHeads`; and the
      collections as they are after the passes.
    """

    def passes(branch: models.EncoderWithHeads, crops: Sequence[Array], train: bool) -> Outputs:
        features = []
        for shape, group in itertools.groupby(crops, key=lambda crop: crop.shape):
            images = jnp.stack(list(group), axis=1)
            encoded = branch.encoder(images.reshape(-1, *shape[1:]), train)["features"]
            features.append(encoded.reshape(*images.shape[:2], -1))
        joined = jnp.concatenate(features, axis=1)
        layers = branch.projector(joined.reshape(-1, joined.shape[-1]), train)
        outputs = {f"projector{i}": layer for i, layer in enumerate(layers, start=1)}
        outputs["projection"] = layers[-1]
        return {"features": joined} | {
            name: x.reshape(*joined.shape[:2], -1) for name, x in outputs.items()
        }

    outputs, variables = forward(network, params, variables, crops, key, method=passes)
    parted = [{name: x[:, i] for name, x in outputs.items()} for i in range(len(crops))]
    return parted, variables


def features(
    network: nn.Module,
    params: PyTree,
    variables: Mapping[str, PyTree],
    view: augment.ViewPolicy,
    images: Num[Array, "batch height width channels"],
) -> Any:
    """All outputs on whole images, resized to the view's size, in evaluation mode."""
    whole = augment.center_view(view, images)
    return network.apply({"params": params, **variables}, whole, train=False)
