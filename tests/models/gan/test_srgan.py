"""SRGAN's discriminator has the layers of the paper's figure."""

import jax
import jax.numpy as jnp

from ssljax.models import build_discriminator


def test_the_layers_are_those_of_the_figure():
    network = build_discriminator("srgan")
    images = jnp.zeros((2, 96, 96, 3))
    outputs, variables = jax.eval_shape(
        lambda: network.init_with_output(jax.random.key(0), images, True)
    )
    params = variables["params"]
    convs = [name for name in params if name.startswith("conv")]
    channels = [params[name]["kernel"].shape[-1] for name in sorted(convs)]
    assert channels == [64, 64, 128, 128, 256, 256, 512, 512]
    assert {params[name]["kernel"].shape[:2] for name in convs} == {(3, 3)}
    assert [outputs[f"block{i}"].shape[1] for i in (1, 2, 3, 4)] == [48, 24, 12, 6]
    norms = [name for name in params if name.startswith("norm")]
    assert len(norms) == 7
    assert params["hidden"]["kernel"].shape == (6 * 6 * 512, 1024)
    assert outputs["logits"].shape == (2,)
