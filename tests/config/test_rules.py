"""Values: no number of any config may be one that no run could have."""

import math

import pytest

from ssljax import config as configs
from ssljax import methods
from ssljax.config import rules
from ssljax.errors import UserError


def _checked(method: str, key: str, value) -> None:
    config = configs.base_config(method)
    config.data.name = "digits"
    with config.unlocked(), config.ignore_type():
        config.update_from_flattened_dict({key: value})
    configs.check(config)


def _with(value, number):
    """A value of the same form with that number in it."""
    return tuple(_with(x, number) for x in value) or (number,) if _is_tuple(value) else number


def _is_tuple(value) -> bool:
    return isinstance(value, tuple)


def _is_number(value) -> bool:
    if _is_tuple(value):
        return all(map(_is_number, value))
    return isinstance(value, int | float | None) and not isinstance(value, bool)


@pytest.mark.parametrize("method", methods.REGISTRY)
def test_every_number_of_a_method_refuses_what_is_not_finite_or_wrongly_negative(method):
    base = configs.flatten(configs.base_config(method))
    numbers = {key: value for key, value in base.items() if _is_number(value)}
    assert len(numbers) > 40
    for key, value in numbers.items():
        for wrong in (math.nan, math.inf, -math.inf, -2, -0.5):
            if key == "data.range" and math.isfinite(wrong):  # Black may be a negative number.
                continue
            told = None
            try:
                rules.check_numbers({key: _with(value, wrong)})
            except UserError as error:
                told = str(error)
            assert told is not None, f"{key}={_with(value, wrong)!r} passes"
            assert told.startswith(f"config.{key}=")


@pytest.mark.parametrize(
    ("method", "key", "value", "wanted"),
    [
        ("swav", "method.sinkhorn_iterations", 0, "above 0"),
        ("swav", "method.epsilon", 0.0, "above 0"),
        ("wgan", "method.clip", 0.0, "above 0"),
        ("wgan", "model.generator.width", 0.0, "above 0"),
        ("moco", "method.temperature", 0.0, "above 0"),
        ("moco", "method.temperature", 1e-60, "above 0"),  # 0 as a 32-bit number.
        ("moco", "method.momentum", 1.5, "in [0, 1]"),
        ("dino", "method.center_momentum", 1.0, "in [0, 1)"),
        ("sgan", "model.discriminator.dropout", 1.0, "in [0, 1)"),
        ("mae", "method.mask_ratio", 1.0, "above 0 and below 1"),
        ("mae", "method.decoder_depth", 2**31, "at most 2147483647"),
        ("simclr", "model.encoder.drop_path", 1.0, "in [0, 1)"),
        ("simclr", "model.encoder.widths", (0,), "whole numbers above 0"),
        ("simclr", "model.encoder.widths", (8, "wide"), "whole numbers above 0"),
        ("simclr", "optimizer.learning_rate", 1e300, "a finite number"),
        ("simclr", "optimizer.b1", 2.0, "The optimizer's b1 is 2.0: it must be in [0.0, 1.0)"),
        ("simclr", "optimizer.eps", 0.0, "The optimizer's eps is 0.0: it must be a number above 0"),
        ("simclr", "optimizer.exclude", ("[",), "which is not a valid regular expression"),
        ("simclr", "method.view.flip_p", 2.0, "config.method.view is impossible: flip_p must be"),
        ("simclr", "steps", 2**40, "at most 2147483647"),
        ("simclr", "evals.final", 3, "it must be a tuple"),
        ("simclr", "data.name", 3, "it must be a string"),
        ("simclr", "batch_size", True, "it must be a whole number"),
        ("simclr", "log.tensorboard", 1, "it must be true or false"),
    ],
)
def test_an_impossible_value_is_told_with_what_is_possible(method, key, value, wanted):
    with pytest.raises(UserError) as error:
        _checked(method, key, value)
    assert wanted in str(error.value)


@pytest.mark.parametrize(
    ("method", "key", "value"),
    [
        ("byol", "method.momentum", 1.0),  # A target that never moves: the paper's ablation.
        ("swav", "method.queue_size", 0),
        ("simclr", "seed", 2**32 - 1),
        ("simclr", "mesh.data", -1),
        ("simclr", "epochs", 3),  # A whole number is a number.
        ("simclr", "model.encoder.widths", [8, 16]),
        ("simclr", "method.view.crop_scale", None),
    ],
)
def test_values_at_the_edge_of_what_is_possible_pass(method, key, value):
    _checked(method, key, value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(stride=2), r"data\.stride=2 is about clips, and config\.data\.frames=0 reads images"),
        (dict(hop=3), r"data\.hop=3 is about clips"),
        (dict(motion=0.5), r"data\.motion=0\.5 is about clips"),
        (dict(clip_key="clip", time_key="time"), r"data\.clip_key='clip' is about clips"),
        (dict(time_key="time"), r"data\.time_key='time' is about clips"),
        (dict(name="folder", frames=2, clip_key="clip"), r"data\.clip_key='clip' names a feature"),
        (dict(name="folder", frames=2, time_key="t"), r"data\.time_key='t' names a feature"),
    ],
)
def test_keys_of_clips_that_would_not_be_read_are_told(changes, told):
    config = configs.base_config("tracking")
    config.data.update(**dict(name="digits") | changes)
    with pytest.raises(UserError, match=told):
        configs.check(config)
    config.data.update(name="digits", frames=2)
    configs.check(config)
    config.data.name, config.evals.name = "folder", "digits"
    configs.check(config)
