"""The residual GANs by their published tables; only thin ones are ever run."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from ssljax.models import ResNetDiscriminator, ResNetGenerator, build_discriminator, build_generator

THIN = 1 / 64
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
quick = functools.partial(jax.jit, compiler_options=QUICK)


def spec(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def shapes(network, *inputs):
    """Outputs and variables, without computing anything."""
    return jax.eval_shape(
        lambda *x: network.init_with_output(jax.random.key(0), x[0], True, *x[1:]), *inputs
    )


def size(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def conv(side: int, inputs: int, outputs: int) -> int:
    """Parameters of a convolution with bias."""
    return side * side * inputs * outputs + outputs


@pytest.mark.parametrize(
    ("name", "side", "start", "channels"),
    [
        ("sngan", 28, 7, (256, 256, 256)),
        ("sngan", 32, 4, (256, 256, 256, 256)),
        ("wgan_gp", 32, 4, (128, 128, 128, 128)),
        ("sngan", 48, 6, (512, 256, 128, 64)),
        ("sngan", 64, 4, (1024, 512, 256, 128, 64)),
        ("sngan", 128, 4, (1024, 1024, 512, 256, 128, 64)),
    ],
)
def test_the_generator_has_the_published_layers(name, side, start, channels):
    images, variables = shapes(build_generator(name, image_size=side), spec(2, 128))
    assert (images.shape, images.dtype) == ((2, side, side, 3), jnp.float32)
    expected = 129 * start * start * channels[0]
    for inputs, outputs in itertools.pairwise(channels):
        expected += 2 * inputs + conv(3, inputs, outputs)
        expected += 2 * outputs + conv(3, outputs, outputs) + conv(1, inputs, outputs)
    expected += 2 * channels[-1] + conv(3, channels[-1], 3)
    assert size(variables["params"]) == expected


@pytest.mark.parametrize(
    ("side", "channels", "places"),
    [
        (28, (128, 128, 128, 128), (14, 7, 7, 7)),
        (32, (128, 128, 128, 128), (16, 8, 8, 8)),
        (48, (64, 128, 256, 512, 1024), (24, 12, 6, 3, 3)),
        (64, (64, 128, 256, 512, 1024), (32, 16, 8, 4, 2)),
        (128, (64, 128, 256, 512, 1024, 1024), (64, 32, 16, 8, 4, 4)),
    ],
)
def test_the_discriminator_has_the_published_layers(side, channels, places):
    outputs, variables = shapes(build_discriminator("sngan"), spec(2, side, side, 3))
    for number, (features, place) in enumerate(zip(channels, places, strict=True), start=1):
        assert outputs.pop(f"block{number}").shape == (2, place, place, features)
    assert {name: value.shape for name, value in outputs.items()} == {
        "features": (2, channels[-1]),
        "logits": (2,),
    }
    first = channels[0]
    expected = conv(3, 3, first) + conv(3, first, first) + conv(1, 3, first)
    sides = (places[0], *places)
    for number in range(1, len(channels)):
        inputs, outputs = channels[number - 1 : number + 1]
        expected += conv(3, inputs, inputs) + conv(3, inputs, outputs)
        halved = places[number] < sides[number]
        expected += conv(1, inputs, outputs) if halved or inputs != outputs else 0
    assert size(variables["params"]) == expected + channels[-1] + 1
    kernels = [leaf for leaf in jax.tree.leaves(variables["params"]) if leaf.ndim > 1]
    assert sorted(leaf.shape for leaf in jax.tree.leaves(variables["spectral"])) == sorted(
        kernel.shape[-1:] for kernel in kernels
    )


@pytest.mark.parametrize(
    ("norm", "expected"),
    [("batch", 2 * 4), ("conditional", 2 * 4 * 10), ("self_modulated", 9 * 32 + 2 * 33 * 4)],
)
def test_the_generators_norms_are_of_the_kind_asked_for(norm, expected):
    generator = ResNetGenerator(8, width=THIN, norm=norm, num_classes=10)
    labels = jax.ShapeDtypeStruct((2,), jnp.int32)
    _, variables = shapes(generator, spec(2, 8), labels)
    params = variables["params"]
    assert size(params["block1"]["norm1"]) == size(params["block1"]["norm2"]) == expected
    # The last norm of a conditional generator is not conditional.
    assert size(params["norm"]) == (8 if norm == "conditional" else expected)


def test_the_discriminators_norms_leave_out_the_first_block():
    _, variables = shapes(ResNetDiscriminator(width=THIN, norm="batch"), spec(2, 8, 8, 3))
    norms = {block: set(stats) for block, stats in variables["batch_stats"].items()}
    assert norms == {f"block{number}": {"norm1", "norm2"} for number in (2, 3, 4)}


def test_kernels_start_uniform_and_wider_in_the_branches():
    images = jnp.ones((2, 8, 8, 3))
    network = ResNetDiscriminator(width=1 / 4)
    variables = quick(lambda: network.init(jax.random.key(0), images, train=True))()
    block = variables["params"]["block2"]
    branch, shortcut = (np.asarray(block[name]["kernel"]) for name in ("conv1", "shortcut"))
    for kernel, variance in ((branch, 4 / (18 * 32)), (shortcut, 2 / 64)):
        limit = np.sqrt(3 * variance)
        assert 0.98 * limit < np.abs(kernel).max() <= limit * (1 + 1e-6)
        np.testing.assert_allclose(kernel.var(), variance, rtol=0.1)


def made(network, *inputs):
    """The untrained network's outputs in evaluation, and its variables."""

    def run(x, *labels):
        variables = network.init(jax.random.key(0), x, True, *labels)
        return network.apply(variables, x, False, *labels), variables

    return quick(run)(*inputs)


