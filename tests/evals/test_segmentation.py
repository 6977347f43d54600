"""Segmentation's scores against counts of pixels at the size of the masks, and its pictures."""

import dataclasses

import cv2
import jax.numpy as jnp
import masked
import numpy as np
import pytest

from ssljax import data, report
from ssljax.augment import ViewPolicy
from ssljax.config import base_config
from ssljax.errors import UserError
from ssljax.evals import Run, segmentation
from ssljax.evals.segmentation import Segmentation
from ssljax.methods.transfer.segment import Segment
from ssljax.metrics import confusion_matrix, segmentation_scores
from ssljax.ops.crf import DEEPLAB
from ssljax.run.experiment import Experiment

CLASSES, SIZE = 3, (12, 20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return masked.paint(tmp_path_factory.mktemp("masked"), {"train": 12, "test": 11}, SIZE, CLASSES)


def config(folder, **keys):
    made = base_config("segment")
    made.batch_size = 8
    made.data.update(name="folder", dir=str(folder), image_size=40, resize="pad")
    made.data.update(mask_classes=CLASSES, void=masked.VOID)
    made.method.update(scales=(1.0,), sizes=())
    made.method.view.update(dataclasses.asdict(ViewPolicy(16, crop_scale=None)))
    made.model.encoder.update(name="small", widths=(4,), output_stride=0)
    made.model.head.name = "linear"
    made.evals.segmentation.update(keys)
    return made


def by_brightness(self, state, images):
    """Scores by how near a pixel is to the brightness of each class; rows above the middle less."""
    levels = jnp.linspace(20.0, 220.0, CLASSES)
    grey = jnp.mean(images.astype(jnp.float32), axis=3)
    scores = -jnp.square((grey[..., None] - levels[None, None, None]) / 60)
    tilt = jnp.linspace(1.5, 0.0, images.shape[1])[None, :, None, None]
    return (
        scores * jnp.array([1.0, 0.6, 0.3])[None, None, None]
        - tilt * jnp.eye(CLASSES)[None, None, 1:2]
    )


def truths(folder):
    files = sorted((folder / "test" / "masks").rglob("*.png"))
    return [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]


def test_scores_are_of_pixels_at_the_size_of_the_masks(folder, monkeypatch):
    monkeypatch.setattr(Segment, "segment", by_brightness)
    monkeypatch.setitem(segmentation.REFINEMENTS, "same", lambda image, p, keys: p[::-1, ::-1])
    run = Run(Experiment(config(folder, refine="same")))
    evaluation, state = Segmentation(), run.experiment.init()
    names = evaluation.check(run)
    scores = evaluation.score(run, state)
    assert set(scores.values) == set(names)
    assert len(names) == 6

    counts, other = np.zeros((2, CLASSES, CLASSES), np.int64)
    for file in sorted((folder / "test" / "images").rglob("*.png")):
        image = cv2.imread(str(file))[..., ::-1]
        # The frame of 40 pixels has the image at twice its size, with 8 rows above and below.
        frame = np.zeros((40, 40, 3), np.uint8)
        frame[8:32] = cv2.resize(image, (40, 24), interpolation=cv2.INTER_LINEAR)
        logits = np.float64(by_brightness(None, None, jnp.asarray(frame[None])))[0]
        exp = np.exp(logits - logits.max(axis=2, keepdims=True))
        likely = (exp / exp.sum(axis=2, keepdims=True))[8:32]
        # Twice as fine: the mean of four pixels lies at the centre of one.
        likely = likely.reshape(12, 2, 20, 2, CLASSES).mean(axis=(1, 3))
        truth = cv2.imread(str(file).replace("images", "masks"), cv2.IMREAD_UNCHANGED).astype(int)
        truth[truth == masked.VOID] = -1
        counts += confusion_matrix(truth, likely.argmax(axis=2), CLASSES)
        other += confusion_matrix(truth, likely[::-1, ::-1].argmax(axis=2), CLASSES)
    for prefix, matrix in (("", counts), ("same/", other)):
        for name, value in segmentation_scores(matrix).items():
            assert 0.1 < value < 1
            assert scores.values[prefix + name] == pytest.approx(value, abs=0.005), name

    picture = scores.pictures["segmentation"]
    assert picture.shape == (4 * 41 - 1, 6 * 41 - 1, 3)  # Two images in a row, of eight.
    # In the second cell the first image's own mask lies over it, and the black around stays black.
    assert not picture[:8, 41:81].any()
    assert np.any(picture[8:32, 41:81] != picture[8:32, :40])
    assert evaluation.score(run, None).values == {}


def test_sizes_and_mirrors_are_averaged(folder, monkeypatch):
    seen = []

    def leaning(self, state, images):
        seen.append(images.shape[1:3])
        width = jnp.linspace(-1.0, 1.0, images.shape[2])[None, None, :, None]
        return jnp.broadcast_to(width, (*images.shape[:3], 1)) * jnp.arange(3.0)[None, None, None]

    monkeypatch.setattr(Segment, "segment", leaning)
    run = Run(Experiment(config(folder, scales=(1.0, 0.5), flip=True)))
    read = segmentation._reader(run, run.experiment.method)
    images, state = jnp.zeros((2, 40, 40, 3), jnp.uint8), run.experiment.abstract_state
    found = np.asarray(read(state, images)["probabilities"])
    assert seen == [(40, 40)] * 2 + [(20, 20)] * 2
    # What leans to one side leans to the other in the mirror: the mean does to neither.
    np.testing.assert_allclose(found, found[:, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=3), 1.0, rtol=1e-5)
    assert found[0, 0, 0, 2] > found[0, 0, 20, 2]


def test_a_class_out_of_range_in_a_test_mask_is_told(folder):
    run = Run(Experiment(config(folder)))
    field = run.open("test").source.fields["mask"]
    assert isinstance(field, data.Mask)
    with pytest.raises(Exception, match="outside the void 255 the number 3, and there are 3"):
        field.numbers(np.full((4, 4), 3, np.uint8))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.data.update(resize="short_side"), "'short_side' cuts off"),
        (lambda c: c.evals.segmentation.update(refine="crf2"), "refine='crf2' is not known"),
    ],
)
def test_what_cannot_be_scored_is_told(folder, change, told):
    asked = config(folder)
    change(asked)
    run = Run(Experiment(asked))
    with pytest.raises(UserError, match=told):
        Segmentation().check(run)


