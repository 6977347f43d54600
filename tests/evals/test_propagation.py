"""Masks that follow features: exact where movements are, and the floor without a network."""

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tiny import tiny_config

from ssljax import data, methods, metrics
from ssljax.errors import UserError
from ssljax.evals import Run, following
from ssljax.evals.propagation import SCORES, TRACKER, Propagation
from ssljax.methods import REGISTRY
from ssljax.methods.joint_embedding.simclr import SimCLR
from ssljax.methods.video.video_colorization import VideoColorization
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


def _write(root, name, masks):
    """A video of no picture with these masks, in a list of its own."""
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "480p" / name).mkdir()
    for number, mask in enumerate(masks):
        for kind, pixels in (("JPEGImages", np.full_like(mask, 90)), ("Annotations", mask)):
            cv2.imwrite(str(root / kind / "480p" / name / f"{number:05d}.png"), pixels)
    (root / "ImageSets" / "2017" / f"{name}.txt").write_text(name)


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
    discs = np.zeros(SHAPE, np.uint8)
    cv2.circle(discs, (25, 22), 14, 1, -1)
    cv2.circle(discs, (60, 30), 11, 7, -1)
    _write(root, "still", [discs] * FRAMES)
    _write(root, "hidden", [np.zeros_like(discs), discs, discs])
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


class Fixed(Patches):
    """The same, of images of one size alone."""

    def features(self, state, images):
        if images.shape[1:3] != (32, 32):
            raise ValueError("I know one size.")
        return super().features(state, images)


class Sure(VideoColorization):
    """Knows that nothing moves."""

    def __init__(self, config, task):
        super().__init__(config, task)
        self.pretext.copy = lambda outputs, values: values[:, -1]


def run_of(folder, monkeypatch, kind=None, name="simclr", encoder=(), view=32, **keys):
    if kind is not None:
        monkeypatch.setitem(REGISTRY, name, kind)
    config = tiny_config(name)
    config.data.channels = 3
    config.method.view.size = view
    config.model.encoder.update(dict(encoder))
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
    state = run.experiment.init()
    scores = Propagation().score(run, state)
    assert set(scores.values) == set(names)
    assert scores.values["stage1/j_mean"] != scores.values["stage2/j_mean"]
    assert all(0 <= x <= 1 for x in scores.values.values())
    # A later state of the same phase: nothing is built, and so nothing compiled, anew.
    monkeypatch.setattr(methods, "build", None)
    later = state.replace(step=state.step + 3)
    assert Propagation().score(run, later).values == scores.values


@pytest.mark.parametrize(
    ("encoder", "keys", "stage", "side"),
    [
        # Frames have 80 pixels along their longer side.
        ({"name": "vit_tiny", "patch_size": 16, "depth": 2}, {}, "block2", 80),
        ({"name": "vit_tiny", "patch_size": 14, "depth": 2}, {}, "block2", 84),
        ({"name": "resnet18", "stem": "imagenet"}, {"output_stride": 8}, "stage3", 80),
        ({"name": "resnet18", "stem": "imagenet"}, {"stages": ("stage4",)}, "stage4", 96),
    ],
)
def test_a_map_is_found_and_frames_are_of_whole_places_of_it(
    folder, monkeypatch, encoder, keys, stage, side
):
    run = run_of(folder, monkeypatch, encoder=encoder, view=28 if side == 84 else 32, **keys)
    assert Propagation().stages(run) == (stage,)
    assert Propagation().check(run) == SCORES
    assert following.side_of(run, SHAPE, (stage,)) == side


def test_a_network_of_images_of_one_size_is_told_before_training(folder, monkeypatch):
    run = run_of(folder, monkeypatch, Fixed)
    with pytest.raises(UserError, match="cannot see frames of 80x80 pixels: I know one size"):
        Propagation().check(run)
    run.config.propagation.short_side = 19
    assert Propagation().check(run) == SCORES


def test_a_tracker_that_is_right_is_off_by_its_places_alone(folder, monkeypatch):
    run = run_of(
        folder, monkeypatch, Sure, "video_colorization", split="still", stages=(TRACKER,), top_k=3
    )
    with pytest.raises(UserError, match="does not read top_k=3: leave"):
        Propagation().check(run)
    run.config.propagation.top_k = 0
    assert Propagation().check(run) == SCORES
    opened, open_image = [], data.open_image
    monkeypatch.setattr(
        data, "open_image", lambda *args, **keys: opened.append(1) or open_image(*args, **keys)
    )
    scores = Propagation().score(run, run.experiment.init())
    assert len(opened) == FRAMES
    labels = cv2.imread(str(folder / "Annotations" / "480p" / "still" / "00000.png"), -1)
    pretext = run.experiment.method.pretext
    size, stride = pretext.view.size, pretext.view.size // pretext.places
    # Every so-manieth pixel of a view that shows the whole frame, from the first on.
    down, along = (((np.arange(size) + 0.5) * n / size).astype(int)[::stride] for n in SHAPE)
    shares = np.float32([labels[np.ix_(down, along)] == number for number in (0, *PLACES)])
    at, places = np.arange(size), np.arange(0, size, stride)
    for axis in (1, 2):
        shares = np.apply_along_axis(lambda x: np.interp(at, places, x), axis, shares)
    large = [cv2.resize(x, SHAPE[::-1], interpolation=cv2.INTER_LINEAR) for x in shares]
    said = np.array([0, *PLACES])[np.argmax(large, axis=0)]
    assert scores.values == pytest.approx(expected([said] * FRAMES, [labels] * FRAMES), abs=2e-3)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"dir": ""}, "has no videos: name the folder"),
        ({"split": "broken"}, r"There is no .*unlisted/00000.png: every frame"),
        ({"split": "test"}, "has no list test.txt of videos, but broken, hidden, still, val"),
        ({"split": "hidden"}, "The first mask of hidden shows no object to follow"),
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
