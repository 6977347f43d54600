"""Policies: the way through a config, and what is refused."""

import dataclasses

import pytest
from ml_collections import ConfigDict

from ssljax.augment import ViewPolicy, simclr, view_from_config
from ssljax.augment.policy import check_fields


@pytest.mark.parametrize(
    "policy", [simclr(32), ViewPolicy(24, crop_scale=None, crop_padding=4, mean=(0.5,), std=(0.2,))]
)
def test_a_policy_survives_the_way_through_a_config(policy):
    fields = dataclasses.asdict(policy)
    lists = {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}
    for config in (fields, lists, ConfigDict(fields)):
        read = view_from_config(config)
        assert read == policy
        assert hash(read) == hash(policy)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"sise": 32}, "no field 'sise'"),
        ({"flip_p": 0.5}, "needs a size"),
        ({"size": 0}, "size"),
        ({"size": True}, "size"),
        ({"size": 32, "flip_p": 1.2}, "flip_p"),
        ({"size": 32, "brightness": -1.0}, "brightness"),
        ({"size": 32, "contrast": float("nan")}, "contrast"),
        ({"size": 32, "hue": 0.7}, "hue"),
        ({"size": 32, "crop_scale": [0.5, 0.1]}, "crop_scale"),
        ({"size": 32, "crop_scale": [0.5, 1.1]}, "crop_scale"),
        ({"size": 32, "crop_padding": 4}, "crop_padding"),
        ({"size": 32, "crop_padding": -1, "crop_scale": None}, "crop_padding"),
        ({"size": 32, "blur_sigma": [0.0, 2.0]}, "blur_sigma"),
        ({"size": 32, "blur_kernel": 4}, "blur_kernel"),
        ({"size": 32, "blur_kernel": 65}, "blur_kernel"),
        ({"size": 32, "solarize_threshold": 2.0}, "solarize_threshold"),
        ({"size": 32, "mean": [0.5]}, "together"),
        ({"size": 32, "mean": [0.5], "std": [0.0]}, "std positive"),
        ({"size": 32, "mean": [0.5, 0.5], "std": [0.5]}, "one number per channel"),
    ],
)
def test_impossible_configs_are_refused(fields, match):
    with pytest.raises(ValueError, match=match):
        view_from_config(fields)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 32.5),
        ("gray_p", "often"),
        ("crop_ratio", (1.0,)),
        ("crop_scale", 0.5),
        ("interpolation", "nearest"),
        ("brightness_mode", "sideways"),
        ("contrast_mode", "pillow"),
        ("blur_padding", "black"),
        ("mean", ("a", "b", "c")),
    ],
)
def test_values_of_the_wrong_type_are_refused(name, value):
    fields = dataclasses.asdict(ViewPolicy(32, mean=(0.5,) * 3, std=(0.2,) * 3))
    check_fields(fields)
    with pytest.raises(ValueError, match=name):
        check_fields(fields | {name: value})
