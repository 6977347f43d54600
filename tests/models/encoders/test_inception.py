"""The Inception network of 2015: its graph, its resizing and its weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import save_file

from ssljax.errors import UserError
from ssljax.models.encoders import inception, inception_weights


@pytest.fixture(scope="module")
def tensors():
    """Random weights under the names of the PyTorch file, by which activations keep their size."""
    rng = np.random.default_rng(0)
    made = {"fc.bias": np.zeros(1008, np.float32)}
    for name, (_, shape) in inception_weights.pytorch_layout().items():
        if len(shape) > 1:
            values = rng.normal(size=shape) * np.sqrt(2.0 / np.prod(shape[1:]))
        elif name.endswith(("running_var", "bn.weight")):
            values = rng.uniform(0.5, 1.5, shape)
        else:
            values = rng.uniform(-0.2, 0.2, shape)
        made[name] = values.astype(np.float32)
    return made


class Published:
    """The graph as the literature describes it, in float64; maps are (channels, height, width)."""

    def __init__(self, tensors):
        self.tensors = {name: value.astype(np.float64) for name, value in tensors.items()}

    def unit(self, x, name, stride=1, pad=(0, 0)):
        get = self.tensors.__getitem__
        kernel = get(f"{name}.conv.weight")
        x = np.pad(x, [(0, 0), (pad[0], pad[0]), (pad[1], pad[1])])
        windows = sliding_window_view(x, kernel.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
        y = np.tensordot(kernel, windows, ([1, 2, 3], [0, 3, 4]))
        scale, shift, mean, var = (
            get(f"{name}.bn.{leaf}")[:, None, None]
            for leaf in ("weight", "bias", "running_mean", "running_var")
        )
        return np.maximum((y - mean) / np.sqrt(var + 0.001) * scale + shift, 0.0)

    def chain(self, x, block, *steps):
        for name, *options in steps:
            x = self.unit(x, f"{block}.{name}", *options)
        return x

    def halve(self, x):
        return sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(3, 4))

    def around(self, x, reduce):
        x = np.pad(x, [(0, 0), (1, 1), (1, 1)], constant_values=np.nan)
        return reduce(sliding_window_view(x, (3, 3), axis=(1, 2)), axis=(3, 4))

    def mixed35(self, x, block):
        return np.concatenate([
            self.chain(x, block, ["branch1x1"]),
            self.chain(x, block, ["branch5x5_1"], ["branch5x5_2", 1, (2, 2)]),
            self.chain(
                x, block, ["branch3x3dbl_1"], ["branch3x3dbl_2", 1, (1, 1)],
                ["branch3x3dbl_3", 1, (1, 1)],
            ),
            self.chain(self.around(x, np.nanmean), block, ["branch_pool"]),
        ])  # fmt: skip

    def mixed17(self, x, block):
        wide, tall = (1, (0, 3)), (1, (3, 0))
        return np.concatenate([
            self.chain(x, block, ["branch1x1"]),
            self.chain(
                x, block, ["branch7x7_1"], ["branch7x7_2", *wide], ["branch7x7_3", *tall]
            ),
            self.chain(
                x, block, ["branch7x7dbl_1"], ["branch7x7dbl_2", *tall], ["branch7x7dbl_3", *wide],
                ["branch7x7dbl_4", *tall], ["branch7x7dbl_5", *wide],
            ),
            self.chain(self.around(x, np.nanmean), block, ["branch_pool"]),
        ])  # fmt: skip

    def mixed8(self, x, block, reduce):
        once = self.chain(x, block, ["branch3x3_1"])
        twice = self.chain(x, block, ["branch3x3dbl_1"], ["branch3x3dbl_2", 1, (1, 1)])
        return np.concatenate([
            self.chain(x, block, ["branch1x1"]),
            self.chain(once, block, ["branch3x3_2a", 1, (0, 1)]),
            self.chain(once, block, ["branch3x3_2b", 1, (1, 0)]),
            self.chain(twice, block, ["branch3x3dbl_3a", 1, (0, 1)]),
            self.chain(twice, block, ["branch3x3dbl_3b", 1, (1, 0)]),
            self.chain(self.around(x, reduce), block, ["branch_pool"]),
        ])  # fmt: skip

    def __call__(self, x):
        x = self.unit(x, "Conv2d_1a_3x3", 2)
        x = self.unit(x, "Conv2d_2a_3x3")
        x = self.halve(self.unit(x, "Conv2d_2b_3x3", 1, (1, 1)))
        x = self.unit(x, "Conv2d_3b_1x1")
        x = self.halve(self.unit(x, "Conv2d_4a_3x3"))
        for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self.mixed35(x, block)
        x = np.concatenate([
            self.chain(x, "Mixed_6a", ["branch3x3", 2]),
            self.chain(
                x, "Mixed_6a", ["branch3x3dbl_1"], ["branch3x3dbl_2", 1, (1, 1)],
                ["branch3x3dbl_3", 2],
            ),
            self.halve(x),
        ])  # fmt: skip
        for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self.mixed17(x, block)
        x = np.concatenate([
            self.chain(x, "Mixed_7a", ["branch3x3_1"], ["branch3x3_2", 2]),
            self.chain(
                x, "Mixed_7a", ["branch7x7x3_1"], ["branch7x7x3_2", 1, (0, 3)],
                ["branch7x7x3_3", 1, (3, 0)], ["branch7x7x3_4", 2],
            ),
            self.halve(x),
        ])  # fmt: skip
        x = self.mixed8(x, "Mixed_7b", np.nanmean)
        x = self.mixed8(x, "Mixed_7c", np.nanmax)
        features = x.mean(axis=(1, 2))
        return features, self.tensors["fc.weight"] @ features


def test_the_network_is_the_published_graph(tensors):
    image = np.random.default_rng(1).uniform(-1, 1, (1, 139, 139, 3)).astype(np.float32)
    variables = inception_weights.from_pytorch(tensors)
    found = jax.jit(inception.InceptionV3().apply)(variables, image)
    features, logits = Published(tensors)(image[0].transpose(2, 0, 1).astype(np.float64))
    for name, expected, size in (("features", features, 2048), ("logits", logits, 1008)):
        assert found[name].shape == (1, size)
        np.testing.assert_allclose(found[name][0], expected, atol=1e-5 * np.abs(expected).max())


def test_activations_are_those_of_torch_fidelity(tensors, tmp_path):
    torch = pytest.importorskip("torch")
    extractors = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    file = tmp_path / "weights.pth"
    torch.save({name: torch.from_numpy(value) for name, value in tensors.items()}, file)
    theirs = extractors.FeatureExtractorInceptionV3(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(file)
    )
    images = np.random.default_rng(2).integers(0, 256, (2, 32, 28, 3), dtype=np.uint8)
    expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))

    def ours(variables, images):
        return inception.InceptionV3().apply(variables, inception.preprocess(images))

    found = jax.jit(ours)(inception_weights.from_pytorch(tensors), images)
    for name, values in zip(("features", "logits"), expected, strict=True):
        scale = float(values.abs().max())
        np.testing.assert_allclose(found[name], values.numpy(), atol=1e-5 * scale)


def test_the_network_has_as_many_parameters_as_published():
    image = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
    variables = jax.eval_shape(inception.InceptionV3().init, jax.random.key(0), image)
    found = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    # torchvision names 27,161,264 with 1,000 classes, their biases and an auxiliary classifier.
    auxiliary = 768 * 128 + 2 * 128 + 128 * 768 * 25 + 2 * 768 + 769 * 1000
    assert found == 27_161_264 - auxiliary + 2048 * 8 - 1000


def test_small_images_are_refused():
    with pytest.raises(ValueError, match="enlarge"):
        inception.InceptionV3().init(jax.random.key(0), jnp.zeros((1, 64, 80, 3)))


def test_enlarging_starts_at_the_first_pixel_and_repeats_the_last():
    row = jnp.array([0.0, 100.0]).reshape(1, 1, 2, 1)
    found = inception.resize(row, 4)
    np.testing.assert_allclose(found[0, :, :, 0], np.tile([0.0, 50.0, 100.0, 100.0], (4, 1)))


def test_shrinking_drops_pixels_instead_of_averaging_them():
    images = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype(np.float32)
    assert np.array_equal(inception.resize(jnp.asarray(images), 4), images[:, ::3, ::3])


@pytest.mark.parametrize("shape", [(5, 7), (32, 32), (40, 29)])
def test_resizing_is_linear_between_neighbours(shape):
    image = np.random.default_rng(0).uniform(0, 255, (1, *shape, 3))
    expected = np.zeros((1, 29, 29, 3))
    for i in range(29):
        for j in range(29):
            y, x = i * shape[0] / 29, j * shape[1] / 29
            for a in (int(y), int(y) + 1):
                for b in (int(x), int(x) + 1):
                    weight = (1 - abs(y - a)) * (1 - abs(x - b))
                    pixel = image[0, min(a, shape[0] - 1), min(b, shape[1] - 1)]
                    expected[0, i, j] += weight * pixel
    found = inception.resize(jnp.asarray(image, jnp.float32), 29)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_preprocessing_centres_on_128_and_repeats_grey():
    images = np.random.default_rng(0).integers(0, 256, (2, 299, 299, 1), dtype=np.uint8)
    found = inception.preprocess(jnp.asarray(images))
    expected = np.repeat((images.astype(np.float32) - 128) / 128, 3, axis=-1)
    assert np.array_equal(found, expected)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        inception.preprocess(jnp.zeros((1, 8, 8, 4), jnp.uint8))
    with pytest.raises(ValueError, match="uint8, not float32"):
        inception.preprocess(jnp.zeros((1, 8, 8, 3)))


def test_weights_come_back_from_a_file(tensors, tmp_path):
    save_file(tensors, tmp_path / "w.safetensors")
    found = inception_weights.load_inception(tmp_path / "w.safetensors")
    kernel = tensors["Mixed_6b.branch7x7_2.conv.weight"]
    loaded = found["params"]["Mixed_6b"]["branch7x7_2"]["conv"]["kernel"]
    assert kernel.shape == (128, 128, 1, 7)
    assert np.array_equal(loaded, kernel.transpose(2, 3, 1, 0))
    assert np.array_equal(found["params"]["fc"]["kernel"], tensors["fc.weight"].T)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc.weight": None}, "1 tensor.* missing, such as fc.weight"),
        ({"AuxLogits.fc.weight": np.zeros(1, np.float32)}, "unknown, such as AuxLogits.fc.weight"),
        ({"fc.weight": np.zeros((1000, 2048), np.float32)}, r"must be float32 .*\(1008, 2048\)"),
        ({"fc.weight": np.zeros((1008, 2048), np.float16)}, "is float16"),
    ],
)
def test_weights_of_another_network_are_told(tensors, tmp_path, change, message):
    changed = {n: t for n, t in (tensors | change).items() if t is not None}
    with pytest.raises(ValueError, match=message):
        inception_weights.from_pytorch(changed)
    save_file(changed, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=message):
        inception_weights.load_inception(tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"not safetensors" * 9])
def test_a_missing_or_damaged_file_is_told(tmp_path, content):
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"w\.safetensors.*convert"):
        inception_weights.load_inception(path)
