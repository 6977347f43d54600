"""Supervised learning is fine-tuning from nothing; fine-tuning gives an encoder its own inputs."""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import augment
from ssljax.augment import ViewPolicy
from ssljax.methods.pretext.rotation import Rotation, RotationTask
from ssljax.methods.transfer.finetune import Finetune
from ssljax.methods.transfer.supervised import Supervised


def same(a: Any, b: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_it_is_fine_tuning_from_nothing(tiny):
    one, other = tiny.build(Supervised), tiny.build(Finetune, from_layer=0)
    states = tiny.init(one), tiny.init(other)
    same(states[0].params, states[1].params)
    batch = {"images": {name: x[:, 0] for name, x in tiny.batch(0)["images"].items()}}
    views = one.views(jax.random.key(0), batch)
    same(views, other.views(jax.random.key(0), batch))
    assert tiny.loss(one, states[0], views)[0] == tiny.loss(other, states[1], views)[0]
    images = batch["images"]["image"]
    same(one.features(states[0], images), other.features(states[1], images))
    with pytest.raises(ValueError, match="Supervised cannot start from another run"):
        one.start_from(states[0], other, states[1])


class Halves(nn.Module):
    """An encoder of two others."""

    left: nn.Module
    right: nn.Module

    def __call__(self, x, train):
        left, right = self.left(x, train), self.right(1 - x, train)
        return {name: jnp.concatenate([left[name], right[name]], axis=-1) for name in left}


class DarkRotationTask(RotationTask):
    """Rotations of images at half their brightness, for an encoder of two halves."""

    def wrap(self, encoder):
        return Halves(encoder, encoder.clone())

    def features(self, encode, images):
        return encode(0.5 * augment.center_view(self.view, images))


class DarkRotation(Rotation):
    task_type: ClassVar = DarkRotationTask


def test_an_encoder_is_given_what_its_pretext_task_gave_it(tiny):
    source = tiny.build(DarkRotation)
    trained = tiny.init(source)
    config = tiny.config(Finetune, from_layer=0)
    task = tiny.task.__class__(**{**vars(tiny.task), "source": source})
    method = Finetune(config, task)
    started = method.start_from(tiny.init(method), source, trained)
    assert set(started.params["online"]["encoder"]) == {"left", "right"}
    images = tiny.batch(0)["images"]["image"][:, 0]
    ours, theirs = method.features(started, images), source.features(trained, images)
    same({name: ours[name] for name in theirs}, theirs)
    # The same holds for views: without a crop, a flip or a normalisation it is the whole image.
    whole = ViewPolicy(8, crop_scale=None, flip_p=0.0)
    method.view = whole
    batch = {"images": {"image": images, "label": jnp.zeros(16, jnp.int32)}}
    views = method.views(jax.random.key(0), batch)
    same(views["image"], images)
    loss, aux = tiny.loss(method, started, views)
    assert loss == pytest.approx(np.log(3), rel=1e-5)  # The classifier starts at 0.
    assert aux.carry["features"].shape == (16, 32)
