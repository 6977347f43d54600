"""The permutohedral lattice against its definition, in loops, and against the exact filter."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from natural import natural_noise, natural_picture

from ssljax.ops.crf import pixel_features
from ssljax.ops.gaussian import filter_pairs
from ssljax.ops.permutohedral import build_lattice, filter_lattice, pad_lattice


def _simplex(point):
    """The vertices of the simplex around a point of the plane, and its barycentric coordinates."""
    count = len(point)
    # The nearest vertex whose coordinates are all multiples of d + 1.
    nearby = count * (
        np.round(point / count) + np.array(list(itertools.product((-1, 0, 1), repeat=count)))
    )
    nearby = nearby[nearby.sum(axis=1) == 0]
    nearest = nearby[np.argmin(((nearby - point) ** 2).sum(axis=1))]
    # Vertex k is one step up in all coordinates, and d + 1 down in the k of them that lie lowest.
    falling = np.argsort(nearest - point, kind="stable")
    vertices = np.tile(nearest, (count, 1))
    for k in range(count):
        vertices[k] += k
        vertices[k, falling[count - k :]] -= count
    system = np.vstack([vertices.T, np.ones(count)])
    shares = np.linalg.lstsq(system, np.append(point, 1.0), rcond=None)[0]
    np.testing.assert_allclose(shares @ vertices, point, atol=1e-9)
    assert shares.min() > -1e-9
    return [tuple(map(int, vertex)) for vertex in vertices], shares


def _reference(features, values):
    """Splat, blur and slice, as the paper says, with a dictionary of vertices."""
    dim = features.shape[1]
    basis = np.zeros((dim + 1, dim))
    for axis in range(dim):
        basis[: axis + 1, axis] = 1
        basis[axis + 1, axis] = -(axis + 1)
    basis /= np.linalg.norm(basis, axis=0)
    elevated = features @ (np.sqrt(2 / 3) * (dim + 1) * basis).T
    places = [_simplex(point) for point in elevated]
    grid = {vertex: np.zeros(values.shape[1]) for vertices, _ in places for vertex in vertices}
    for (vertices, shares), value in zip(places, values, strict=True):
        for vertex, share in zip(vertices, shares, strict=True):
            grid[vertex] += share * value
    for axis in range(dim + 1):
        step = np.ones(dim + 1, int)
        step[axis] = -dim
        none = np.zeros(values.shape[1])
        grid = {
            vertex: value
            + 0.5 * grid.get(tuple(map(int, vertex + step)), none)
            + 0.5 * grid.get(tuple(map(int, vertex - step)), none)
            for vertex, value in grid.items()
        }
    sliced = [
        sum(share * grid[vertex] for vertex, share in zip(vertices, shares, strict=True))
        for vertices, shares in places
    ]
    return np.array(sliced) / (1 + 2.0**-dim)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_the_filter_is_the_one_of_the_definition(dim):
    rng = np.random.default_rng(dim)
    features, values = rng.normal(size=(40, dim)), rng.normal(size=(40, 3))
    lattice = build_lattice(features)
    np.testing.assert_allclose(np.sum(lattice.weights, axis=0), 1, rtol=1e-6)
    found = filter_lattice(lattice, jnp.asarray(values, jnp.float32))
    np.testing.assert_allclose(found, _reference(features, values), rtol=2e-5, atol=2e-5)


def test_points_in_several_chunks_are_points_in_one(monkeypatch):
    features = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    whole = build_lattice(features)
    monkeypatch.setattr("ssljax.ops.permutohedral._CHUNK", 16)
    for part, all_of_it in zip(build_lattice(features), whole, strict=True):
        np.testing.assert_array_equal(part, all_of_it)


def test_empty_slots_change_nothing():
    rng = np.random.default_rng(0)
    values = jnp.asarray(rng.normal(size=(50, 2)), jnp.float32)
    lattice = build_lattice(rng.normal(size=(50, 3)))
    slots = lattice.neighbors.shape[2]
    padded = pad_lattice(lattice, slots + 7)
    assert padded.neighbors.shape[2] == slots + 7
    np.testing.assert_array_equal(filter_lattice(padded, values), filter_lattice(lattice, values))
    with pytest.raises(ValueError, match=f"{slots} slots"):
        pad_lattice(lattice, slots - 1)


@pytest.mark.parametrize(("position", "color", "error"), [(3.0, None, 0.03), (12.0, 40.0, 0.1)])
def test_the_mean_around_a_pixel_is_nearly_the_exact_one(position, color, error):
    features = jnp.asarray(pixel_features(natural_picture(32), position, color))
    shown = natural_noise(2, 32, seed=1).reshape(2, -1).T
    values = jnp.asarray(np.concatenate([shown, np.ones_like(shown[:, :1])], axis=1))
    exact = filter_pairs(features, values)
    near = filter_lattice(build_lattice(np.asarray(features)), values)
    expected = exact[:, :2] / exact[:, 2:]
    off = near[:, :2] / near[:, 2:] - expected
    ratio = float(jnp.sqrt(jnp.mean(off**2)) / jnp.std(expected))
    assert 0 < ratio < error


@pytest.mark.parametrize(
    ("features", "told"),
    [
        (np.zeros((0, 2)), "needs points"),
        (np.array([[np.nan]]), "finite"),
        (1e9 * np.eye(5), "too many to be numbered"),
    ],
)
def test_what_has_no_lattice_is_told(features, told):
    with pytest.raises(ValueError, match=told):
        build_lattice(features)
