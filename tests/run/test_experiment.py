"""What an experiment refuses before a step runs, what it traces, and the batches that it feeds."""

import contextlib

import jax
import numpy as np
import pytest
import runs
from jax.sharding import AxisType, Mesh
from ml_collections import ConfigDict

from ssljax import main, mesh, train
from ssljax.config import base_config
from ssljax.config import file as config_file
from ssljax.run.experiment import Experiment
from ssljax.run.step import make_step


def one_device() -> Mesh:
    """The mesh of a machine with one device."""
    devices = np.array(jax.devices()[:1]).reshape(1, 1)
    return Mesh(devices, mesh.AXES, axis_types=(AxisType.Auto, AxisType.Auto))


CONFIGS = runs.ROOT / "configs"
SMALL = {"data.name": "digits", "data.cache": "none", "batch_size": 16, "data.image_size": 28}


def _config(path: str, **changes) -> ConfigDict:
    config = config_file.load(str(CONFIGS / path))
    config.update_from_flattened_dict(SMALL | changes)
    return config


def _told(capsys, workdir, config, **changes) -> str:
    values = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    status = main.main(
        [
            "ssljax",
            f"--config={CONFIGS / config}",
            f"--workdir={workdir}",
            "--config.steps=2",
            "--config.evals.final=()",
            *(f"--config.{key}={value}" for key, value in values.items()),
        ]
    )
    assert status == 2
    assert not workdir.exists()
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("config", "changes", "wanted"),
    [
        ("ssgan/fashion_mnist.py", {"batch_size": 30}, "is not a multiple of 4"),
        ("ssgan/fashion_mnist.py", {"method__loss": "hing"}, "method.loss is 'hing'"),
        ("dcl/fashion_mnist.py", {"batch_size": 1}, "needs two images or more"),
        ("simclr/fashion_mnist.py", {"batch_size": 1}, "make batch_size larger"),
        ("vicreg/fashion_mnist.py", {"batch_size": 1}, "make batch_size larger"),
        ("dino/fashion_mnist.py", {"batch_size": 1, "method__koleo_weight": 0.1}, "KoLeo needs"),
        (
            "byol/fashion_mnist.py",
            {"method__view1__mean": "0.1,0.2", "method__view1__std": "1,1"},
            "mean and std need one number for each of 1 channels",
        ),
        ("moco/fashion_mnist.py", {"method__queue_size": 1000}, "method.queue_size=1000"),
        ("mae/fashion_mnist.py", {"model__encoder__patch_size": 5}, "patches of 5x5"),
        ("dcgan/fashion_mnist.py", {"data__image_size": 30}, "30x30 pixels do not halve"),
    ],
)
def test_what_does_not_fit_is_one_sentence_before_anything_is_written(
    capsys, monkeypatch, tmp_path, config, changes, wanted
):
    monkeypatch.setattr(mesh, "make_mesh", lambda *_: one_device())
    told = _told(capsys, tmp_path / "run", config, **changes)
    assert wanted in told
    assert told.startswith("ssljax: The config does not fit together: ")


def test_a_set_smaller_than_a_batch_is_told_as_such(capsys, tmp_path):
    told = _told(capsys, tmp_path / "run", "simclr/fashion_mnist.py", batch_size=8000)
    assert "images, fewer than one batch of 8000" in told


def test_one_mean_for_all_channels_lets_a_grey_set_be_read_in_colour():
    config = _config("byol/fashion_mnist.py", **{"data.channels": 3})
    Experiment(config).trace()


def test_a_warm_up_longer_than_the_run_is_shortened_and_told(caplog):
    config = _config("simclr/fashion_mnist.py", **{"optimizer.warmup_epochs": 10.0, "steps": 4})
    with caplog.at_level("INFO", "ssljax"):
        experiment = Experiment(config)
    assert "it is shortened to the run's 4" in caplog.text
    (player,) = experiment.method.players
    peak = config.optimizer.learning_rate
    shares = [float(player.schedule(step)) / peak for step in range(4)]
    np.testing.assert_allclose(shares, [0.0, 0.25, 0.5, 0.75], rtol=1e-6)


def test_what_is_traced_at_the_start_is_not_traced_again(monkeypatch):
    traced = []

    def counting(method, accumulate):
        step = make_step(method, accumulate)

        def counted(*arguments):
            traced.append(method)
            return step(*arguments)

        return counted

    monkeypatch.setattr("ssljax.run.experiment.make_step", counting)
    for cache in ("none", "device"):
        experiment = Experiment(_config("simclr/fashion_mnist.py", **{"data.cache": cache}))
        experiment.trace()
        stream = experiment.stream()
        with contextlib.closing(stream.batches(0)) as batches:
            train.compile_step(experiment, stream).lower(
                experiment.abstract_state, stream.constants, next(batches)
            )
    assert len(traced) == 2


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 104), (4, 26)])
def test_epochs_are_of_images_and_steps_of_updates(accumulate, steps):
    config = config_file.load(str(runs.DIGITS))
    config.update(batch_size=16, steps=0, epochs=1.2)
    config.data.cache = "none"
    config.optimizer.update(accumulate=accumulate, warmup_epochs=0.0)
    experiment = Experiment(config)
    # 1,400 images are 87 whole batches.
    assert experiment.batches_per_step == accumulate
    assert experiment.task.steps_per_epoch == 87 / accumulate
    assert experiment.task.total_steps == round(1.2 * 87 / accumulate) == steps
    batches = experiment.stream().batches(0)
    assert next(batches)["images"]["image"].shape[:2] == (16, accumulate)
    batches.close()


@pytest.mark.parametrize("cache", ["none", "device"])
@pytest.mark.parametrize(("labels", "images"), [(1.0, 10), (3.0, 30), (0.0, 1400)])
def test_beside_each_batch_stands_one_of_labelled_images(cache, labels, images):
    config = config_file.load(str(CONFIGS / "sgan/fashion_mnist.py"))
    config.update(batch_size=16, steps=2)
    config.data.update(name="digits", image_size=16, labels=labels)
    config.data.cache = cache
    experiment = Experiment(config)
    whole = experiment.load(experiment.source)
    assert len(whole["image"]) == 1400
    known = whole["label"] >= 0
    classes = {
        image.tobytes(): label
        for image, label in zip(whole["image"][known], whole["label"][known], strict=True)
    }
    stream = experiment.stream()
    batches, again = stream.batches(0), stream.batches(3)
    seen = {}
    for step in range(8):
        placed = next(batches)
        batch = jax.tree.map(lambda x: np.asarray(x)[:, 0], stream.unpack(stream.constants, placed))
        labelled = batch["labelled"]
        if step == 3:
            other = stream.unpack(stream.constants, next(again))
            np.testing.assert_array_equal(other["labelled"]["image"][:, 0], labelled["image"])
        assert batch["images"]["image"].shape == labelled["image"].shape == (16, 16, 16, 1)
        rows = zip(labelled["image"], labelled["label"], strict=True)
        seen |= {image.tobytes(): label for image, label in rows}
    batches.close()
    again.close()
    assert seen.items() <= classes.items()
    assert len(classes) == images or labels == 0
    # A set smaller than a batch fills it by repetition; all of a small set is met soon.
    assert len(seen) == min(images, 8 * 16)


def test_what_a_feed_does_not_read_does_not_lie_on_the_devices():
    config = base_config("simclr")
    config.data.update(name="digits", image_size=8, channels=1, cache="device")
    config.method.view.size = 8
    config.model.encoder.update(name="small", widths=(4,))
    stream = Experiment(config).stream()
    assert set(stream.constants["images"]) == {"image"}
