"""SimMIM: its loss in float64, its masks, what is learnt and what is evaluated."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import augment, models
from ssljax.methods.contract import Turn
from ssljax.methods.reconstruction.simmim import SimMIM
from ssljax.run.step import init_state


@pytest.fixture(scope="module")
def method(tiny):
    with pytest.MonkeyPatch.context() as patch:
        small = functools.partial(models.VisionTransformer, dim=8, depth=1, heads=2, patch_size=2)
        patch.setitem(models.ENCODERS, "vit_test", small)
        config = tiny.config(SimMIM, mask_size=4)
        config.model.encoder.update(name="vit_test")
        yield SimMIM(config, tiny.task)


@pytest.fixture(scope="module")
def start(tiny, method):
    return tiny.jit(lambda: init_state(method, jax.random.key(0)))()


@pytest.fixture(scope="module")
def at_start(tiny, method, start):
    """By key: views, mask, outputs, loss with its gradient, and what the loss says."""
    views = tiny.views()[0]

    @tiny.jit
    def compute(key):
        params = start.params["online"]
        mask = method.masks(jax.random.split(key)[0], views)
        outputs = method.network.apply({"params": params}, views, mask, train=False)
        loss = jax.value_and_grad(method.loss, has_aux=True)
        return views, mask, outputs, loss(params, Turn(start, views, key))

    return compute


def test_defaults_are_the_papers():
    config = SimMIM.default_config()
    assert (config.mask_ratio, config.mask_size) == (0.6, 32)
    view = augment.view_from_config(config.view)
    assert (view.size, view.crop_scale, view.flip_p) == (224, (0.67, 1.0), 0.5)
    assert view.brightness == view.gray_p == view.blur_p == 0.0


def test_loss_is_the_error_of_the_hidden_pixels_in_float64(at_start):
    views, mask, outputs, ((loss, aux), _) = at_start(jax.random.key(2))
    # Three of four squares, as 2.4 is rounded up; each is four patches of four pixels.
    hidden = np.asarray(mask).reshape(16, 2, 2, 2, 2)
    np.testing.assert_array_equal(hidden.all(axis=(2, 4)).sum(axis=(1, 2)), 3)
    np.testing.assert_array_equal(hidden.any(axis=(2, 4)).sum(axis=(1, 2)), 3)
    pixels = np.asarray(views, np.float64).reshape(16, 4, 2, 4, 2).swapaxes(2, 3)
    error = np.abs(pixels.reshape(16, 16, 4) - np.asarray(outputs["prediction"], np.float64))
    np.testing.assert_allclose(loss, error[np.asarray(mask)].mean(), rtol=1e-5)
    assert set(aux.metrics) == {"embedding_std", "effective_rank", "collapsed"}


def test_hidden_pixels_are_targets_and_not_seen(method, start, at_start):
    views, mask, outputs, (_, gradient) = at_start(jax.random.key(2))
    noise = np.random.default_rng(0).normal(size=(16, 16, 4)).astype(np.float32)
    noise *= np.asarray(mask)[..., None]
    changed = views + models.unpatchify(jnp.asarray(noise), (4, 4), 2).reshape(views.shape)
    seen = method.network.apply({"params": start.params["online"]}, changed, mask, train=False)
    np.testing.assert_allclose(seen["prediction"], outputs["prediction"], atol=1e-6)
    assert all(np.any(leaf) for name, leaf in gradient.items() if name == "mask_token")
    assert np.any(gradient["prediction"]["kernel"])


def test_every_example_and_every_step_hides_other_squares(at_start):
    masks = [np.asarray(at_start(jax.random.key(key))[1]) for key in (2, 3)]
    assert len({tuple(row) for row in masks[0]}) > 2
    assert np.any(masks[0] != masks[1])


def test_features_are_the_encoders_without_mask_token_and_head(method, start):
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8))
    found = method.features(start, images)
    assert set(found) == {"block1", "tokens", "features"}
    bare = {"online": {"encoder": start.params["online"]["encoder"]}}
    again = method.features(start.replace(params=bare), images)
    np.testing.assert_array_equal(again["features"], found["features"])


def test_squares_that_are_no_patches_are_told(tiny):
    config = tiny.config(SimMIM, mask_size=6)
    with pytest.raises(ValueError, match="needs a vision transformer"):
        SimMIM(config, tiny.task)
    config.model.encoder.update(name="vit_mini")
    with pytest.raises(ValueError, match=r"mask_size=6 is no multiple .* patches of 4 pixels"):
        SimMIM(config, tiny.task)
