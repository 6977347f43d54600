"""Generators and discriminators by name: one interface, on any devices, for any platform."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ssljax.models import DISCRIMINATORS, GENERATORS, build_discriminator, build_generator

LATENTS = jax.random.normal(jax.random.key(1), (16, 6))
IMAGES = jax.random.uniform(jax.random.key(2), (16, 8, 8, 1), minval=-1.0)
LABELS = jnp.arange(16, dtype=jnp.int32) % 3
THIN = {
    "dcgan": {"width": 1 / 32},
    "sngan": {"width": 1 / 32},
    "wgan_gp": {"width": 1 / 32},
    "srgan": {"width": 1 / 32},
    "autoencoder": {"width": 1 / 16},
    "mlp": {"hidden": 8, "layers": 3},
    "mlp_autoencoder": {"hidden": 8},
    "bigan": {"width": 1 / 32},
    "bigan_mlp": {"width": 1 / 128},
    "biggan": {"width": 1 / 96},
    "progan": {"width": 1 / 64},
}
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def generator(name, **options):
    return build_generator(name, image_size=8, image_channels=1, **THIN[name], **options)


def discriminator(name, **options):
    return build_discriminator(name, **THIN[name], **options)


NETWORKS = {
    **{f"generator {name}": (generator, name, LATENTS) for name in GENERATORS},
    **{f"discriminator {name}": (discriminator, name, IMAGES) for name in DISCRIMINATORS},
}


@pytest.mark.parametrize("which", NETWORKS)
def test_every_network_keeps_the_interface_in_bfloat16(which):
    make, name, inputs = NETWORKS[which]
    network = make(name, dtype=jnp.bfloat16)
    outputs, variables = jax.eval_shape(
        lambda x: network.init_with_output(jax.random.key(0), x, True, LABELS), inputs
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    if make is generator:
        assert (outputs.shape, outputs.dtype) == (IMAGES.shape, jnp.float32)
        return
    blocks = {key: value for key, value in outputs.items() if key.startswith("block")}
    rest = {key: value for key, value in outputs.items() if key not in blocks}
    assert all(value.dtype == jnp.bfloat16 and value.ndim == 4 for value in blocks.values())
    assert all(value.dtype == jnp.float32 for value in rest.values())
    assert set(rest) == (
        {"features", "code", "reconstruction"} if "autoencoder" in name else {"features", "logits"}
    )
    assert bool(blocks) == (name != "mlp_autoencoder")
    assert rest["features"].ndim == 2
    assert set(variables) <= {"params", "batch_stats", "spectral"}
    assert ("spectral" in variables) == (name == "sngan")


def test_the_tables_choose_what_the_papers_do():
    sngan, wgan_gp = (build_discriminator(name) for name in ("sngan", "wgan_gp"))
    assert (sngan.pool, sngan.spectral_norm, sngan.norm) == ("sum", True, "none")
    assert (wgan_gp.pool, wgan_gp.spectral_norm, wgan_gp.norm) == ("mean", False, "none")
    assert build_generator("sngan").small_channels == 256
    assert build_generator("wgan_gp").small_channels == 128


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(ValueError, match="no generator 'dcgann'; the nearest are dcgan"):
        build_generator("dcgann")
    with pytest.raises(ValueError, match="no discriminator 'autoencodr'; the nearest are autoenc"):
        build_discriminator("autoencodr")


def test_an_unknown_option_is_told_with_those_there_are():
    with pytest.raises(ValueError, match=r"generator 'mlp' has no option 'width'; it has .*hidden"):
        build_generator("mlp", width=2)
    with pytest.raises(ValueError, match="discriminator 'autoencoder' has no option 'pool'"):
        build_discriminator("autoencoder", pool="sum")


@pytest.mark.parametrize(
    ("make", "name", "options"),
    [
        (generator, "dcgan", {}),
        (generator, "sngan", {"norm": "self_modulated"}),
        (discriminator, "dcgan", {"norm": "none"}),
        (discriminator, "wgan_gp", {}),
        (discriminator, "autoencoder", {}),
        (discriminator, "mlp_autoencoder", {}),
    ],
)
def test_spectral_norm_reaches_every_kernel(make, name, options):
    network = make(name, spectral_norm=True, **options)
    inputs = LATENTS if make is generator else IMAGES
    variables = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, True), inputs)
    leaves = jax.tree_util.tree_leaves_with_path(variables["params"])
    kernels = {path[:-1]: leaf.shape[-1:] for path, leaf in leaves if path[-1].key == "kernel"}
    vectors = jax.tree_util.tree_leaves_with_path(variables["spectral"])
    assert {path[:-1]: leaf.shape for path, leaf in vectors} == kernels


@pytest.mark.parametrize("name", ["dcgan", "sngan", "wgan_gp"])
@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({"num_rotations": 4}, {"rotation": (16, 4)}),
        ({"out_dim": 3}, {"class_logits": (16, 3)}),
        ({"num_classes": 3, "conditional": "projection"}, {}),
    ],
    ids=["rotation", "classes", "projection"],
)
def test_every_discriminator_has_the_heads_asked_for(name, options, added):
    network = discriminator(name, **options)
    outputs = jax.eval_shape(
        lambda x, labels: network.init_with_output(jax.random.key(0), x, True, labels)[0],
        IMAGES,
        LABELS,
    )
    heads = {key: value for key, value in outputs.items() if not key.startswith("block")}
    assert heads.pop("features").ndim == 2
    assert {key: value.shape for key, value in heads.items()} == {"logits": (16,)} | added


def step(make, name, **options):
    """A training pass and the gradient of a loss that all outputs enter."""
    network = make(name, **options)
    inputs = LATENTS if make is generator else IMAGES
    variables = network.init(jax.random.key(0), inputs, True, LABELS)
    collections = [key for key in variables if key != "params"]

    def run(inputs, labels):
        def loss(params):
            given = variables | {"params": params}
            outputs, updated = network.apply(given, inputs, True, labels, mutable=collections)
            total = sum(jnp.mean(jnp.sin(3 * leaf)) for leaf in jax.tree.leaves(outputs))
            return total, updated

        return jax.value_and_grad(loss, has_aux=True)(variables["params"])

    return jax.jit(run, compiler_options=QUICK), inputs


CASES = [
    (generator, "dcgan", {}),
    (generator, "sngan", {"norm": "conditional", "num_classes": 3}),
    (generator, "sngan", {"norm": "self_modulated"}),
    (generator, "progan", {}),
    (discriminator, "dcgan", {}),
    (discriminator, "progan", {}),
    (
        discriminator,
        "sngan",
        {"num_classes": 3, "conditional": "projection", "num_rotations": 4},
    ),
]


@pytest.mark.parametrize(("make", "name", "options"), CASES)
def test_eight_devices_compute_what_one_does(make, name, options):
    run, inputs = step(make, name, **options)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    actual = run(*jax.device_put((inputs, LABELS), split))
    expected = run(inputs, LABELS)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), actual, expected
    )


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize(("make", "name", "options"), [CASES[1], CASES[-1]])
def test_a_pass_exports_for_accelerators_that_are_not_here(make, name, options, platform):
    run, inputs = step(make, name, **options)
    exported = jax.export.export(run, platforms=[platform])(inputs, LABELS)
    assert exported.platforms == (platform,)