def relu(x):
    return np.maximum(x, 0)


def naive_conv(x, params, pad):
    """A convolution in float64, one kernel place at a time."""
    kernel = np.float64(params["kernel"])
    side = kernel.shape[0]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    h, w = x.shape[1:3]
    y = sum(
        padded[:, i : i + h, j : j + w] @ kernel[i, j] for i in range(side) for j in range(side)
    )
    return y + np.float64(params["bias"])


def pooled(x):
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


@pytest.mark.parametrize("pool", ["sum", "mean"])
def test_the_discriminator_is_its_formula_in_numpy(pool):
    network = ResNetDiscriminator(pool, width=1 / 32)
    images = jax.random.uniform(jax.random.key(1), (2, 8, 8, 3), minval=-1.0)
    outputs, variables = made(network, images)
    p, x = variables["params"], np.float64(images)
    for number in range(1, 5):
        block = p[f"block{number}"]
        y = naive_conv(x if number == 1 else relu(x), block["conv1"], 1)
        y = naive_conv(relu(y), block["conv2"], 1)
        if number <= 2:
            # As in the paper: the first block's shortcut follows the average, the others' lead.
            order = (pooled(x), y) if number == 1 else (x, y)
            shortcut = naive_conv(order[0], block["shortcut"], 0)
            x = (shortcut if number == 1 else pooled(shortcut)) + pooled(y)
        else:
            x = x + y
        np.testing.assert_allclose(outputs[f"block{number}"], x, rtol=1e-3, atol=1e-5)
    features = relu(x).sum((1, 2)) if pool == "sum" else relu(x).mean((1, 2))
    np.testing.assert_allclose(outputs["features"], features, rtol=1e-4, atol=1e-5)
    head = p["heads"]["logit"]
    logits = features @ np.float64(head["kernel"])[:, 0] + np.float64(head["bias"])
    np.testing.assert_allclose(outputs["logits"], logits, rtol=1e-4, atol=1e-4)


def test_the_generator_is_its_formula_in_numpy():
    network = ResNetGenerator(8, width=THIN)
    latents = jax.random.normal(jax.random.key(1), (3, 5))
    images, variables = made(network, latents)
    p = variables["params"]
    dense = p["dense"]
    x = (np.float64(latents) @ np.float64(dense["kernel"])).reshape(3, 4, 4, 4)
    root = np.sqrt(1 + 1e-5)  # In evaluation an untrained norm divides by this alone.
    block = p["block1"]
    up = relu(x / root).repeat(2, 1).repeat(2, 2)
    y = naive_conv(relu(naive_conv(up, block["conv1"], 1) / root), block["conv2"], 1)
    x = naive_conv(x.repeat(2, 1).repeat(2, 2), block["shortcut"], 0) + y
    expected = np.tanh(naive_conv(relu(x / root), p["conv"], 1))
    np.testing.assert_allclose(images, expected, rtol=1e-3, atol=1e-5)


def heads(**options):
    network = ResNetDiscriminator(width=1 / 16, spectral_norm=True, **options)
    images = jax.random.uniform(jax.random.key(1), (4, 8, 8, 3), minval=-1.0)
    labels = jnp.asarray([0, 2, 1, 2], jnp.int32)
    outputs, variables = made(network, images, labels)
    return network, variables, outputs, images, labels


def normed(variables, name):
    """A head's kernel divided by its sigma, and its bias, in float64."""
    params = variables["params"]["heads"][name]
    kernel = np.float64(params["kernel"])
    u = np.float64(variables["spectral"]["heads"][name]["u"])
    return kernel / np.linalg.norm(kernel @ u), np.float64(params.get("bias", 0.0))


