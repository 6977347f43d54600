"""Pictures of encoders: whose neighbours are shown, and how filters are drawn."""

import jax.numpy as jnp
import numpy as np
import pytest
import runs

from ssljax import config as configs
from ssljax import evaluate, main
from ssljax.errors import UserError
from ssljax.evals.encoder_pictures import draw_filters, first_filters

ASKED = {
    "evals__test_split": "test[:40]",
    "evals__batch_size": 64,
    "evals__stages": "features,halves",
    "evals__encoder_pictures__neighbors": 100,
}


def opened(tmp_path, **changes):
    config = main.parse(runs.arguments(tmp_path / "run", **(ASKED | changes))).config
    configs.check(config)
    return evaluate.Experiment(config)


def pixels(images):
    return np.asarray(images).reshape(len(images), -1).astype(np.float64)


def stages(state, images):
    """The pixels, and those of the upper half alone."""
    x = images.astype(jnp.float32).reshape(len(images), -1)
    return {"features": x, "halves": x[:, : x.shape[1] // 2]}


def cells(picture, columns):
    """The 8-pixel images of a grid with white lines of one pixel."""
    rows = (picture.shape[0] + 1) // 9
    padded = np.pad(picture, [(0, 1), (0, 1), (0, 0)])
    return padded.reshape(rows, 9, columns, 9, -1).swapaxes(1, 2)[:, :, :8, :8]


def test_neighbours_are_the_training_images_at_the_smallest_angle(tmp_path, monkeypatch):
    experiment = opened(tmp_path)
    monkeypatch.setattr(experiment.method, "features", stages)
    evaluator = evaluate.Evaluator(experiment)
    evaluator.check_scores(("encoder_pictures",))
    found = evaluator.score(experiment.init(), ("encoder_pictures",))
    assert not found.values
    assert set(found.pictures) == {"neighbors_features", "neighbors_halves", "filters"}
    run = evaluate.Run(experiment)
    queries = experiment.load(run.open("test[:40]").source)["image"][:8]
    # Which hundred training images are searched depends on the seed of the run.
    places = np.sort(np.random.default_rng(0).choice(len(experiment.source), 100, replace=False))
    searched = experiment.load(experiment.source)["image"][places]
    for name, part in {"features": 64, "halves": 32}.items():
        one, other = pixels(queries)[:, :part], pixels(searched)[:, :part]
        norms = [np.linalg.norm(x, axis=1, keepdims=True) for x in (one, other)]
        cosines = (one / norms[0]) @ (other / norms[1]).T
        near = np.argsort(-cosines, axis=1, kind="stable")[:, :7]
        shown = cells(found.pictures[f"neighbors_{name}"], 8)
        np.testing.assert_array_equal(shown[:, 0], queries)
        angles = np.take_along_axis(cosines, near, axis=1)
        for row in range(8):
            np.testing.assert_array_equal(shown[row, 1:], searched[near[row]], err_msg=angles[row])


def test_filters_are_those_that_see_images():
    kernel = np.zeros((3, 3, 1, 5), np.float32)
    inner = np.zeros((3, 3, 5, 5), np.float32)
    narrow = np.zeros((1, 1, 1, 4), np.float32)
    two = {name: {"stem": {"kernel": kernel}, "next": {"kernel": inner}} for name in ("l", "ab")}
    two["l"]["shortcut"] = {"kernel": narrow, "bias": np.zeros(4, np.float32)}
    head = {"kernel": np.zeros((3, 3, 1, 2), np.float32)}
    assert len(first_filters({"encoder": two, "head": head})) == 2
    assert len(first_filters({"stem": {"kernel": kernel}})) == 1
    assert not first_filters({"encoder": {"patches": {"kernel": np.zeros((48, 8), np.float32)}}})


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_weight_is_as_bright_as_its_share_of_the_filters_largest(channels):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(2, 2, channels, 4)).astype(np.float32)
    kernel[..., 3] = 0.0
    picture = draw_filters(kernel)
    assert picture.shape == (2 * 16 + 2, 2 * 16 + 2, 3)
    for number in range(4):
        top, left = 18 * (number // 2), 18 * (number % 2)
        shown = picture[top : top + 16 : 8, left : left + 16 : 8].astype(np.float64)
        own = kernel[..., number]
        bright = 127.5 * (1 + own / max(np.abs(own).max(), 1e-9))
        wanted = np.full((2, 2, 3), 127.5)
        wanted[..., :channels] = bright
        if channels == 1:
            wanted[...] = bright
        np.testing.assert_allclose(shown, wanted, atol=0.51)


def test_a_stage_that_is_not_there_is_told_before_training(tmp_path):
    experiment = opened(tmp_path, evals__stages="stage9")
    with pytest.raises(UserError, match="no stage 'stage9'"):
        evaluate.Evaluator(experiment).check_scores(("encoder_pictures",))
