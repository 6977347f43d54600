"""Encoders are found by name, and mistakes are told with what was near."""

import jax
import jax.numpy as jnp
import pytest

from ssljax.models import ENCODERS, ResNet, SmallConvNet, build_encoder


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_keeps_the_contract(name):
    encoder = build_encoder(name)
    side = 2 * getattr(encoder, "patch_size", 16)
    images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    outputs, variables = jax.eval_shape(
        lambda x: encoder.init_with_output(jax.random.key(0), x, train=False), images
    )
    features = outputs.pop("features")
    assert (features.ndim, features.dtype) == (2, jnp.float32)
    assert outputs
    assert all(output.ndim == 4 and output.shape[-1] > 1 for output in outputs.values())
    assert {output.shape[0] for output in (features, *outputs.values())} == {2}
    assert "params" in variables
    assert set(variables) <= {"params", "batch_stats"}


def test_options_are_attributes():
    resnet = build_encoder("resnet18", stem="cifar", width=2)
    assert isinstance(resnet, ResNet)
    assert (resnet.stem, resnet.width) == ("cifar", 2)
    small = build_encoder("small", widths=(8,))
    assert isinstance(small, SmallConvNet)
    assert small.widths == (8,)


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(ValueError, match=r"no encoder 'resnet5O'; the nearest are resnet50"):
        build_encoder("resnet5O")


@pytest.mark.parametrize(
    ("name", "option"), [("small", "stem"), ("resnet50x2", "width"), ("resnet18", "block")]
)
def test_an_unknown_option_is_told_with_those_there_are(name, option):
    with pytest.raises(ValueError, match=f"{name!r} has no option {option!r}; it has .*norm"):
        build_encoder(name, **{option: 1})
