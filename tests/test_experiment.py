"""A run before it runs: what its feed gives."""

import numpy as np
import pytest
import runs
from ml_collections.config_flags import config_flags

from ssljax.experiment import Experiment

SGAN = runs.ROOT / "configs" / "sgan" / "fashion_mnist.py"


@pytest.mark.parametrize("cache", ["none", "device"])
@pytest.mark.parametrize(("labels", "images"), [(1.0, 10), (3.0, 30), (0.0, 1400)])
def test_beside_each_batch_stands_one_of_labelled_images(cache, labels, images):
    config = config_flags.ConfigFileFlagParser("config").parse(str(SGAN))
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
    feed = experiment.feed()
    batches, again = feed.batches(0), feed.batches(3)
    seen = {}
    for step in range(8):
        placed = next(batches)
        batch = {key: np.asarray(x)[:, 0] for key, x in feed.unpack(feed.constants, placed).items()}
        if step == 3:
            other = feed.unpack(feed.constants, next(again))
            np.testing.assert_array_equal(other["labelled_image"][:, 0], batch["labelled_image"])
        assert batch["image"].shape == batch["labelled_image"].shape == (16, 16, 16, 1)
        rows = zip(batch["labelled_image"], batch["labelled_label"], strict=True)
        seen |= {image.tobytes(): label for image, label in rows}
    batches.close()
    again.close()
    assert seen.items() <= classes.items()
    assert len(classes) == images or labels == 0
    # A set smaller than a batch fills it by repetition; all of a small set is met soon.
    assert len(seen) == min(images, 8 * 16)


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 104), (4, 26)])
def test_epochs_are_of_images_and_steps_of_updates(accumulate, steps):
    config = config_flags.ConfigFileFlagParser("config").parse(str(runs.DIGITS))
    config.update(batch_size=16, steps=0, epochs=1.2)
    config.data.cache = "none"
    config.optimizer.update(accumulate=accumulate, warmup_epochs=0.0)
    experiment = Experiment(config)
    # 1,400 images are 87 whole batches.
    assert experiment.batches_per_step == accumulate
    assert experiment.task.steps_per_epoch == 87 / accumulate
    assert experiment.task.total_steps == round(1.2 * 87 / accumulate) == steps
    batches = experiment.feed().batches(0)
    assert next(batches)[""]["image"].shape[:2] == (16, accumulate)
    batches.close()
