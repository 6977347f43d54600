"""Configs: every file is whole, and every mistake is one sentence with the way out."""

import json
import pathlib

import pytest
import runs
from ml_collections import ConfigDict
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
        ("model.name", "resnet51", "the nearest is resnet50"),
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
    model = configs.base_config("simclr").model
    for name in models.ENCODERS:
        model.name = name
        given = {"width": 1, "stem": "cifar", "convs_per_stage": 1, "dtype": "float32"}
        options = {
            key: given[key] for key in models.options_of(models.ENCODERS[name]) if key in given
        }
        assert models.encoder_from_config(model) == models.build_encoder(name, **options)


def test_options_of_a_vision_transformer_are_keys_of_the_command_line():
    model = configs.base_config("dino").model
    model.update(name="vit_small", patch_size=8, heads=12, positions="sincos", pool="mean")
    model.update(initializer="xavier", freeze_patch_embedding=True, drop_path=0.1)
    encoder = models.encoder_from_config(model)
    assert (encoder.dim, encoder.patch_size, encoder.heads) == (384, 8, 12)
    assert (encoder.positions, encoder.initializer, encoder.pool) == ("sincos", "xavier", "mean")
    assert (encoder.freeze_patch_embedding, encoder.drop_path) == (True, 0.1)
    with pytest.raises(UserError, match=r"nearest is model\.patch_size"):
        config_file.check_keys(DIGITS, ["--config.model.patchsize=8"])


def test_a_method_says_what_its_model_is(monkeypatch):
    class Other(methods.REGISTRY["simclr"]):
        @staticmethod
        def default_model():
            return ConfigDict(dict(name="first", depth=3))

        @staticmethod
        def model_names():
            return ("first", "second")

    class Without(methods.REGISTRY["simclr"]):
        @staticmethod
        def default_model():
            return ConfigDict()

    monkeypatch.setitem(methods.REGISTRY, "simclr", Other)
    config = configs.base_config("simclr")
    config.data.name = "digits"
    assert config.model.to_dict() == {"name": "first", "depth": 3}
    configs.check(config)
    config.model.name = "secnd"
    with pytest.raises(UserError, match=r"config\.model\.name='secnd' .* nearest is second"):
        configs.check(config)
    monkeypatch.setitem(methods.REGISTRY, "simclr", Without)
    config = configs.base_config("simclr")
    config.data.name = "digits"
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