def test_sets_without_masks_and_other_methods_are_told(folder):
    asked = base_config("simclr")
    asked.data.update(name="folder", dir=str(folder), image_size=8)
    asked.method.view.size = 8
    asked.batch_size = 8
    asked.model.encoder.update(name="small", widths=(4,))
    with pytest.raises(UserError, match="'simclr' does not classify pixels"):
        Segmentation().check(Run(Experiment(asked)))
    asked = config(folder)
    asked.evals.update(name="digits", dir="")
    with pytest.raises(UserError, match="has no masks, and segmentation needs them"):
        Segmentation().check(Run(Experiment(asked)))


def test_colors_differ_and_the_void_shows_the_image():
    colors = report.class_colors(255)
    assert len({tuple(color) for color in colors.tolist()}) == 255
    assert colors[:4].tolist() == [[128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    image = np.full((1, 1, 2, 1), 100, np.uint8)
    found = report.overlaid(image, np.array([[[-1, 1]]]), 2)
    np.testing.assert_array_equal(found[0, 0], [[100, 100, 100], [40, 117, 40]])


def test_the_crf_moves_a_border_to_the_edge_of_the_image():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 200
    truth = np.arange(16) >= 8
    said = np.where(np.arange(16) >= 9, 0.9, 0.3)  # One column of the right half is missed.
    probabilities = np.broadcast_to(np.stack([1 - said, said], axis=1), (16, 16, 2))
    keys, refine = Segmentation.default_config(), segmentation.REFINEMENTS["crf"]
    assert segmentation.crf_kernels(keys.crf) == DEEPLAB
    found = refine(image, probabilities.astype(np.float32), keys)
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-5)
    assert not np.array_equal(probabilities.argmax(axis=2)[0], truth)
    np.testing.assert_array_equal(found.argmax(axis=2), np.broadcast_to(truth, (16, 16)))
    keys.crf.weight = 0.0  # Without colours a straight border stays.
    found = refine(image, probabilities.astype(np.float32), keys)
    np.testing.assert_array_equal(found.argmax(axis=2), probabilities.argmax(axis=2))
