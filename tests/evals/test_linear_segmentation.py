"""Linear segmentation of maps: what windows are seen, what is learnt, and what is counted."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import masked
import numpy as np
import pytest
from jax.sharding import Mesh

from ssljax import evaluate, mesh
from ssljax.config import base_config
from ssljax.errors import UserError
from ssljax.evals import Run, linear_segmentation, masks
from ssljax.evals.linear_segmentation import LinearSegmentation
from ssljax.methods.transfer.finetune import Finetune
from ssljax.run.experiment import Experiment

CLASSES, SIZE, FRAME, VIEW = 3, (12, 16), 16, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return masked.paint(tmp_path_factory.mktemp("masked"), {"train": 12, "test": 11}, SIZE, CLASSES)


def config(folder, method="simclr", **keys):
    made = base_config(method)
    made.batch_size = 8
    made.data.update(name="folder", dir=str(folder), image_size=FRAME, resize="pad")
    made.data.update(mask_classes=CLASSES, void=masked.VOID)
    made.method.view.size = VIEW
    made.model.encoder.update(name="small", widths=(4, 4))
    made.evals.final = ("linear_segmentation",)
    made.evals.linear_segmentation.update(
        steps=60, batch_size=8, learning_rate=0.1, warmup_steps=5, sizes=(1.0,)
    )
    made.evals.linear_segmentation.update(keys)
    return made


def halves_and_nothing(state, images):
    """Means of 2x2 pixels, a map that says nothing, and a vector."""
    pixels = images.astype(jnp.float32)
    assert pixels.shape[1:3] == (VIEW, VIEW)  # Another size would be cut in the centre.
    small = pixels.reshape(len(images), VIEW // 2, 2, VIEW // 2, 2, 3).mean(axis=(2, 4))
    return {"stage1": small, "stage2": jnp.ones_like(small), "features": small[:, 0, 0]}


def truths(folder):
    files = sorted((folder / "test" / "masks").rglob("*.png"))
    return np.stack([cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files])


def test_each_map_is_scored_by_what_a_linear_classifier_of_its_places_can_tell(
    folder, monkeypatch, tmp_path
):
    experiment = Experiment(config(folder))
    monkeypatch.setattr(experiment.method, "features", halves_and_nothing)
    kept, picture = [], masks.picture
    monkeypatch.setattr(
        masks, "picture", lambda run, shown, n: kept.extend(shown) or picture(run, shown, n)
    )
    evaluator = evaluate.Evaluator(experiment)
    evaluator.check()
    table = evaluator.report(experiment.init(), tmp_path)
    found, pixels = table["trained network"], table["raw pixels"]
    names = {
        f"{stage}/linear_{score}"
        for stage in ("stage1", "stage2")
        for score in ("miou", "pixel_accuracy", "class_accuracy")
    }
    assert set(found) == set(pixels) == names
    assert set(LinearSegmentation().check(Run(experiment))) == names
    # A map that says nothing is given the class that most pixels have.
    known = truths(folder)
    share = np.mean(known[known != masked.VOID] == 0)
    assert found["stage2/linear_pixel_accuracy"] == pytest.approx(share)
    assert found["stage2/linear_class_accuracy"] == pytest.approx(1 / CLASSES)
    assert found["stage2/linear_miou"] == pytest.approx(share / CLASSES)
    # The brightness of a pixel is its class, but for the noise; places of 2x2 blur the border.
    assert pixels["stage1/linear_miou"] == pixels["stage2/linear_miou"] > 0.95
    assert share + 0.1 < found["stage1/linear_pixel_accuracy"] < pixels["stage1/linear_miou"]
    pictures = sorted(file.name for file in tmp_path.rglob("*.png"))
    assert pictures == ["linear_segmentation_pixels_0.png", "linear_segmentation_random_0.png"]
    # No probabilities are kept for them: nothing has more axes than a mask.
    assert len(kept) == 3 * masks.SHOWN
    assert max(np.ndim(x) for x in jax.tree.leaves(kept)) == 2
    assert "stage stage1, stage2, at step 0" in (tmp_path / "scores.md").read_text()


def test_windows_cover_the_frame_and_their_logits_are_averaged_where_they_overlap(
    folder, monkeypatch
):
    run = Run(Experiment(config(folder)))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, FRAME, FRAME, 3), np.uint8)
    kernel, at_once = rng.normal(size=(3, CLASSES)), set()

    def maps(state, windows):  # Of a window a pixel says where it is, too.
        at_once.add(windows.shape)
        rows = jnp.arange(VIEW, dtype=jnp.float32)[None, :, None, None]
        return {"stage1": windows.astype(jnp.float32) / 255 + rows / 10}

    params = {
        "norm": {"scale": jnp.ones(3), "bias": jnp.zeros(3)},
        "linear": {
            "classifier": {
                "kernel": jnp.asarray(kernel, jnp.float32)[None, None],
                "bias": jnp.zeros(CLASSES),
            }
        },
    }
    plain = {"batch_stats": {"norm": {"mean": jnp.zeros(3), "var": jnp.ones(3)}}}
    heads = linear_segmentation._Heads({"stage1": params}, {"stage1": plain}, ())
    read = linear_segmentation._reader(run, maps)
    placed = jax.device_put(images, mesh.batch_sharding(run.mesh))
    found = read(None, heads, placed)["stage1"]
    assert found.addressable_shards[0].data.shape == (8 // run.mesh.size, FRAME, FRAME, CLASSES)
    assert at_once == {(8, VIEW, VIEW, 3)}  # One window of each image.
    # Windows begin at 0, 4 and 8: a pixel is in row r, r - 4 or r - 8 of those that show it.
    seen = [[r - top for top in (0, 4, 8) if 0 <= r - top < VIEW] for r in range(FRAME)]
    row = np.array([np.mean(places) for places in seen])
    logits = (images / 255 + row[None, :, None, None] / 10) / np.sqrt(1 + 1e-5) @ kernel
    exp = np.exp(logits)
    np.testing.assert_allclose(found, exp / exp.sum(axis=3, keepdims=True), atol=1e-5)


@pytest.mark.parametrize(
    ("size", "window", "overlap", "corners"),
    [(240, 96, 1 / 3, [0, 48, 96, 144]), (240, 160, 0.5, [0, 80]), (9, 4, 0, [0, 2, 5])],
)
def test_windows_reach_from_border_to_border(size, window, overlap, corners):
    assert linear_segmentation._corners(size, window, overlap) == corners
    assert linear_segmentation._corners(window, window, overlap) == [0]


def test_maps_are_learnt_from_together_on_eight_devices_as_each_alone_on_one(folder, monkeypatch):
    def trained(devices, **keys):
        used = np.array(jax.devices()[:devices]).reshape(-1, 1)
        monkeypatch.setattr(mesh, "make_mesh", lambda *sizes: Mesh(used, mesh.AXES))
        run = Run(Experiment(config(folder, steps=3, sizes=(0.5, 1.0), **keys)))
        assert run.mesh.size == devices
        maps = run.once(
            linear_segmentation._maps, run.experiment.method, linear_segmentation._stages(run)
        )
        return linear_segmentation._train(run, maps, run.experiment.init())

    both = trained(8)
    assert set(both.params) == {"stage1", "stage2"}
    for stage in both.params:
        alone = trained(1, stages=(stage,))
        assert set(alone.params) == {stage}
        for part in ("params", "variables"):
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
                getattr(alone, part)[stage],
                getattr(both, part)[stage],
            )
        assert np.any(np.abs(alone.params[stage]["linear"]["classifier"]["bias"]) > 0.01)


def test_networks_without_maps_are_told(folder, monkeypatch):
    experiment = Experiment(config(folder))
    monkeypatch.setattr(experiment.method, "features", lambda state, images: {"features": images})
    with pytest.raises(UserError, match="no maps of stages"):
        LinearSegmentation().check(Run(experiment))


def test_means_of_maps_over_tiles_are_told(folder, monkeypatch):
    def opened(probe):
        asked = config(folder, "jigsaw")
        asked.method.update(size=14, crop=12, tile=4, permutations=4, probe=probe, probe_size=12)
        return Experiment(asked)

    names = LinearSegmentation().check(Run(opened("whole")))
    assert "stage1/linear_miou" in names
    tiles, tuned = opened("tiles"), Experiment(config(folder))
    task = dataclasses.replace(tuned.task, source=tiles.method, num_classes=2)
    monkeypatch.setattr(tuned, "method", Finetune(config(folder, "finetune"), task))
    for experiment in (tiles, tuned):
        with pytest.raises(UserError, match="The maps of Jigsaw are means over parts"):
            LinearSegmentation().check(Run(experiment))


def test_every_image_comes_once_before_any_comes_again():
    order = linear_segmentation._order(5, 13)
    assert len(order) == 13
    assert sorted(order[:5]) == sorted(order[5:10]) == list(range(5))
    assert list(order[:5]) != list(order[5:10])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.data.update(mask_classes=0), "mask_classes is 0: say how many"),
        (lambda c: c.data.update(resize="short_side"), "'short_side' cuts off"),
        (lambda c: c.evals.linear_segmentation.update(window=17), "window=17 is larger than"),
        (lambda c: c.evals.linear_segmentation.update(stages=("features",)), "no map 'features'"),
        (lambda c: c.evals.linear_segmentation.update(stages=("stage9",)), "stage1, stage2, stem"),
        (lambda c: c.evals.update(name="digits", dir=""), "has no masks, and linear_segmentation"),
    ],
)
def test_what_cannot_be_scored_is_told(folder, change, told):
    asked = config(folder)
    change(asked)
    with pytest.raises(UserError, match=told):
        LinearSegmentation().check(Run(Experiment(asked)))
