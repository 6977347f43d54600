"""Methods of shapes that are to come: each is one class, and nothing else knows of it.

What is trained through the command line is stopped and resumed there; methods of fields that no
source of the tests has are given arrays.
"""

import shutil

import jax
import jax.numpy as jnp
import moving
import numpy as np
import pytest
import runs
from toys.bigan import BiGAN
from toys.boxes import Cells
from toys.clips import FrameOrder
from toys.cyclegan import CycleGAN
from toys.masks import Pixelwise
from toys.multi_task import MultiTask
from toys.progan import ProGAN

from ssljax import main
from ssljax.evals import Run
from ssljax.evals.sampling import make_sampler
from ssljax.evaluate import Evaluator
from ssljax.methods import REGISTRY, protocols
from ssljax.methods.contract import Task
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.experiment import Experiment
from ssljax.run.step import init_state, make_step

CONFIG = """
from ssljax.config.base import base_config


def get_config():
    config = base_config("toy")
    config.data.update(name="digits", channels=1, resize="exact", cache="device")
    return config
"""
STEPS = 3


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command line of a run of a toy, every step of which is saved."""
    file = tmp_path / "toy.py"
    file.write_text(CONFIG)

    def arguments(kind, steps=STEPS, **changes):
        monkeypatch.setitem(REGISTRY, "toy", kind)
        changes |= dict(steps=steps, checkpoint__every=1, checkpoint__keep=steps)
        asked = runs.arguments(tmp_path / "run", file, **changes)
        left_out = ["model.encoder.widths"] + ["method.view.size"] * (kind is FrameOrder)
        return [option for option in asked if not any(key in option for key in left_out)]

    return arguments


def states(command, workdir):
    """The experiment, and its saved states by step."""
    experiment = Experiment(main.parse(command).config)
    checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
    found = {s: checkpoints.restore(experiment.abstract_state, s) for s in checkpoints.steps()}
    checkpoints.close()
    return experiment, found


@pytest.mark.parametrize("kind", [MultiTask, CycleGAN, ProGAN, BiGAN])
def test_a_toy_is_trained_and_resumed_bit_for_bit(kind, command, tmp_path):
    asked = command(kind, method__online_probe=kind is BiGAN)
    assert main.main(asked) == 0
    final = runs.final_state(asked, tmp_path / "run")
    for step in (2, 3):
        shutil.rmtree(tmp_path / "run" / "checkpoints" / str(step))
    assert main.main(asked) == 0
    for a, b in zip(final, runs.final_state(asked, tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(a, b)
    _, saved = states(asked, tmp_path / "run")
    for player, before in saved[1].params.items():
        after = saved[3].params[player]
        moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, after)
        assert any(jax.tree.leaves(moved)), player
    if kind is CycleGAN:
        assert jax.tree.all(jax.tree.map(lambda a: bool(np.any(a)), saved[3].memory))


def test_two_feeds_are_of_two_sets_in_orders_of_their_own(command):
    experiment = Experiment(main.parse(command(CycleGAN)).config)
    sets = {name: experiment.load(s)["image"] for name, s in experiment.sources.fed.items()}
    assert [len(images) for images in sets.values()] == [1400, 397]
    stream = experiment.stream()
    batches = stream.batches(0)
    batch = stream.unpack(stream.constants, next(batches))
    batches.close()
    for name, images in sets.items():
        known = {image.tobytes() for image in images}
        assert {np.asarray(x).tobytes() for x in batch[name]["image"][:, 0]} <= known
    method = experiment.method
    assert isinstance(method, protocols.Translator)
    assert method.translations() == ("paintings to photos", "photos to paintings")
    state, images = experiment.init(), jnp.asarray(sets["photos"][:2])
    # Both ways halve the contrast at first.
    expected = (np.asarray(images, np.float32) / 127.5 - 1) / 2
    found = method.translate(state, images, "photos to paintings")
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_method_that_grows_is_scored_and_sampled_at_its_size(command, tmp_path):
    asked = command(ProGAN, steps=4)
    assert main.main(asked) == 0
    experiment, saved = states(asked, tmp_path / "run")
    assert isinstance(experiment.method_at(1), protocols.Generator)
    run, images = Run(experiment), jnp.zeros((2, 8, 8, 1), jnp.uint8)
    for step, state in saved.items():
        sample = make_sampler(run.generator(state), run.mesh)
        drawn = np.asarray(sample(state, jax.random.key(0), 8)).reshape(8, 4, 2, 4, 2, 1)
        small = step <= 2  # Until the phase of 8 pixels has made a step.
        assert np.all(drawn == drawn[:, :, :1, :, :1]) == small
        features = experiment.method_at(step).features(state, images)["features"]
        assert features.shape == (2, 16 if small else 64)
    scores = Evaluator(experiment).score(saved[1], ("knn",))
    assert all(0 < score <= 1 for score in scores.values.values())
    # As a phase begins, the optimizer does.
    moving = {s: state.opt_state["generator"][0].trace["4 px"] for s, state in saved.items()}
    assert {s: bool(np.any(x)) for s, x in moving.items()} == {1: True, 2: True, 3: False, 4: False}


@pytest.fixture
def videos(tmp_path):
    """Six videos of eleven frames, of which two are files."""
    rng = np.random.default_rng(0)
    for k in range(6):
        frames = rng.integers(0, 256, (11, 16, 16, 3), dtype=np.uint8)
        if k % 3:
            moving.write_frames(tmp_path / "videos" / f"{k}", frames)
        else:
            moving.write_video(tmp_path / "videos" / f"{k}.mp4", list(frames), "mpeg4")
    return tmp_path / "videos"


def test_clips_of_videos_are_learnt_alike_on_any_devices_and_after_a_kill(
    videos, command, tmp_path, monkeypatch
):
    asked = command(
        FrameOrder,
        batch_size=8,
        **dict(data__name="folder", data__dir=videos, data__frames=4, data__stride=2),
        **dict(data__hop=1, data__cache="none", data__max_corrupt=1),
    )
    streamed, cached = (first_clips(asked, cache) for cache in ("none", "device"))
    assert streamed.shape == (8, 1, 4, 8, 8, 1)
    np.testing.assert_array_equal(streamed, cached)
    (videos / "4" / "00006.png").write_bytes(b"no image")
    assert main.main(asked) == 0
    final = runs.final_state(asked, tmp_path / "run")
    for step in (2, 3):
        shutil.rmtree(tmp_path / "run" / "checkpoints" / str(step))
    assert main.main(asked) == 0
    for a, b in zip(final, runs.final_state(asked, tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(a, b)
    shutil.rmtree(tmp_path / "run")
    devices = jax.devices()
    assert len(devices) == 8
    monkeypatch.setattr(jax, "devices", lambda: devices[:1])
    assert Experiment(main.parse(asked).config).mesh.size == 1
    assert main.main(asked) == 0
    for a, b in zip(final, runs.final_state(asked, tmp_path / "run"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def first_clips(command, cache):
    """The clips of a run's first batch."""
    experiment = Experiment(main.parse([*command, f"--config.data.cache={cache}"]).config)
    stream = experiment.stream()
    batches = stream.batches(0)
    batch = stream.unpack(stream.constants, next(batches))
    batches.close()
    return np.asarray(batch["clips"]["clip"])


