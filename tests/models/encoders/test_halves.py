"""Two encoders of half the width stand for one, and share nothing."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import models
from ssljax.models import SmallConvNet, SplitEncoder, half_width


class Plain(nn.Module):
    """A network without a width."""


def shapes(encoder, images):
    outputs = jax.eval_shape(
        lambda x: encoder.init_with_output(jax.random.key(0), x, train=False)[0], images
    )
    return {name: x.shape for name, x in outputs.items()}


KINDS = ("resnet18", "resnet50", "small", "alexnet", "nin", "colorization_vgg", "vit_mini")


@pytest.mark.parametrize("name", KINDS)
def test_halves_have_together_the_outputs_of_the_whole(name):
    whole = models.build_encoder(name)
    if name == "nin":
        whole = whole.clone(widths=(32, 16, 32))
    half = half_width(whole)
    images = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)
    assert shapes(SplitEncoder(half, half.clone()), images) == shapes(whole, images)


def test_each_half_sees_its_own_channels_alone():
    half = half_width(SmallConvNet(widths=(8, 12)))
    assert half.widths == (4, 6)
    encoder = SplitEncoder(half, half.clone())
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 3)), jnp.float32)
    variables = encoder.init(jax.random.key(0), x, False)
    found = encoder.apply(variables, x, False)
    assert found["stage2"].shape == (2, 2, 2, 12)
    for channel, unmoved in ((0, slice(6, 12)), (1, slice(0, 6)), (2, slice(0, 6))):
        moved = encoder.apply(variables, x.at[..., channel].add(1.0), False)
        same = np.all(found["stage2"] == moved["stage2"], axis=(0, 1, 2))
        assert np.all(same[unmoved])
        assert not np.all(same)
    # The two do not start alike.
    first, second = (variables["params"][name]["stage2_conv1"] for name in ("first", "second"))
    assert np.any(first["kernel"] != second["kernel"])


def test_what_has_no_half_is_refused():
    with pytest.raises(ValueError, match=r"widths=\(4, 7\) cannot be halved"):
        half_width(SmallConvNet(widths=(4, 7)))
    with pytest.raises(ValueError, match="Plain has no width that could be halved"):
        half_width(Plain())
