"""Gauges of collapse, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax.metrics.collapse import collapse_metrics, effective_rank, generator_collapsed, rankme


def spectrum(singular_values, batch, dim, seed=0):
    """Embeddings of mean 0 with the given singular values and random singular vectors."""
    rng = np.random.default_rng(seed)
    count = len(singular_values)
    # The first column is constant, and all others are orthogonal to it.
    left, _ = np.linalg.qr(
        np.concatenate([np.ones((batch, 1)), rng.normal(size=(batch, count))], 1)
    )
    right, _ = np.linalg.qr(rng.normal(size=(dim, count)))
    return jnp.asarray((left[:, 1:] * np.asarray(singular_values)) @ right.T, jnp.float32)


@pytest.mark.parametrize("rank", [effective_rank, rankme])
@pytest.mark.parametrize("shape", [(64, 16), (17, 64)])
@pytest.mark.parametrize("used", [1, 2, 7, 16])
def test_equal_use_of_n_directions_has_rank_n(rank, shape, used):
    assert rank(spectrum([3.0] * used, *shape)) == pytest.approx(used, rel=1e-4)


def test_unequal_use_is_the_exponential_of_an_entropy():
    z = spectrum([4.0, 2.0, 2.0], 32, 8)
    # RankMe: of Shannon's, of the singular values: shares 1/2, 1/4, 1/4 have 1.5 ln 2.
    assert rankme(z) == pytest.approx(2**1.5, rel=1e-5)
    # Effective rank: of order 2, of the variances: shares 2/3, 1/6, 1/6 have ln 2.
    assert effective_rank(z) == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("shape", [(40, 24), (24, 40)])
def test_ranks_agree_with_decompositions_in_float64(shape):
    z = np.random.default_rng(3).normal(size=shape) * np.linspace(0.05, 1.0, shape[1]) + 0.5
    found = jnp.asarray(z, jnp.float32)
    singular = np.linalg.svd(z, compute_uv=False)
    share = singular / singular.sum() + 1e-7
    assert rankme(found) == pytest.approx(np.exp(-np.sum(share * np.log(share))), rel=1e-4)
    variances = np.linalg.eigvalsh(np.cov(z, rowvar=False))
    expected = variances.sum() ** 2 / np.sum(variances**2)
    assert effective_rank(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(600, 512), (513, 512)])
def test_rankme_counts_the_small_singular_values_too(shape):
    """Of i^-1.5, the values below a hundredth of the first are more than half of the rank."""
    share = np.arange(1, 513) ** -1.5
    share = share / share.sum() + 1e-7
    expected = np.exp(-np.sum(share * np.log(share)))
    assert expected == pytest.approx(16.95, abs=0.01)
    assert rankme(spectrum(np.arange(1, 513) ** -1.5, *shape)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rank", [effective_rank, rankme])
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_scale_and_rotation_do_not_matter(rank, factor):
    z = spectrum([4.0, 2.0, 1.0], 20, 6)
    rotation, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(6, 6)))
    turned = factor * (z @ jnp.asarray(rotation, jnp.float32))
    assert rank(turned) == pytest.approx(float(rank(z)), rel=1e-4)


def test_only_the_effective_rank_is_about_the_mean():
    z = spectrum([1.0, 1.0, 1.0], 32, 8)
    assert effective_rank(z + 5.0) == pytest.approx(3.0, rel=1e-4)
    assert rankme(z + 5.0) < 1.5


@pytest.mark.parametrize("rank", [effective_rank, rankme])
@pytest.mark.parametrize("dim", [16, 256])
def test_rounding_does_not_hide_a_full_collapse(rank, dim):
    line = np.random.default_rng(1).normal(size=dim) * np.ones((4 * dim, 1))
    assert rank(jnp.asarray(line, jnp.float32)) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("rank", [effective_rank, rankme])
def test_all_zero_embeddings_have_rank_one(rank):
    assert float(rank(jnp.zeros((4, 3)))) == 1.0


@pytest.mark.parametrize("rank", [effective_rank, rankme])
def test_bfloat16_embeddings_are_measured_in_float32(rank):
    z = spectrum([4.0, 2.0, 2.0], 32, 8)
    assert rank(z.astype(jnp.bfloat16)).dtype == jnp.float32
    assert rank(z.astype(jnp.bfloat16)) == pytest.approx(float(rank(z)), rel=0.05)


def test_dimensional_collapse_shows_in_the_rank_and_not_in_the_deviation():
    """A circle in 8 dimensions: as far apart as can be, but in two directions."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    right, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 2)))
    circle = jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], 1) @ right.T, jnp.float32)
    metrics = collapse_metrics(circle)
    assert metrics["effective_rank"] == pytest.approx(2.0, rel=1e-4)
    assert metrics["embedding_std"] > 0.5 / np.sqrt(8)
    assert metrics["embedding_std"] == pytest.approx(
        float(jnp.mean(jnp.std(circle, axis=0))), rel=1e-5
    )
    assert float(metrics["collapsed"]) == 0.0


