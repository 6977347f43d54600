"""Configs: every file is whole, and every mistake is one sentence with the way out."""

import json
import pathlib
from typing import ClassVar

import flax.linen as nn
import pytest
import runs
from ml_collections.config_flags import config_flags

from ssljax import config as configs
from ssljax import main, methods, models
from ssljax.config import file as config_file
from ssljax.errors import UserError

CONFIGS = sorted((runs.ROOT / "configs").glob("*/*.py"))
DIGITS = str(runs.DIGITS)


def _load(path: pathlib.Path | str):
    return config_flags.ConfigFileFlagParser("config").parse(str(path))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_config_passes_its_own_checks_and_says_how_to_run_it(path):
    config = _load(path)
    configs.check(config)
    assert config.method.name == path.parent.name
    assert json.loads(json.dumps(configs.flatten(config)))
    assert f"--config {path.parent.name}/{path.stem} " in path.read_text()


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("batch_size", 0, "a positive number"),
        ("epochs", float("nan"), "0 or more"),
        ("seed", -1, "from 0 to"),
        ("data.channels", 0, "a positive number"),
        ("data.range", (3, 3), "the numbers that are black and white"),
        ("data.crop", "both", "host"),
        ("data.cache", "gpu", '"none" or "device"'),
        ("data.name", "", "a data set's name"),
        ("evals.final", ("knn", "fit"), "some of"),
        (
            "evals.knn.neighbors",
            (20, 0.07),
            "pairs of a whole number of neighbours and a temperature",
        ),
        ("evals.knn.neighbors", ((0, 0.07),), "both positive"),
        ("evals.knn.neighbors", ((20, 0.0),), "both positive"),
        ("evals.knn.neighbors", ((2.5, 0.1),), "a whole number of neighbours"),
        ("evals.knn.neighbors", ((20.0, 0.1),), "a whole number of neighbours"),
        ("evals.knn.neighbors", (), "pairs of"),
        ("evals.few_label.labels", (0,), "whole numbers of labels a class"),
        ("evals.few_label.labels", (-1,), "whole numbers of labels a class"),
        ("evals.few_label.labels", (1, 2.5), "whole numbers of labels a class"),
        ("evals.few_label.seeds", 0, "a positive number of draws"),
        ("evals.linear.epochs", -3, "a positive number of epochs"),
        ("evals.stages", (), "stages of the network"),
        ("evals.test_split", "", "a split"),
        ("evals.generator.count", 0, "a positive number of images"),
        ("samples.count", -1, "a positive number of images"),
        ("model.encoder.name", "resnet51", "the nearest is resnet50"),
        ("method.name", "simclrr", "the nearest is simclr"),
        ("log.every", 0, "a positive number of steps"),
    ],
)
def test_an_impossible_value_is_told_with_what_is_possible(key, value, wanted):
    config = _load(DIGITS)
    with config.unlocked():
        config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=f"config.{key}=") as error:
        configs.check(config)
    assert wanted in str(error.value)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("knn,linear", ("knn", "linear")),
        ("knn, linear", ("knn", "linear")),
        ("knn", ("knn",)),
        ("('knn','linear')", ("knn", "linear")),
        ("()", ()),
        ("", ()),
    ],
)
def test_evaluations_may_be_typed_as_a_list_of_words(typed, meant):
    options = main.parse(["", f"--config={DIGITS}", "--workdir=x", f"--config.evals.final={typed}"])
    configs.check(options.config)
    assert options.config.evals.final == meant


def test_untouched_model_keys_leave_every_encoder_as_it_is():
    model = configs.base_config("simclr").model.encoder
    for name in models.ENCODERS:
        model.name = name
        given = {"width": 1, "stem": "cifar", "convs_per_stage": 1, "dtype": "float32"}
        options = {
            key: given[key] for key in models.options_of(models.ENCODERS[name]) if key in given
        }
        assert models.encoder_from_config(model) == models.build_encoder(name, **options)


def test_options_of_a_vision_transformer_are_keys_of_the_command_line():
    model = configs.base_config("dino").model.encoder
    model.update(name="vit_small", patch_size=8, heads=12, positions="sincos", pool="mean")
    model.update(initializer="xavier", freeze_patch_embedding=True, drop_path=0.1)
    encoder = models.encoder_from_config(model)
    assert (encoder.dim, encoder.patch_size, encoder.heads) == (384, 8, 12)
    assert (encoder.positions, encoder.initializer, encoder.pool) == ("sincos", "xavier", "mean")
    assert (encoder.freeze_patch_embedding, encoder.drop_path) == (True, 0.1)
    with pytest.raises(UserError, match=r"nearest is model\.encoder\.patch_size"):
        config_file.check_keys(DIGITS, ["--config.model.encoder.patchsize=8"])


