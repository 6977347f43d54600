"""A temperature that is not above 0 is refused."""

import jax.numpy as jnp
import pytest

from ssljax.losses import dclw, dino_loss, info_nce_batch, info_nce_queue, nnclr, sinkhorn_knopp


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: info_nce_queue(x, x, x, temperature=0.0),
        lambda x: info_nce_batch(x, x, temperature=0.0),
        lambda x: nnclr(x, x, temperature=0.0),
        lambda x: dclw(x, x, temperature=0.0),
        lambda x: dclw(x, x, sigma=0.0),
        lambda x: dino_loss([x, x], [x, x], x[0], student_temperature=0.0),
        lambda x: dino_loss([x, x], [x, x], x[0], teacher_temperature=0.0),
        lambda x: sinkhorn_knopp(x, epsilon=0.0),
    ],
)
def test_losses_refuse_a_zero_temperature(loss):
    with pytest.raises(ValueError, match="above 0"):
        loss(jnp.ones((2, 3)))
