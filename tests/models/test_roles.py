"""Networks by role: what the config leaves empty, what others have, what the method sets."""

import pytest
from ml_collections import ConfigDict

from ssljax import models


def made(role, **options):
    return role.from_config(ConfigDict(dict(role.options) | options))


def test_what_is_empty_is_the_networks_own_and_false_is_false():
    vit = made(models.ENCODER, name="vit_mini", patch_size=0, heads=0, pool="", widths=(8,))
    assert vit == models.build_encoder("vit_mini", dtype="float32")
    assert not made(models.DISCRIMINATOR, name="sngan", spectral_norm=False).spectral_norm
    assert models.build_discriminator("sngan").spectral_norm


def test_an_option_of_another_network_is_left_unread_but_not_one_of_the_method():
    thin = made(models.GENERATOR, name="mlp", width=0.5)
    assert thin == models.build_generator("mlp", dtype="float32")
    config = ConfigDict(dict(models.DISCRIMINATOR.options) | {"name": "autoencoder"})
    with pytest.raises(ValueError, match="'autoencoder' has no option 'num_rotations'"):
        models.DISCRIMINATOR.from_config(config, num_rotations=4)


def test_what_the_method_sets_the_config_may_not():
    config = ConfigDict(dict(models.GENERATOR.options) | {"image_size": 64})
    with pytest.raises(ValueError, match="image_size of a generator is set by the method"):
        models.GENERATOR.from_config(config, image_size=32)


def test_other_defaults_leave_the_role_as_it_was():
    changed = models.DISCRIMINATOR.with_options(norm="none", dropout=0.5)
    assert (changed.options["norm"], changed.options["dropout"]) == ("none", 0.5)
    assert changed.networks is models.DISCRIMINATOR.networks
    assert models.DISCRIMINATOR.options["norm"] == "batch"
    assert "dropout" not in models.DISCRIMINATOR.options
