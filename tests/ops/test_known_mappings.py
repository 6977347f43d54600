"""Rules between domains: what becomes of single pixels, and that nothing is lost."""

import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.ops.known_mappings import KNOWN_MAPPINGS


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)


def test_the_rules_are_what_they_are_called(images):
    found = {name: np.asarray(rule(jnp.asarray(images))) for name, rule in KNOWN_MAPPINGS.items()}
    assert {x.dtype for x in found.values()} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(found["none"], images)
    np.testing.assert_array_equal(found["inverted"].astype(int), 255 - images.astype(int))
    for image, turned in zip(images, found["turned"], strict=True):
        # The first row of a picture that is turned to the left is its last column.
        np.testing.assert_array_equal(turned[0], image[:, -1])
        np.testing.assert_array_equal(turned[:, 0], image[0, ::-1])


def test_colours_go_evenly_from_dark_blue_to_yellow():
    grey = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=3)
    colored = np.asarray(KNOWN_MAPPINGS["colored"](jnp.asarray(grey))).reshape(256, 3)
    share = np.arange(256)[:, None] / 255
    expected = (1 - share) * np.array([16, 48, 128]) + share * np.array([255, 208, 32])
    assert np.abs(colored - expected).max() <= 0.5 + 1e-6
    assert len({tuple(color) for color in colored}) > 230, "colours should tell brightness apart"


def test_images_that_do_not_fit_are_told():
    with pytest.raises(ValueError, match="needs square images, got 2 by 3"):
        KNOWN_MAPPINGS["turned"](jnp.zeros((1, 2, 3, 3), jnp.uint8))
    with pytest.raises(ValueError, match="needs images of 3 channels, got 1"):
        KNOWN_MAPPINGS["colored"](jnp.zeros((1, 2, 2, 1), jnp.uint8))