class _First(nn.Module):
    depth: int = 1


class _Second(nn.Module):
    depth: int = 1
    hidden: int = 8


class _Decoded(methods.REGISTRY["simclr"]):
    """A method with a role of its own."""

    roles: ClassVar = {
        "encoder": models.ENCODER,
        "decoder": models.Role(
            "decoder", {"first": _First, "second": _Second}, {"name": "first", "depth": 3}
        ),
    }


@pytest.fixture
def decoded(monkeypatch):
    """The config of a method with a decoder, every key of which may be set."""
    monkeypatch.setitem(methods.REGISTRY, "simclr", _Decoded)
    config = configs.base_config("simclr")
    config.data.name = "digits"
    return config


def test_a_method_names_its_roles_and_nothing_else(decoded):
    configs.check(decoded)
    assert decoded.model.decoder.to_dict() == {"name": "first", "depth": 3}
    assert decoded.model.encoder.to_dict() == configs.base_config("byol").model.encoder.to_dict()
    decoded.model.decoder.update(hidden=4)  # Of the other network, so that it can be chosen.
    configs.check(decoded)
    role = _Decoded.roles["decoder"]
    assert role.from_config(decoded.model.decoder) == _First(depth=3)
    decoded.model.decoder.name = "second"
    configs.check(decoded)
    assert role.from_config(decoded.model.decoder) == _Second(depth=3, hidden=4)


@pytest.mark.parametrize(
    ("role", "key", "value", "told"),
    [
        ("decoder", "name", "secnd", r"config\.model\.decoder\.name='secnd' .* nearest is second"),
        ("encoder", "name", "first", r"config\.model\.encoder\.name='first' is not known"),
        ("decoder", "hiden", 4, r"model\.decoder\.hiden, .* nearest is model\.decoder\.hidden"),
        ("decoder", "depth", "three", r"model\.decoder\.depth='three': it must be a whole number"),
        ("encoder", "dtype", "float16", r"config\.model\.encoder\.dtype='float16' is impossible"),
    ],
)
def test_the_keys_of_a_role_are_those_of_its_networks(decoded, role, key, value, told):
    with decoded.ignore_type():
        decoded.model[role][key] = value
    with pytest.raises(UserError, match=told):
        configs.check(decoded)


def test_a_method_may_have_no_network(monkeypatch):
    class Without(methods.REGISTRY["simclr"]):
        roles: ClassVar = {}

    monkeypatch.setitem(methods.REGISTRY, "simclr", Without)
    config = configs.base_config("simclr")
    config.data.name = "digits"
    configs.check(config)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("simclr", "model.name", "model.encoder.name"),
        ("simclr", "model.stem", "model.encoder.stem"),
        ("dcgan", "method.generator.width", "model.generator.width"),
        ("ssgan", "method.discriminator.norm", "model.discriminator.norm"),
        ("wgan", "model.dtype", r"model\.discriminator\.dtype or model\.generator\.dtype"),
        ("dcgan", "method.generator", "model.generator"),
    ],
)
def test_a_key_that_moved_to_a_role_is_told_with_its_new_name(name, old, new):
    path = str(runs.ROOT / "configs" / name / "fashion_mnist.py")
    with pytest.raises(UserError, match=rf"config\.{old} is not a key of .*; it is {new}"):
        config_file.check_keys(path, [f"--config.{old}=1"])
    config = _load(path)
    group, *role, key = old.split(".")
    with config.unlocked():
        config[group].update({role[0]: {key: 1}} if role else {key: 1})
    with pytest.raises(UserError, match=rf"has {old}, which .* does not: it is {new}"):
        configs.check(config)


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        (("optimizer.learning_rat",), "names .*nearest is optimizer.learning_rate"),
        (("temperature",), "names .*nearest is method.temperature"),
        ((4, 8), "is impossible: it must be a list of keys"),
    ],
)
def test_an_accepted_change_must_be_of_a_key(accept, told):
    config = _load(DIGITS)
    config.resume.accept = accept
    with pytest.raises(UserError, match="config.resume.accept.*" + told):
        configs.check(config)
    config.resume.accept = ("data", "steps")
    configs.check(config)
