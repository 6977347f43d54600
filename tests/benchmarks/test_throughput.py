"""What is measured, that both programs measure the same, and in turns."""

import colorsys
import json
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import throughput, turns
from ssljax import losses
from ssljax.config import flatten

PROGRAM = """
import sys, time
from benchmarks import turns
print("a line of some library")
turns.answer({"one": lambda n: time.sleep(0.01 * n), "two": lambda n: None}, 7, 0.05)
"""


@pytest.mark.parametrize("name", ["cifar10", "imagenet"])
def test_without_augmentation_all_else_is_the_same(name):
    views, plain = (flatten(throughput.throughput_config(name, x)) for x in (True, False))
    changed = {key for key, value in views.items() if plain[key] != value}
    assert changed <= {
        f"method.view.{key}" for key in ("crop_scale", "flip_p", "jitter_p", "gray_p", "blur_p")
    }
    assert views["method.view.crop_scale"] == (0.08, 1.0)
    assert plain["method.view.crop_scale"] is None
    assert (plain["model.encoder.dtype"], plain["data.cache"]) == ("bfloat16", "device")


def test_programs_measure_in_turns():
    told = []
    command = [sys.executable, "-c", PROGRAM]
    turns.take({"a": command, "b": command}, 2, told.append)
    assert [(x["round"], x["program"], x["step"]) for x in told] == [
        (turn, program, step) for turn in (0, 1) for program in "ab" for step in ("one", "two")
    ]
    for x in told[::2]:
        assert x["step_seconds"] >= 0.01
        assert x["images_per_second"] == pytest.approx(7 / x["step_seconds"])


def test_a_program_that_ends_too_soon_is_told():
    with pytest.raises(RuntimeError, match="a ended with status 3"):
        turns.take({"a": [sys.executable, "-c", "import sys; sys.exit(3)"]}, 1, json.dumps)


def test_the_loss_in_pytorch_is_ours():
    torch = pytest.importorskip("torch")
    from benchmarks import throughput_torch

    z1, z2 = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32)
    found = throughput_torch.nt_xent(torch.tensor(z1), torch.tensor(z2), 0.5)
    expected = losses.nt_xent(jnp.asarray(z1), jnp.asarray(z2), 0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_operations_in_pytorch_do_what_they_say():
    torch = pytest.importorskip("torch")
    from benchmarks import throughput_torch

    images = np.random.default_rng(0).uniform(size=(2, 3, 4, 4)).astype(np.float32)
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 2.0, 2.0, 2.0]])
    mirrored = torch.tensor([1.0, 0.0])
    whole = throughput_torch.crop(torch.tensor(images), boxes, mirrored, 4)
    np.testing.assert_allclose(whole[0], images[0, :, :, ::-1], atol=1e-6)
    part = throughput_torch.crop(torch.tensor(images), boxes, mirrored, 2)
    np.testing.assert_allclose(part[1], images[1, :, 1:3, 2:4], atol=1e-6)
    turned = throughput_torch.rotate_hue(torch.tensor(images), torch.tensor([0.3, -0.2]))
    hue, saturation, value = colorsys.rgb_to_hsv(*images[1, :, 2, 1])
    expected = colorsys.hsv_to_rgb((hue - 0.2) % 1, saturation, value)
    np.testing.assert_allclose(turned[1, :, 2, 1], expected, atol=1e-5)
    flat = torch.ones(1, 3, 9, 9)
    blurred = throughput_torch.blur(flat, torch.tensor([1.0]), 2)
    np.testing.assert_allclose(blurred[0, :, 4, 4], 1.0, rtol=1e-5)  # Weights add up to 1.