def clips(rng):
    return {"clips": {"clip": rng.integers(0, 256, (8, 1, 4, 8, 8, 1), dtype=np.uint8)}}


def masked(rng):
    mask = rng.integers(-1, 3, (8, 1, 8, 8), dtype=np.int32)
    image = np.clip(mask, 0, None).astype(np.uint8)[..., None] * 100
    return {"images": {"image": image, "mask": mask}}


def boxed(rng):
    """A bright square in a dark image, in the first row of two."""
    image = np.zeros((8, 1, 8, 8, 1), np.uint8)
    boxes = np.full((8, 1, 2, 5), -1, np.float32)
    for i, (row, column) in enumerate(rng.integers(0, 2, (8, 2)) * 4):
        image[i, 0, row : row + 4, column : column + 4] = 255
        boxes[i, 0, 0] = row, column, row + 4, column + 4, 0
    return {"images": {"image": image, "boxes": boxes}}


TASK = Task(image_shape=(8, 8, 1), batch_size=8, total_steps=STEPS, steps_per_epoch=1)


@pytest.mark.parametrize(
    ("kind", "draw"), [(FrameOrder, clips), (Pixelwise, masked), (Cells, boxed)]
)
def test_a_batch_of_other_fields_is_learnt_and_resumed_bit_for_bit(kind, draw, tmp_path):
    method = kind(None, TASK)
    rng = np.random.default_rng(0)
    batches = [jax.tree.map(jnp.asarray, draw(rng)) for _ in range(STEPS)]
    fed = {name: set(feed.fields) for name, feed in method.feeds(None).items()}
    assert {name: set(fields) for name, fields in batches[0].items()} == fed
    step, state = jax.jit(make_step(method)), init_state(method, jax.random.key(0))
    checkpoints = Checkpoints(tmp_path)
    losses = []
    for number, batch in enumerate(batches):
        state, metrics = step(state, batch)
        losses.append(float(metrics["online/loss"]))
        if number == 0:
            checkpoints.save(1, state)
    checkpoints.wait()
    resumed = checkpoints.restore(jax.eval_shape(lambda: state))
    checkpoints.close()
    for batch in batches[1:]:
        resumed, _ = step(resumed, batch)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(resumed.params), strict=True):
        np.testing.assert_array_equal(a, b)
    assert kind is FrameOrder or losses[-1] < losses[0]


def test_masks_and_boxes_are_found_where_they_are():
    rng = np.random.default_rng(0)
    for kind, draw in ((Pixelwise, masked), (Cells, boxed)):
        method = kind(None, TASK)
        step, state = jax.jit(make_step(method)), init_state(method, jax.random.key(0))
        for _ in range(60):
            batch = jax.tree.map(jnp.asarray, draw(rng))
            state, _ = step(state, batch)
        images = batch["images"]["image"][:, 0]
        if kind is Pixelwise:
            assert isinstance(method, protocols.Segmenter)
            mask = np.asarray(batch["images"]["mask"][:, 0])
            found = np.argmax(method.segment(state, images), axis=3)
            # A pixel without a class is black, as one of class 0 is.
            np.testing.assert_array_equal(found, np.maximum(mask, 0))
        else:
            assert isinstance(method, protocols.Detector)
            found = np.asarray(method.detect(state, images))
            boxes = np.asarray(batch["images"]["boxes"][:, 0])
            np.testing.assert_array_equal(found[:, 0, :5], boxes[:, 0])
            assert np.all(found[:, 1:] == -1)
