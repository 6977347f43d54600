"""Config files: what is not as `base_config` makes it is told, and values are read as they look."""

import pytest
import runs

from ssljax import catalog, main
from ssljax.config import file as config_file
from ssljax.errors import UserError

DIGITS = str(runs.DIGITS)
WHOLE = (
    "from ssljax.config import base_config\ndef get_config():\n    config = base_config('simclr')\n"
)


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
        config_file.check_keys(DIGITS, [argument])


def test_known_keys_pass():
    config_file.check_keys(
        DIGITS, ["--config.batch_size=3", "--config.data.dir", "x", "--workdir=y"]
    )


def test_a_missing_or_failing_config_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="There is no config "):
        config_file.check_keys(str(tmp_path / "none.py"), [])
    broken = tmp_path / "broken.py"
    broken.write_text("def get_config():\n    return 1 / 0\n")
    with pytest.raises(UserError, match=r"fails: ZeroDivisionError: division by zero"):
        config_file.check_keys(str(broken), [])
    broken.write_text("def get_config():\n    return 3\n")
    with pytest.raises(UserError, match="returns a ConfigDict"):
        config_file.check_keys(str(broken), [])
    with pytest.raises(UserError, match="--config is empty"):
        config_file.load("")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "simclr/cifar10:cpuu",
            "The config simclr/cifar10 has no variant 'cpuu': leave it out, or choose one of cpu.",
        ),
        ("swav/imagenet:2x22", "choose one of 2x224, batch256."),
        ("moco/imagenet:v3", "choose one of v1."),
        ("byol/imagenet:200", "choose one of 1000, 300, 100, 40."),
        ("dcl/cifar10:cpu", "has no variants: leave :cpu out."),
    ],
)
def test_an_unknown_variant_is_told_with_the_known_ones(path, told):
    with pytest.raises(UserError) as error:
        config_file.load(path)
    assert str(error.value).endswith(told)


def test_every_variant_that_a_shipped_config_takes_is_named_in_its_signature():
    taking = [
        name for name, path in catalog.files().items() if "get_config()" not in path.read_text()
    ]
    assert len(taking) >= 6
    for name in taking:
        with pytest.raises(UserError, match="has no variant 'none-of-these'"):
            config_file.load(f"{name}:none-of-these")
    assert config_file.load("moco/imagenet:v1").method.temperature == 0.07


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("simclr/digts", "; the nearest is simclr/digits: give --config a name that --list shows"),
        ("configs/simclr/digits.py", "; the nearest is simclr/digits"),
        ("simclr/digts:cpu", "There is no config simclr/digts; the nearest"),
        ("none.py", "There is no config none.py: give --config a name that --list shows, or the"),
    ],
)
def test_an_unknown_config_is_told_with_the_nearest_name(tmp_path, monkeypatch, name, near):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        main.parse(["ssljax", "--config", name, "--workdir=x"])
    assert near in str(error.value)


@pytest.mark.parametrize(
    "option",
    [
        ["--config=simclr/cifar10:cpu"],
        ["--config", "simclr/cifar10:cpu"],
        ["-config=simclr/cifar10:cpu"],
    ],
)
def test_a_shipped_config_is_found_by_its_name_from_anywhere(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    options = main.parse(["ssljax", *option, "--workdir=x", "--config.batch_size=32"])
    expected = config_file.load(f"{runs.ROOT}/configs/simclr/cifar10.py:cpu")
    expected.batch_size = 32
    assert options.config.to_dict() == expected.to_dict()


def test_a_name_means_the_shipped_config_and_a_path_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "simclr" / "digits.py"
    own.parent.mkdir()
    own.write_text(f"{WHOLE}    config.batch_size = 7\n    return config\n")
    (tmp_path / "simclr" / "digits").write_text("No config: its name does not end in .py.")
    assert main.parse(["", "--config=simclr/digits", "--workdir=x"]).config.batch_size == 256
    assert main.parse(["", "--config=simclr/digits.py", "--workdir=x"]).config.batch_size == 7


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "from ml_collections import ConfigDict\n"
            "def get_config():\n    return ConfigDict(dict(lr=1.0))\n",
            "lacks method.name: let get_config start from base_config",
        ),
        (f"{WHOLE}    del config.data\n    return config\n", "lacks data."),
        (f"{WHOLE}    del config.method.view.size\n    return config\n", "lacks method.view.size"),
        (
            f"{WHOLE}    config.method.queue_size = 16\n    return config\n",
            "has method.queue_size, which the method simclr does not",
        ),
        (f"{WHOLE}    config.method.name = 'moco'\n    return config\n", "lacks method.bn_groups"),
        (
            f"{WHOLE}    with config.ignore_type():\n        config.batch_size = 'many'\n"
            "    return config\n",
            "has batch_size='many': it must be a whole number.",
        ),
    ],
)
def test_a_config_that_base_config_did_not_make_shows_its_first_difference(tmp_path, body, told):
    path = tmp_path / "own.py"
    path.write_text(body)
    with pytest.raises(UserError) as error:
        config_file.load(str(path))
    assert str(error.value).startswith(f"The config {path} ")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("steps=2.5", "config.steps=2.5 is impossible: it must be a whole number."),
        ("epochs=many", "config.epochs=many is impossible: it must be a number."),
        ("log.tensorboard=maybe", "config.log.tensorboard=maybe is impossible: it must be true"),
    ],
)
def test_a_value_of_another_kind_is_told_with_the_kind(option, told):
    command = ["ssljax", f"--config={DIGITS}", "--workdir=x", f"--config.{option}"]
    with pytest.raises(UserError) as error:
        main.parse(command)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("evals.final=knn,linear", ("knn", "linear")),
        ("evals.final=(knn, linear)", ("knn", "linear")),
        ("evals.final=('knn','linear')", ("knn", "linear")),
        ("evals.final=knn", ("knn",)),
        ("evals.final=", ()),
        ("evals.final=()", ()),
        ("evals.few_label.labels=1,5.0", (1, 5.0)),
        ("optimizer.exclude=(^|/)bias$", ("(^|/)bias$",)),
        ("method.view.std=(0.5,)", (0.5,)),
        ("method.view.mean=0.5,0.4,0.3", (0.5, 0.4, 0.3)),
        ("method.view.std=None", None),
        ("method.view.blur_kernel=3", 3),
    ],
)
def test_values_of_the_command_line_are_read_as_they_look(option, value):
    key = option.split("=", 1)[0]
    command = ["ssljax", f"--config={DIGITS}", "--workdir=x", f"--config.{option}"]
    config = main.parse(command).config
    for part in key.split("."):
        config = config[part]
    assert config == value
