"""Segmentation starts with the weights of a published file, through the command line."""

import dataclasses
import functools

import jax
import masked
import numpy as np
import pytest
import runs
from safetensors.numpy import save_file

from ssljax import config as configs
from ssljax import main
from ssljax.errors import UserError
from ssljax.models import CONVOLUTIONS_16, VGG
from ssljax.models.weights import SCHEMES
from ssljax.run.experiment import Experiment

NAME, WIDTHS = "vgg16_bn", (4, 4, 4, 4, 8)
CHANGES = dict(
    batch_size=8,
    data__image_size=32,
    method__view__size=32,
    model__encoder__widths=WIDTHS,
    model__encoder__name=NAME,
)
OPTIONS = """
from ssljax.config.base import base_config


def get_config():
    config = base_config("segment")
    config.data.update(name="folder", dir={place!r}, mask_classes=3, void={void})
    config.model.encoder.update(output_stride=16)
    config.model.head.name = "linear"
    config.method.update(scales=(1.0,), sizes=(), train_encoder=False)
    config.method.view.update(crop_scale=None, flip_p=0.0)
    return config
"""


@pytest.fixture(name="narrow", scope="module", autouse=True)
def _narrow():
    """The published network with few channels."""
    encoder = functools.partial(VGG, widths=WIDTHS, convolutions=CONVOLUTIONS_16, batch_norm=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCHEMES, NAME, dataclasses.replace(SCHEMES[NAME], encoder=encoder))
        yield


@pytest.fixture(name="command", scope="module")
def _command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    file = folder / "segment.py"
    place = str(masked.folder(32, classes=3))
    file.write_text(OPTIONS.format(place=place, void=masked.VOID))

    def arguments(**changes):
        return runs.arguments(folder / "run", file, **(CHANGES | changes))

    return arguments


@pytest.fixture(name="weights", scope="module")
def _weights(tmp_path_factory):
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("files") / "vgg.safetensors"
    tensors = {
        name: rng.uniform(0.1, 0.2, shape).astype(np.float32)
        for name, (_, shape) in SCHEMES[NAME].layout().items()
    }
    save_file(tensors | {"classifier.0.bias": np.zeros(2, np.float32)}, path)
    return path, tensors


def build(arguments):
    config = main.parse(arguments).config
    configs.check(config)
    return Experiment(config)


def test_the_encoder_starts_with_the_weights_of_the_file(command, weights):
    path, tensors = weights
    experiment = build(command(pretrained__weights=path))
    start, untrained = experiment.start(), experiment.init()
    encoder = start.params["online"]["encoder"]
    kernel = encoder["stage2_conv1"]["kernel"]  # The seventh layer: three, three, and a pool.
    np.testing.assert_array_equal(kernel[1, 2], tensors["features.7.weight"][:, :, 1, 2].T)
    var = start.variables["online"]["batch_stats"]["encoder"]["stage5_norm3"]["var"]
    np.testing.assert_array_equal(var, tensors["features.41.running_var"])
    for same in ("opt_state", "memory"):
        assert jax.tree.all(
            jax.tree.map(np.array_equal, getattr(start, same), getattr(untrained, same))
        )
    head = start.params["online"]["head"], untrained.params["online"]["head"]
    assert jax.tree.all(jax.tree.map(np.array_equal, *head))
    assert jax.tree.map(lambda x: x.sharding, start) == experiment.shardings


def test_a_run_that_goes_on_needs_the_file_no_more(command, weights, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(weights[0].read_bytes())
    assert main.main(command(pretrained__weights=path, steps=1)) == 0
    path.unlink()
    longer = command(pretrained__weights=path, steps=2, resume__accept="('steps',)")
    assert main.main(longer) == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(init__workdir="run"), "both say what the encoder starts as"),
        (dict(model__encoder__name="nin"), "No published weights of the encoder 'nin'"),
        (dict(model__encoder__widths="(4,4,4,4,4)"), "encoder/stage5.* must be of the same form"),
    ],
)
def test_what_does_not_fit_is_told(command, weights, changes, told):
    with pytest.raises(UserError, match=told):
        build(command(pretrained__weights=weights[0], **changes))


def test_other_methods_refuse_a_file(weights, tmp_path):
    arguments = runs.arguments(tmp_path, pretrained__weights=weights[0])
    with pytest.raises(UserError, match=r"simclr cannot start from a file.* for segment"):
        build(arguments)


def test_a_file_that_is_missing_is_told(command):
    with pytest.raises(UserError, match=r"'.*none.safetensors' cannot be read"):
        build(command(pretrained__weights="none.safetensors")).start()
