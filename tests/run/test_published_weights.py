"""Runs start with the weights of a published file, through the command line."""

import json

import jax
import masked
import numpy as np
import pytest
import runs
import tiny
from ml_collections import ConfigDict
from safetensors.numpy import save_file

from ssljax import config as configs
from ssljax import main
from ssljax.errors import UserError
from ssljax.models import VisionTransformer, build_encoder
from ssljax.models.weights import naming_of, shapes_of
from ssljax.models.weights.names import MAE_DECODER
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
PROBE = """
from ssljax.config.base import base_config


def get_config():
    config = base_config("finetune")
    config.data.update(name="digits", channels=1, image_size=32, resize="exact")
    config.method.view.update(size=32, mean=(0.5,), std=(0.5,))
    config.method.from_layer = 0
    config.model.encoder.update(name="vit_tiny", dim=8, depth=2, heads=2, patch_size=16)
    config.evals.final = ("knn",)
    return config
"""


@pytest.fixture(name="command", scope="module")
def _command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    file = folder / "segment.py"
    place = str(masked.folder(32, classes=3))
    file.write_text(OPTIONS.format(place=place, void=masked.VOID))

    def arguments(**changes):
        return runs.arguments(folder / "run", file, **(CHANGES | changes))

    return arguments


def random_file(path, shapes, naming=None):
    """A file of an encoder of these variables, in its own names, with a classifier."""
    naming = naming or naming_of(shapes["params"])
    rng, layout = np.random.default_rng(0), naming.layout(shapes)
    tensors = {
        name: rng.uniform(0.1, 0.2, shape).astype(np.float32) for name, (_, shape) in layout.items()
    }
    save_file(tensors | {"classifier.0.bias": np.zeros(2, np.float32)}, path)
    return path, tensors


@pytest.fixture(name="weights", scope="module")
def _weights(tmp_path_factory):
    encoder = build_encoder(NAME, widths=WIDTHS)
    path = tmp_path_factory.mktemp("files") / "vgg.safetensors"
    return random_file(path, shapes_of(encoder, (32, 32, 3)))


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
        (dict(model__encoder__name="small"), "no encoder whose weights could be read"),
        (
            dict(model__encoder__widths="(4,4,4,4,4)"),
            r"vgg.safetensors' do not fit the encoder: 18 tensor\(s\) have other shapes, such as "
            r"features.34.bias, \(8,\) there and \(4,\) here. config.model.encoder must describe",
        ),
    ],
)
def test_what_does_not_fit_is_told(command, weights, changes, told):
    with pytest.raises(UserError, match=told):
        build(command(pretrained__weights=weights[0], **changes)).start()


VIT = dict(name="vit_tiny", dim=8, depth=2, heads=2, patch_size=16)


def write_transformer(path, prefix, decoder=None):
    """A file of a ViT of 4x4 patches of 16 pixels, as DINO and MAE name its tensors."""
    shapes = shapes_of(VisionTransformer(8, 2, 2, 16), (64, 64, 1))
    _, tensors = random_file(path, shapes)
    kernel = tensors["patch_embed.proj.weight"].reshape(8, 16, 16, 1).transpose(0, 3, 1, 2)
    first, table = tensors.pop("pos_embed.class"), tensors.pop("pos_embed.table")
    theirs = {
        "patch_embed.proj.weight": np.ascontiguousarray(kernel),
        "pos_embed": np.concatenate([first, table.reshape(1, 16, 8)], axis=1),
    }
    named = {prefix + name: x for name, x in (tensors | theirs | (decoder or {})).items()}
    beside = {"student.head.weight" if prefix else "head.weight": np.zeros(2, np.float32)}
    save_file(named | beside, path)
    return tensors | theirs


def experiment_of(method, path, **options):
    config = tiny.tiny_config(method)
    with config.unlocked():
        config.model.encoder = ConfigDict(config.model.encoder.to_dict() | VIT | options)
        config.pretrained.weights = str(path)
    return Experiment(config)


def test_every_copy_of_the_encoder_starts_with_the_file(tmp_path, caplog):
    path = tmp_path / "dino.safetensors"
    tensors = write_transformer(path, "teacher.backbone.")
    experiment = experiment_of("dino", path)
    with caplog.at_level("INFO", logger="ssljax"):
        start = experiment.start()
    copies = start.params["online"]["encoder"], start.memory["teacher"]["encoder"]
    for encoder in copies:
        kernel = encoder["block2"]["attention"]["qkv"]["kernel"]
        np.testing.assert_array_equal(kernel, tensors["blocks.1.attn.qkv.weight"].T)
        patches = encoder["patch_embedding"]["kernel"].reshape(16, 16, 1, 8)
        np.testing.assert_array_equal(
            patches[3, 5, 0], tensors["patch_embed.proj.weight"][:, 0, 3, 5]
        )
        assert encoder["position_embedding"]["table"].shape == (2, 2, 8)
    assert jax.tree.map(lambda x: x.sharding, start) == experiment.shardings
    heads = start.params["online"]["projector"], experiment.init().params["online"]["projector"]
    assert jax.tree.all(jax.tree.map(np.array_equal, *heads))
    assert "30 tensors of its part 'teacher.backbone' are the encoder's" in caplog.text
    assert "from 4x4 to 2x2 patches; not read 1 tensor(s) (student.head.weight)" in caplog.text
    # The state may be given away: copies lie in memory of their own.
    step = jax.jit(lambda state: jax.tree.map(lambda x: x, state), donate_argnums=0)
    after = step(start)
    np.testing.assert_array_equal(
        after.memory["teacher"]["encoder"]["norm"]["scale"], tensors["norm.weight"]
    )


def test_the_decoder_of_mae_is_read_as_well(tmp_path):
    path = tmp_path / "mae.safetensors"
    experiment = experiment_of("mae", path, positions="learned")
    shapes = {"params": experiment.abstract_state.params["online"]["decoder"]}
    decoder = random_file(path, shapes, naming=MAE_DECODER)[1]
    assert decoder.keys() >= {"mask_token", "decoder_embed.weight", "decoder_pred.bias"}
    write_transformer(path, "model.", decoder)
    start = experiment.start().params["online"]
    kernel = start["decoder"]["block1"]["mlp_out"]["kernel"]
    np.testing.assert_array_equal(kernel, decoder["decoder_blocks.0.mlp.fc2.weight"].T)
    np.testing.assert_array_equal(start["decoder"]["mask_token"], decoder["mask_token"])


def test_a_file_is_scored_without_a_step_of_training(tmp_path):
    config, path, run = tmp_path / "probe.py", tmp_path / "vit.safetensors", tmp_path / "run"
    config.write_text(PROBE)
    write_transformer(path, "")
    command = [
        *("ssljax", f"--config={config}", f"--workdir={run}", "--mode=evaluate"),
        f"--config.pretrained.weights={path}",
    ]
    assert main.main(command) == 0
    (sheet,) = run.glob("scores-*-step0.json")
    scores = json.loads(sheet.read_text())["scores"]
    assert scores.keys() == {"raw pixels", "random network", "trained network"}
    assert not (run / "checkpoints").exists()


def test_a_file_that_is_missing_is_told(command):
    with pytest.raises(UserError, match=r"There is no file '.*none.safetensors'"):
        build(command(pretrained__weights="none.safetensors")).start()
