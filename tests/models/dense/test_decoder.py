"""Decoders reach their size from vectors and from maps, and say when they cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import models


@pytest.mark.parametrize("name", models.DECODERS)
@pytest.mark.parametrize("shape", [(2, 5), (2, 4, 4, 3)])
def test_it_makes_images_of_vectors_and_of_maps(name, shape):
    decoder = models.build_decoder(name, size=16, channels=3, widths=(6, 4), tanh=True)
    code = jax.random.normal(jax.random.key(0), shape)
    variables = decoder.init(jax.random.key(1), code, False)
    images = decoder.apply(variables, 9 * code, False)
    assert images.shape == (2, 16, 16, 3)
    assert images.dtype == jnp.float32
    assert np.abs(images).max() <= 1
    assert not np.array_equal(images[0], images[1])
    grown = jax.eval_shape(
        lambda code: decoder.apply(variables, code, True, mutable=["batch_stats"])[0], code
    )
    assert grown.shape == images.shape


def test_resizing_leaves_no_pattern_of_squares():
    """The inside of a constant map stays constant; with strides its phases would differ."""

    def inside(name):
        decoder = models.build_decoder(name, size=32, channels=1, widths=(4, 4))
        code = jnp.ones((1, 8, 8, 2))
        image = decoder.apply(decoder.init(jax.random.key(0), code, False), code, False)
        return np.ptp(np.asarray(image)[0, 8:-8, 8:-8])

    assert inside("resized") < 1e-5
    assert inside("transposed") > 1e-2


@pytest.mark.parametrize(
    ("shape", "options", "told"),
    [
        ((2, 4, 4, 3), dict(size=32, widths=(8, 8)), "maps of 8x8, and these are 4x4"),
        ((2, 5), dict(size=20, widths=(8, 8, 8)), "do not end at 20 pixels"),
        ((2, 5), dict(size=16, widths=()), "0 doublings"),
    ],
)
def test_what_does_not_fit_is_told(shape, options, told):
    decoder = models.build_decoder("resized", channels=3, **options)
    with pytest.raises(ValueError, match=told):
        jax.eval_shape(lambda: decoder.init(jax.random.key(0), jnp.zeros(shape), False))


def test_a_decoder_that_is_unknown_is_told():
    with pytest.raises(ValueError, match="There is no decoder 'resize'; the nearest are resized"):
        models.build_decoder("resize", size=8, channels=3)
