"""DCGAN: each of its losses in float64, and the paper's networks."""

import gans
import jax
import numpy as np
import pytest

from ssljax.methods.adversarial.dcgan import DCGAN


def expected(loss, real, fake):
    """(discriminator's, generator's) by the papers, on logits."""
    sp = gans.softplus
    logistic = sp(-real).mean() + sp(fake).mean()
    return {
        "minimax": (logistic, lambda x: -sp(x).mean()),
        "non_saturating": (logistic, lambda x: sp(-x).mean()),
        "least_squares": (
            0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean(),
            lambda x: 0.5 * ((x - 1) ** 2).mean(),
        ),
        "hinge": (
            np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean(),
            lambda x: -x.mean(),
        ),
    }[loss]


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "least_squares", "hinge"])
def test_losses_are_the_papers(loss):
    method = gans.build(DCGAN, loss=loss)
    state, views = gans.start(method), gans.views(method)

    def logits(images):
        return np.asarray(gans.discriminate(method, state, images)["logits"], np.float64)

    fakes = [
        logits(gans.sample_fakes(method, state, views, key))
        for key in (jax.random.split(gans.KEY)[0], gans.KEY)
    ]
    of_discriminator, of_generator = expected(loss, logits(views["image"]), fakes[0])
    found, _ = gans.loss(method, "discriminator", state, views)
    np.testing.assert_allclose(found, of_discriminator, rtol=1e-5)
    found, _ = gans.loss(method, "generator", state, views)
    np.testing.assert_allclose(found, of_generator(fakes[1]), rtol=1e-5)


def test_norms_are_where_the_paper_has_them():
    """Everywhere but in the generator's output and the discriminator's input."""
    params = gans.start(gans.build(DCGAN)).params
    assert set(params["generator"]) == {"dense", "norm0", "deconv1", "norm1", "deconv2"}
    assert set(params["discriminator"]) == {"conv1", "conv2", "norm2", "heads"}


def test_defaults_are_the_papers():
    config = DCGAN.default_config()
    assert (config.loss, config.latent_dim, config.prior) == ("non_saturating", 100, "uniform")
