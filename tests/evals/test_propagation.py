"""Masks that follow features: exact where movements are, and the floor without a network."""

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tiny import tiny_config

from ssljax import data, metrics
from ssljax.errors import UserError
from ssljax.evals import Run
from ssljax.evals.propagation import SCORES, Propagation
from ssljax.methods import REGISTRY
from ssljax.methods.joint_embedding.simclr import SimCLR
from ssljax.run.experiment import Experiment

PATCH, GRID, FRAMES = 4, (12, 20), 6
SHAPE = tuple(PATCH * n for n in GRID)
PLACES = {1: [(1 + n, 2 + 2 * n) for n in range(FRAMES)], 7: [(8, 15 - n) for n in range(FRAMES)]}
"""Where the corner of each object is, a square of 3 or 2 patches, by its number in the masks."""


def video():
    """Frames of textured squares over a ground that is everywhere alike, and maps of labels."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (PATCH, PATCH, 3), dtype=np.uint8)
    paint = {
        n: rng.integers(0, 256, (PATCH * (3 if n == 1 else 2),) * 2 + (3,), dtype=np.uint8)
        for n in PLACES
    }
    frames = np.tile(ground, (FRAMES, *GRID, 1))
    labels = np.zeros((FRAMES, *SHAPE), np.uint8)
    for number, places in PLACES.items():
        for frame, label, (row, column) in zip(frames, labels, places, strict=True):
            side, top, left = len(paint[number]), PATCH * row, PATCH * column
            frame[top : top + side, left : left + side] = paint[number]
            label[top : top + side, left : left + side] = number
    return frames, labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The video as DAVIS has it, with masks of a palette; one more video is in no list."""
    root = tmp_path_factory.mktemp("davis")
    frames, labels = video()
    for name in ("squares", "unlisted"):
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / "480p" / name).mkdir(parents=True)
        for number, (frame, label) in enumerate(zip(frames, labels, strict=True)):
            file = root / "JPEGImages" / "480p" / name / f"{number:05d}.png"
            cv2.imwrite(str(file), frame[..., ::-1])  # Lossless, where DAVIS has JPEG.
            if name == "squares":
                mask = Image.fromarray(label, "P")
                mask.putpalette(np.random.default_rng(1).integers(0, 256, 768).tolist())
                mask.save(root / "Annotations" / "480p" / name / f"{number:05d}.png")
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("squares\n")
    (root / "ImageSets" / "2017" / "broken.txt").write_text("squares\nunlisted\n")
    return root


class Patches(SimCLR):
    """Sees the pixels of each patch, about their mean, as the map of a stage."""

    def features(self, state, images):
        x = images.astype(jnp.float32)
        patches = x.reshape(len(x), x.shape[1] // PATCH, PATCH, x.shape[2] // PATCH, PATCH, -1)
        patches = patches.swapaxes(2, 3).reshape(
            *patches.shape[:2][:1], *(n // PATCH for n in x.shape[1:3]), -1
        )
        return {"stage1": patches - 127.5, "features": jnp.mean(patches, axis=(1, 2))}


def run_of(folder, monkeypatch, kind=None, **keys):
    if kind is not None:
        monkeypatch.setitem(REGISTRY, "simclr", kind)
    config = tiny_config("simclr")
    config.data.channels = 3
    config.evals.propagation.update(dir=str(folder), **keys)
    return Run(Experiment(config))


def expected(predicted, labels):
    """The five scores, of labels by frame; the first and the last frame left out."""
    found = []
    for number in PLACES:
        pairs = [(p == number, t == number) for p, t in zip(predicted, labels, strict=True)][1:-1]
        j, f = (
            [score(*pair) for pair in pairs]
            for score in (metrics.region_similarity, metrics.contour_accuracy)
        )
        rates = [np.mean(j), np.mean(np.array(j) > 0.5), np.mean(f), np.mean(np.array(f) > 0.5)]
        found.append(rates)
    j, j_recall, f, f_recall = np.mean(found, axis=0)
    return dict(zip(SCORES, ((j + f) / 2, j, j_recall, f, f_recall), strict=True))


def test_squares_that_move_by_whole_places_are_followed_exactly(folder, monkeypatch):
    run = run_of(folder, monkeypatch, Patches, protocol="crw", top_k=1, recent=2)
    assert Propagation().check(run) == SCORES
    scores = Propagation().score(run, run.experiment.init())
    # Labels of whole patches, enlarged as OpenCV enlarges them: corners are cut.
    _, labels = video()
    said = []
    for mask in labels:
        patches = mask[::PATCH, ::PATCH]
        shares = [np.float32(patches == number) for number in (0, *PLACES)]
        large = [cv2.resize(x, SHAPE[::-1], interpolation=cv2.INTER_LINEAR) for x in shares]
        said.append(np.array([0, *PLACES])[np.argmax(large, axis=0)])
    found = expected(said, labels)
    assert found["j_mean"] > 0.9
    assert scores.values == pytest.approx(found, abs=1e-6)
    (name,) = scores.pictures
    assert name == "propagation_random"
    assert scores.pictures[name].shape == (2 * 120 + 1, 6 * 216 + 5, 3)


def test_without_a_network_the_first_mask_stays(folder, monkeypatch):
    run = run_of(folder, monkeypatch)
    _, labels = video()
    scores = Propagation().score(run, None)
    assert scores.values == pytest.approx(expected([labels[0]] * FRAMES, labels), abs=1e-9)
    assert scores.values["j_mean"] < 0.5


def test_any_encoder_is_built_for_the_frames_and_reads_the_stage_that_is_named(folder, monkeypatch):
    run = run_of(folder, monkeypatch, stages=("stage1", "stage2"), short_side=16)
    names = Propagation().check(run)
    assert names == tuple(f"{stage}/{name}" for stage in ("stage1", "stage2") for name in SCORES)
    scores = Propagation().score(run, run.experiment.init())
    assert set(scores.values) == set(names)
    assert scores.values["stage1/j_mean"] != scores.values["stage2/j_mean"]
    assert all(0 <= x <= 1 for x in scores.values.values())


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"dir": ""}, "has no videos: name the folder"),
        ({"split": "broken"}, r"There is no .*unlisted/00000.png: every frame"),
        ({"split": "test"}, "has no list test.txt of videos, but broken, val"),
        ({"resolution": "1080p"}, "There is no folder .*1080p"),
        ({"stages": ("stage9",)}, "has no map 'stage9': set .* stem"),
        ({"stages": ("tracker",)}, "'simclr' has no way of its own to follow"),
    ],
)
def test_what_is_wrong_is_told_before_training(folder, monkeypatch, keys, told):
    run = run_of(folder, monkeypatch)
    run.config.propagation.update(keys)
    with pytest.raises(UserError, match=told):
        Propagation().check(run)


def test_255_is_the_object_of_a_mask_of_two_numbers_and_the_void_of_others():
    def decoded(values):
        file = cv2.imencode(".png", np.array([values], np.uint8))[1].tobytes()
        return data.object_numbers(file)[0].tolist()

    assert decoded([0, 255, 0]) == [0, 1, 0]
    assert decoded([0, 1, 255, 2]) == [0, 1, 0, 2]
    assert decoded([0, 3, 0]) == [0, 3, 0]
