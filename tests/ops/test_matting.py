"""Mattes whose truth is known, and the equations that mattes must fulfil."""

import numpy as np
import pytest
from natural import natural_noise

from ssljax.ops import matting
from ssljax.ops.matting import estimate_alpha, estimate_layers
from ssljax.ops.matting_laplacian import sparse_laplacian


@pytest.fixture(name="mixture", scope="module")
def _mixture():
    """A soft disc of one plain colour on another, and what is known of it."""
    y, x = np.indices((24, 28)) - 12.0
    alpha = np.clip((9 - np.hypot(y, x)) / 5, 0, 1)
    front, back = np.array([0.9, 0.2, 0.1]), np.array([0.1, 0.3, 0.8])
    image = alpha[..., None] * front + (1 - alpha[..., None]) * back
    return image, alpha, front, back


def test_a_mixture_of_two_colours_is_taken_apart(mixture):
    image, alpha, front, back = mixture
    found = estimate_alpha(image, alpha == 1, alpha == 0)
    np.testing.assert_allclose(found, alpha, atol=1e-5)
    layers = estimate_layers(image, found)
    for layer, color, there in zip(layers, (front, back), (alpha, 1 - alpha), strict=True):
        off = np.abs(layer - color)[there > 0.2]
        assert off.max() < 0.02


def _noisy():
    image = np.clip(natural_noise(3, 20, seed=3)[..., 0].transpose(1, 2, 0), 0, 1).astype(float)
    foreground, background = np.zeros((2, 20, 20), bool)
    foreground[6:10, 5:9], background[:, 16:], background[:2] = True, True, True
    return image, foreground, background


def test_the_opacity_minimises_the_quadratic_form_over_the_unknown_pixels():
    image, foreground, background = _noisy()
    unknown = ~(foreground | background)
    matrix = sparse_laplacian(image, 1e-3).toarray()
    given = foreground.astype(float)
    among = unknown.ravel()
    expected = np.linalg.solve(matrix[np.ix_(among, among)], -matrix[among] @ given.ravel())
    told = []
    found = estimate_alpha(
        image,
        foreground,
        background,
        epsilon=1e-3,
        tolerance=1e-10,
        progress=lambda *x: told.append(x),
    )
    np.testing.assert_allclose(found[unknown], np.clip(expected, 0, 1), atol=1e-6)
    np.testing.assert_array_equal(found[~unknown], given[~unknown])
    assert told


def test_where_nothing_is_unknown_nothing_is_estimated():
    image, foreground, _ = _noisy()
    np.testing.assert_array_equal(estimate_alpha(image, foreground, ~foreground), foreground)


def test_many_sweeps_solve_the_equations_of_both_layers(monkeypatch):
    monkeypatch.setattr(matting, "_SWEEPS_SMALL", 1500)
    side = 6
    image = 0.5 + 0.1 * (natural_noise(3, side, seed=1)[..., 0].transpose(1, 2, 0) - 0.5)
    alpha = natural_noise(1, side, seed=2)[0, ..., 0].clip(0.1, 0.9).astype(np.float64)
    # One equation for each pixel's foreground, then one for each background.
    count = side * side
    a = alpha.ravel()
    matrix = np.block(
        [[np.diag(a**2), np.diag(a * (1 - a))], [np.diag(a * (1 - a)), np.diag((1 - a) ** 2)]]
    )
    y, x = np.divmod(np.arange(count), side)
    for i, j in zip(*np.nonzero(abs(y[:, None] - y) + abs(x[:, None] - x) == 1), strict=True):
        for layer in (0, count):
            matrix[layer + i, layer + i] += 1e-5 + abs(a[i] - a[j])
            matrix[layer + i, layer + j] -= 1e-5 + abs(a[i] - a[j])
    flat = image.reshape(count, 3)
    right = np.concatenate([a[:, None] * flat, (1 - a)[:, None] * flat])
    expected = np.linalg.solve(matrix, right).reshape(2, side, side, 3)
    np.testing.assert_allclose(np.stack(estimate_layers(image, alpha)), expected, atol=2e-3)


def test_a_layer_that_is_all_there_is_the_image():
    image = natural_noise(3, 16)[..., 0].transpose(1, 2, 0).clip(0, 1)
    np.testing.assert_allclose(estimate_layers(image, np.ones((16, 16)))[0], image, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"foreground": np.zeros((20, 20), bool)}, "known to be foreground"),
        ({"background": np.zeros((20, 20), bool)}, "known to be background"),
        ({"background": np.ones((20, 20), bool)}, "at once"),
        ({"background": np.ones((19, 20), bool)}, "one size"),
        ({"tolerance": 1e-30, "max_iterations": 2}, "after 2 iterations"),
    ],
)
def test_what_cannot_be_matted_is_told(change, told):
    image, foreground, background = _noisy()
    arguments = {"image": image, "foreground": foreground, "background": background}
    with pytest.raises(ValueError, match=told):
        estimate_alpha(**(arguments | change))
    with pytest.raises(ValueError, match="one size"):
        estimate_layers(image, np.ones((20, 19)))