def test_the_projection_discriminator_is_its_formula():
    network, variables, outputs, images, labels = heads(num_classes=3, conditional="projection")
    phi = np.float64(outputs["features"])
    kernel, bias = normed(variables, "logit")
    vectors, _ = normed(variables, "embed")
    psi = phi @ kernel[:, 0] + bias
    product = np.sum(vectors[np.asarray(labels)] * phi, axis=1)
    np.testing.assert_allclose(outputs["logits"], psi + product, rtol=1e-4, atol=1e-5)
    assert np.abs(product).min() > 1e-3
    unconditional = network.apply(variables, images, train=False)["logits"]
    np.testing.assert_allclose(unconditional, psi, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="needs labels in training"):
        network.apply(variables, images, train=True)


def test_the_rotation_head_is_linear_in_the_features():
    _, variables, outputs, *_ = heads(num_rotations=4)
    kernel, bias = normed(variables, "rotation")
    assert outputs["rotation"].shape == (4, 4)
    expected = np.float64(outputs["features"]) @ kernel + bias
    np.testing.assert_allclose(outputs["rotation"], expected, rtol=1e-4, atol=1e-5)


def test_the_semi_supervised_logit_is_that_of_z_over_z_plus_one():
    _, variables, outputs, *_ = heads(out_dim=5)
    kernel, bias = normed(variables, "class_logits")
    classes = np.float64(outputs["features"]) @ kernel + bias
    np.testing.assert_allclose(outputs["class_logits"], classes, rtol=1e-4, atol=1e-5)
    z = np.exp(classes).sum(1)
    np.testing.assert_allclose(
        scipy.special.expit(np.float64(outputs["logits"])), z / (z + 1), rtol=1e-5
    )
    assert "logit" not in variables["params"]["heads"]


def test_one_training_pass_turns_every_vector_and_evaluation_none():
    network, variables, _, images, labels = heads(
        num_rotations=4, num_classes=3, conditional="projection"
    )
    _, updated = network.apply(variables, images, True, labels, mutable="spectral")
    jax.tree.map(
        lambda old, new: np.testing.assert_array_less(1e-7, np.abs(new - old).max()),
        # A vector of one number cannot turn.
        *(
            jax.tree.map(lambda u: u if u.size > 1 else None, tree)
            for tree in (variables["spectral"], updated["spectral"])
        ),
    )
    _, kept = network.apply(variables, images, False, labels, mutable="spectral")
    jax.tree.map(np.testing.assert_array_equal, kept["spectral"], variables["spectral"])


def test_no_image_sees_another():
    network, variables, outputs, images, labels = heads(
        num_rotations=4, num_classes=3, conditional="projection"
    )
    alone = network.apply(variables, images[2:3], False, labels[2:3])
    for name, output in alone.items():
        np.testing.assert_allclose(output[0], outputs[name][2], rtol=1e-4, atol=1e-6)


def test_a_gradient_penalty_can_be_differentiated():
    network = ResNetDiscriminator("mean", width=1 / 32, norm="layer")
    images = jax.random.uniform(jax.random.key(1), (2, 8, 8, 3), minval=-1.0)
    _, variables = made(network, images)

    def slope(scale):
        params = jax.tree.map(lambda leaf: scale * leaf, variables["params"]["heads"])
        given = {"params": variables["params"] | {"heads": params}}
        gradient = jax.grad(lambda x: jnp.sum(network.apply(given, x, True)["logits"]))(images)
        return jnp.sum(gradient**2)

    # The logits are linear in the head: the penalty is its square.
    value, derivative = quick(jax.value_and_grad(slope))(1.0)
    np.testing.assert_allclose(derivative, 2 * value, rtol=1e-4)
    assert value > 1e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conditional": "projection"}, "needs num_classes"),
        ({"conditional": "projection", "num_classes": 3, "out_dim": 3}, "takes no out_dim"),
        ({"conditional": "concat"}, "conditional is 'concat'"),
        ({"pool": "max"}, "pool is 'max'"),
        ({"norm": "instance"}, "norm is 'instance'"),
    ],
)
def test_contradictory_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        shapes(ResNetDiscriminator(**options), spec(2, 8, 8, 3))


def test_a_conditional_generator_needs_classes_and_labels():
    for classes, given in ((None, True), (3, False)):
        generator = ResNetGenerator(8, norm="conditional", num_classes=classes)
        labels = [jax.ShapeDtypeStruct((2,), jnp.int32)] if given else []
        with pytest.raises(ValueError, match="needs num_classes and labels"):
            shapes(generator, spec(2, 4), *labels)


def test_a_size_without_a_table_is_told_with_the_nearest():
    message = "no residual GAN for images of 30x30 pixels; the nearest is for 28x28"
    with pytest.raises(ValueError, match=message):
        shapes(ResNetGenerator(30), spec(2, 4))
    with pytest.raises(ValueError, match=message):
        shapes(ResNetDiscriminator(), spec(2, 30, 30, 3))
