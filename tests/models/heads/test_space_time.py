"""The head over space and time: what each embedding depends on."""

import jax
import jax.numpy as jnp
import numpy as np

from ssljax.models import SpaceTimeHead

SHAPE = (2, 4, 5, 6, 3)


def test_each_convolution_reaches_one_frame_and_one_place_further():
    rng = np.random.default_rng(0)
    maps = jnp.float32(rng.normal(size=SHAPE))
    for layers, reach in ((0, 0), (2, 2)):
        head = SpaceTimeHead(dim=4, layers=layers, width=8)
        weights = jax.jit(lambda head=head: head.init(jax.random.key(0), maps, False))()
        embed = jax.jit(lambda x, head=head, weights=weights: head.apply(weights, x, False))
        changed = np.any(embed(maps) != embed(maps.at[1, 0, 2, 0].add(1.0)), axis=-1)
        assert embed(maps).shape == (*SHAPE[:-1], 4)
        assert not changed[0].any()
        touched = np.argwhere(changed[1]).max(axis=0)
        assert touched.tolist() == [reach, min(2 + reach, 4), reach]


def test_places_of_equal_maps_differ_by_where_they_are():
    maps = jnp.zeros(SHAPE)
    for layers, differ in ((0, False), (1, True)):
        head = SpaceTimeHead(dim=4, layers=layers, width=8)
        found, _ = jax.jit(
            lambda head=head: head.init_with_output(jax.random.key(0), maps, False)
        )()
        inner = np.asarray(found)[0, 1, 1:-1, 1:-1].reshape(-1, 4)
        assert (np.ptp(inner, axis=0).max() > 1e-3) == differ
