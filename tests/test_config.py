"""Configs: every file is whole, and every mistake is one sentence with the way out."""

import json
import pathlib

import pytest
from ml_collections.config_flags import config_flags

from ssljax import config as configs
from ssljax.errors import UserError

CONFIGS = sorted((pathlib.Path(__file__).parent.parent / "configs").glob("*/*.py"))
DIGITS = str(CONFIGS[0].parent.parent / "simclr" / "digits.py")


def _load(path: pathlib.Path | str):
    return config_flags.ConfigFileFlagParser("config").parse(str(path))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_config_passes_its_own_checks_and_says_how_to_run_it(path):
    config = _load(path)
    configs.check(config)
    assert config.method.name == path.parent.name
    assert json.loads(json.dumps(configs.flatten(config)))
    assert f"--config configs/{path.parent.name}/{path.name}" in path.read_text()


@pytest.mark.parametrize(
    ("argument", "near"),
    [
        ("--config.bach_size=3", "config.bach_size is not a key .* nearest is batch_size"),
        ("--config.data.nam=x", "nearest is data.name"),
        ("--config.optimizer.lr=1", "config.optimizer.lr is not a key"),
        ("--config.temperature=1", "nearest is method.temperature"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest(argument, near):
    with pytest.raises(UserError, match=near):
        configs.check_keys(DIGITS, [argument])


def test_known_keys_pass():
    configs.check_keys(DIGITS, ["--config.batch_size=3", "--config.data.dir", "x", "--workdir=y"])


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("batch_size", 0, "a positive number"),
        ("epochs", float("nan"), "0 or more"),
        ("seed", -1, "from 0 to"),
        ("data.channels", 2, "1 or 3"),
        ("data.cache", "gpu", '"none" or "device"'),
        ("data.name", "", "a data set's name"),
        ("evals.final", ("knn", "fid"), "some of"),
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


def test_a_missing_or_failing_config_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="There is no config file"):
        configs.check_keys(str(tmp_path / "none.py"), [])
    broken = tmp_path / "broken.py"
    broken.write_text("def get_config():\n    return 1 / 0\n")
    with pytest.raises(UserError, match=r"fails: ZeroDivisionError: division by zero"):
        configs.check_keys(str(broken), [])
    broken.write_text("def get_config():\n    return 3\n")
    with pytest.raises(UserError, match="returns a ConfigDict"):
        configs.check_keys(str(broken), [])


def test_a_workdir_remembers_its_config(tmp_path):
    config = _load(DIGITS)
    configs.record(config, tmp_path)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert len(environment["devices"]) == 8
    assert environment["versions"]["jax"] != "absent"
    # What does not change what is learnt may change.
    config.data.dir = "elsewhere"
    config.evals.every = 3
    config.mesh.fsdp = 2
    configs.record(config, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["evals.every"] == 3
    config.method.temperature = 0.7
    config.batch_size = 8
    with pytest.raises(
        UserError, match=r"batch_size was 256 and is 8; method.temperature was"
    ) as e:
        configs.record(config, tmp_path)
    assert str(tmp_path) in str(e.value)
    assert json.loads((tmp_path / "config.json").read_text())["batch_size"] == 256
