"""The configs that are shipped, as tests of published numbers read them."""

import functools
import math
import operator
import pathlib
import re

import pytest
from ml_collections.config_flags import config_flags

ROOT = pathlib.Path(__file__).parents[1] / "configs"


@functools.cache
def load(path):
    return config_flags.ConfigFileFlagParser("config").parse(str(ROOT / path))


def found(path, key):
    config = load(path)
    if key == "decay":
        return config.optimizer.weight_decay
    if key != "rate":
        return operator.attrgetter(key)(config)
    factor = {"none": 1.0, "linear": config.batch_size / 256, "sqrt": math.sqrt(config.batch_size)}
    return config.optimizer.learning_rate * factor[config.optimizer.scaling]


def check(published, path, key):
    """Compares one of the numbers with that of the config."""
    expected = published[path][key]
    if isinstance(expected, float):
        expected = pytest.approx(expected)
    assert found(path, key) == expected


def numbers(published):
    """Every config with each of its keys."""
    return [(path, key) for path, keys in published.items() for key in keys]


def variants(pattern):
    """All configs of some files, with each of their variants."""
    found = []
    for file in sorted(ROOT.glob(pattern)):
        named = re.search(r"Literal\[(.*?)\]", file.read_text().split("def get_config")[1])
        path = str(file.relative_to(ROOT))
        found += (
            [f"{path}:{name}" for name in re.findall(r'"(.*?)"', named[1])] if named else [path]
        )
    return [path.removesuffix(":") for path in found]