@pytest.mark.parametrize(("width", "collapsed"), [(0.03, 1.0), (0.4, 0.0)])
def test_a_line_is_a_collapse_however_long_it_is(width, collapsed):
    """Directions to both sides alike, which the deviation takes for spread."""
    rng = np.random.default_rng(4)
    line = np.sign(rng.normal(size=(256, 1))) * np.eye(16)[:1] + width * rng.normal(size=(256, 16))
    metrics = collapse_metrics(jnp.asarray(line, jnp.float32))
    assert metrics["embedding_std"] > 0.2 / 4
    assert float(metrics["collapsed"]) == collapsed


@pytest.mark.parametrize(("spread", "collapsed"), [(0.05, 1.0), (0.5, 0.0)])
def test_prototypes_that_are_all_the_same_are_a_collapse(spread, collapsed):
    """The best one is still another for each sample, and the loss is ln(prototypes)."""
    rng = np.random.default_rng(3)
    embeddings, logits = rng.normal(size=(64, 16)), 5 + spread * rng.normal(size=(64, 512))
    metrics = collapse_metrics(*(jnp.asarray(x, jnp.float32) for x in (embeddings, logits)))
    assert metrics["assignment_entropy"] > 0.9 * np.log(64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    entropy = np.mean(-np.sum(shares * np.log(shares), axis=1))
    assert metrics["sample_entropy"] == pytest.approx(entropy, rel=1e-5)
    assert float(metrics["collapsed"]) == collapsed


@pytest.mark.parametrize("dim", [4, 64])
@pytest.mark.parametrize(("share", "collapsed"), [(0.05, 1.0), (0.2, 0.0), (1.0, 0.0)])
def test_a_narrow_cone_is_a_collapse(dim, share, collapsed):
    """A cone about one direction: the spread, a share of the sphere's, is its sine."""
    noise = np.random.default_rng(0).normal(size=(512, dim)) / np.sqrt(dim)
    axis = np.sqrt(1 / share**2 - 1) * np.eye(dim)[0]
    metrics = collapse_metrics(jnp.asarray(noise + axis, jnp.float32))
    assert float(metrics["collapsed"]) == collapsed
    # Not quite: it is narrower along its axis.
    assert metrics["embedding_std"] * np.sqrt(dim) == pytest.approx(share, rel=0.3)


@pytest.mark.parametrize(("chosen", "collapsed"), [(1, 1.0), (2, 0.0), (16, 0.0)])
def test_one_prototype_for_all_is_a_collapse(chosen, collapsed):
    spread = jnp.asarray(np.random.default_rng(0).normal(size=(16, 8)), jnp.float32)
    logits = 10 * jax.nn.one_hot(jnp.arange(16) % chosen, 100)
    metrics = collapse_metrics(spread, logits)
    assert metrics["assignment_entropy"] == pytest.approx(np.log(chosen), abs=1e-6)
    assert float(metrics["collapsed"]) == collapsed
    assert float(collapse_metrics(jnp.ones((16, 8)), logits)["collapsed"]) == 1.0
    assert "assignment_entropy" not in collapse_metrics(spread)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_verdict_is_given_on_what_is_not_finite(bad):
    rng = np.random.default_rng(0)
    embeddings, logits = (jnp.asarray(rng.normal(size=(16, 8)), jnp.float32) for _ in range(2))
    for metrics in (
        collapse_metrics(embeddings.at[3, 2].set(bad)),
        collapse_metrics(embeddings.at[3, 2].set(bad), logits),
    ):
        for name in ("embedding_std", "effective_rank", "collapsed"):
            assert np.isnan(metrics[name])
    metrics = collapse_metrics(embeddings, logits.at[3].set(bad))
    for name in ("assignment_entropy", "sample_entropy", "collapsed"):
        assert np.isnan(metrics[name])


def test_eight_devices_measure_what_one_does():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    place = NamedSharding(mesh, PartitionSpec("data"))
    for dim in (8, 64):
        z = spectrum([4.0, 2.0, 1.0, 1.0], 32, dim)
        program = jax.jit(lambda z: collapse_metrics(z, z) | {"rankme": rankme(z)})
        one, eight = program(z), program(jax.device_put(z, place))
        for name in one:
            assert eight[name] == pytest.approx(float(one[name]), rel=1e-5)


@pytest.mark.parametrize(("spread", "expected"), [(0.0, 1.0), (0.04, 1.0), (0.06, 0.0), (1.0, 0.0)])
def test_collapse_is_a_twentieth_of_the_real_spread(spread, expected):
    real = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (64, 4, 4, 1)), jnp.float32)
    fake = 0.3 + spread * real
    assert float(generator_collapsed(fake, real)) == expected
