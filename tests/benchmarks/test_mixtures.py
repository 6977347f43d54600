"""The scores of the mixtures on samplers that are known, and a short run of every game."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import mixtures
from ssljax import losses
from ssljax.methods.contract import Turn
from ssljax.run.step import init_state

SIZES = {"ring": 8, "grid": 25}


@pytest.fixture(params=SIZES)
def mixture(request):
    return mixtures.MIXTURES[request.param]


def draw(mixture, count=20_000):
    return mixture.sample(np.random.default_rng(0), count)


def test_the_mixtures_are_the_published_ones():
    ring, grid = mixtures.MIXTURES["ring"], mixtures.MIXTURES["grid"]
    assert {name: len(m.means) for name, m in mixtures.MIXTURES.items()} == SIZES
    np.testing.assert_allclose(np.linalg.norm(ring.means, axis=1), 1.0)
    assert sorted({tuple(mean) for mean in grid.means}) == [
        (x, y) for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)
    ]
    assert (ring.std, grid.std) == (0.01, 0.05)


def test_a_perfect_sampler_covers_all_modes_evenly(mixture):
    scores = mixtures.score(draw(mixture), mixture)
    assert scores.modes == len(mixture.means)
    # A round Gaussian in the plane has 1 - exp(-9/2) of its mass within 3 standard deviations.
    assert scores.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    assert 0 <= scores.kl < 0.003


def test_a_sampler_of_one_mode_covers_one(mixture):
    points = mixture.means[3] + mixture.std * np.random.default_rng(0).normal(size=(5000, 2))
    scores = mixtures.score(points, mixture)
    assert scores.modes == 1
    assert scores.kl == pytest.approx(math.log(len(mixture.means)))


def test_a_sampler_of_half_the_modes_misses_log_2(mixture):
    half = mixture.means[: len(mixture.means) // 2]
    scores = mixtures.score(np.repeat(half, 100, axis=0), mixture)
    assert scores.modes == len(half)
    assert scores.high_quality == 1.0
    assert scores.kl == pytest.approx(math.log(len(mixture.means) / len(half)))


@pytest.mark.parametrize(("distance", "good"), [(2.99, True), (3.01, False)])
def test_a_point_is_good_within_three_standard_deviations(mixture, distance, good):
    points = mixture.means[:1] + np.array([[0.0, distance * mixture.std]])
    scores = mixtures.score(points, mixture)
    assert (scores.modes, scores.high_quality) == ((1, 1.0) if good else (0, 0.0))
    assert math.isnan(scores.kl) is not good


def test_points_between_the_modes_do_not_count_for_coverage(mixture):
    good = draw(mixture)
    far = np.full_like(good, 100.0)
    scores = mixtures.score(np.concatenate([good, far]), mixture)
    alone = mixtures.score(good, mixture)
    assert (scores.modes, scores.kl) == (alone.modes, alone.kl)
    assert scores.high_quality == alone.high_quality / 2


def test_every_loss_of_the_table_is_played():
    played = {game.loss for game in mixtures.GAMES.values()}
    assert played == {*losses.GAN_LOSSES, "ebgan"}


# One game a kind of loss, penalty and optimizer; compiling takes most of the time.
@pytest.mark.parametrize("name", ["hinge", "wgan_clip", "wgan_gp", "dragan", "r1", "ebgan_pt"])
def test_twenty_steps_run(name):
    results = mixtures.play(name, seeds=1, steps=20)
    assert set(results) == set(SIZES)
    for kind, (run,) in results.items():
        assert 0 <= run["modes"] <= SIZES[kind]
        assert 0 <= run["high_quality"] <= 1
        assert math.isnan(run["pulling_away"]) is not name.startswith("ebgan")


def test_pulling_away_is_a_term_of_the_generator_alone():
    plain, pulling = mixtures.GAMES["ebgan"], mixtures.GAMES["ebgan_pt"]
    points = jnp.asarray(np.random.default_rng(0).normal(size=(16, 2)), jnp.float32)
    values = {}
    for name, game in (("plain", plain), ("pulling", pulling)):
        method = mixtures.MixtureGan(game, steps=1)
        state = init_state(method, jax.random.key(0))
        values[name] = [
            float(player.loss(state.params[player.name], Turn(state, points, jax.random.key(1)))[0])
            for player in method.players
        ]
    judge = state.params["discriminator"]
    fake = method.generate(state.params["generator"], jax.random.key(1), 16)
    term = float(losses.pulling_away(method.codes(judge, fake)))
    assert values["pulling"][0] == values["plain"][0]
    assert values["pulling"][1] == pytest.approx(
        values["plain"][1] + pulling.pulling_away * term, rel=1e-5
    )


def test_table_has_a_row_a_game_and_means_over_seeds():
    run = {"modes": 8, "high_quality": 0.5, "kl": 0.25, "pulling_away": math.nan, "seconds": 1.0}
    other = run | {"modes": 6, "high_quality": 1.0}
    text = mixtures.table({"hinge": {"ring": [run, other], "grid": [run, run]}})
    header, rule, row = text.splitlines()
    assert len(re.findall(r"\|", header)) == len(re.findall(r"\|", rule)) == row.count("|")
    assert "ring: modes of 8" in header
    assert "grid: modes of 25" in header
    assert row == "| hinge | 7 | 75.0 % | 0.25 | - | 8 | 50.0 % | 0.25 | - | 4 |"
