"""Probes of features: what they are called, at which stages, and how often images are read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from ssljax import config as configs
from ssljax import data, evaluate, main
from ssljax.errors import UserError
from ssljax.evals import REGISTRY, features, linear, streamed
from ssljax.evals import mlp as perceptron
from ssljax.metrics import linear as probe
from ssljax.run import memory

SMALL = {
    "evals__train_split": "train[:120]",
    "evals__test_split": "test[:40]",
    "evals__knn__neighbors": "((5, 0.07),)",
    "evals__linear__epochs": 2,
    "evals__few_label__labels": "(2, 0.1)",
    "evals__few_label__seeds": 2,
    "evals__batch_size": 64,
}
PLAIN = ("knn5", "linear", "labels_2", "labels_2_std", "labels_10pct", "labels_10pct_std")
PROBES = ("knn", "linear", "few_label")


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "_LEAST_STEPS", 20)

    def experiment(**changes):
        config = main.parse(runs.arguments(tmp_path / "run", **(SMALL | changes))).config
        configs.check(config)
        return evaluate.Experiment(config)

    return experiment


def two_stages(state, images):
    """Brightness by quarter, and a single number that says little."""
    pixels = images.astype(jnp.float32) / 255
    corners = pixels.reshape(-1, 2, 4, 2, 4).mean(axis=(2, 4)).reshape(-1, 4)
    return {"features": corners, "mean": corners.mean(axis=1, keepdims=True)}


def test_evaluations_are_registered_by_their_own_names():
    assert all(kind.name == name for name, kind in REGISTRY.items())


def test_scores_of_one_stage_have_plain_names(opened):
    experiment = opened()
    evaluator = evaluate.Evaluator(experiment)
    scores = evaluator.score(experiment.init(), PROBES)
    assert set(scores.values) == set(PLAIN)
    assert not scores.pictures
    assert all(0.1 < scores.values[name] <= 1 for name in ("knn5", "linear"))


def test_all_stages_and_probes_share_one_pass_over_the_images(opened, tmp_path, monkeypatch):
    experiment = opened(evals__stages="features,mean", evals__final=PROBES)
    monkeypatch.setattr(experiment.method, "features", two_stages)
    passes = []
    read = data.Scan._read
    monkeypatch.setattr(data.Scan, "_read", lambda self: passes.append(self) or read(self))
    experiment._may_keep = 0
    evaluator = evaluate.Evaluator(experiment)
    evaluator.check()
    scores = evaluator.score(experiment.init(), PROBES).values
    names = {stage: {f"{stage}/{name}" for name in PLAIN} for stage in ("features", "mean")}
    assert set(scores) == names["features"] | names["mean"]
    assert len(passes) == 2
    assert scores["features/linear"] > scores["mean/linear"] + 0.1
    alone = opened()
    monkeypatch.setattr(alone.method, "features", two_stages)
    plain = evaluate.Evaluator(alone).score(alone.init(), PROBES).values
    assert {name: scores[f"features/{name}"] for name in PLAIN} == plain
    # Raw pixels have no stages: they stand beside each.
    (tmp_path / "run").mkdir()
    table = evaluator.report(experiment.init(), tmp_path / "run")
    pixels = table["raw pixels"]
    assert set(pixels) == set(scores)
    assert all(pixels[f"features/{name}"] == pixels[f"mean/{name}"] for name in PLAIN)
    assert "stage features, mean, at step 0" in (tmp_path / "run" / "scores.md").read_text()


def test_a_streamed_linear_probe_keeps_no_features_and_finds_the_same(opened, monkeypatch):
    asked = dict(evals__stages="stage1,stage2", evals__pool_values=36, evals__linear__holdout=True)
    experiment = opened(**asked)
    kept = evaluate.Evaluator(experiment).score(experiment.init(), ("linear",)).values
    scores = ("linear", "linear_holdout")
    assert set(kept) == {f"{stage}/{name}" for stage in ("stage1", "stage2") for name in scores}
    anew = opened(evals__linear__stream=True, **asked)
    monkeypatch.setattr(linear.features, "scored", None)
    counted = [{"a": np.full((3, 2), i), "b": np.full((3, 1), i)} for i in range(5)]
    joined = list(streamed.regrouped(counted, 4))
    assert [part["a"].shape for part in joined] == [(4, 2), (4, 2), (4, 2), (3, 2)]
    for name in ("a", "b"):
        found = np.concatenate([part[name][:, 0] for part in joined])
        np.testing.assert_array_equal(found, np.repeat(np.arange(5), 3))
    passes = []
    read = streamed.stream
    monkeypatch.setattr(streamed, "stream", lambda *a, **k: passes.append(1) or read(*a, **k))
    found = evaluate.Evaluator(anew).score(anew.init(), ("linear",)).values
    assert found == pytest.approx(kept, abs=0.026)  # One of forty images.
    # Statistics, two fits of 20 steps, the choice, the report: once for both stages.
    assert len(passes) == 2 + 20 + 20 + 1 + 1


def test_a_perceptron_reads_its_own_layers_of_images_altered_anew_in_every_epoch(
    opened, monkeypatch
):
    asked = dict(
        evals__mlp__stages="stage1,stage2",
        evals__mlp__epochs=12,
        evals__mlp__hidden="(16,)",
        evals__mlp__batch_size=40,
        evals__mlp__crop_padding=1,
        evals__mlp__flip_p=0.0,
        evals__final="mlp",
        evals__baselines=False,
    )
    experiment = opened(**asked)
    # Whole maps: four channels of 8x8 places halved once, and eight of 8x8 halved twice.
    layers = perceptron._layers(evaluate.Run(experiment))
    run = evaluate.Run(experiment)
    state = experiment.init()
    assert features.dims(run, state, layers) == {"stage1": 4 * 4 * 4, "stage2": 2 * 2 * 8}
    seen = []
    alter = perceptron._altered
    monkeypatch.setattr(
        perceptron, "_altered", lambda *a: seen.append((a[2], alter(*a))) or seen[-1][1]
    )
    evaluator = evaluate.Evaluator(experiment)
    evaluator.check()
    found = evaluator.score(state, ("mlp",)).values
    assert set(found) == {"stage1/mlp", "stage2/mlp"}
    assert found["stage1/mlp"] > 0.35
    epochs = []
    for epoch in range(3):
        by_place = {}
        for index, images in seen[2 * epoch : 2 * epoch + 2]:
            places = np.asarray(index)
            by_place |= dict(zip(places[places >= 0], np.asarray(images), strict=False))
        assert set(by_place) == set(range(120))
        epochs.append(np.stack([by_place[place] for place in range(120)]))
    assert (epochs[0] != epochs[1]).any(axis=(1, 2, 3)).mean() > 0.8
    first = jax.devices()[:1]
    monkeypatch.setattr(jax, "devices", lambda: first)
    one = opened(**asked)
    assert one.mesh.size == 1
    alone = evaluate.Evaluator(one).score(one.init(), ("mlp",)).values
    assert alone == pytest.approx(found, abs=0.051)  # Two of forty images.


def test_an_image_is_shifted_and_mirrored_and_nothing_else():
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (200, 5, 5, 1), dtype=np.uint8)
    key, places = jax.random.key(0), np.arange(200, dtype=np.int32)
    found = np.asarray(perceptron._altered(key, images, places, 1, 0.5))
    assert found.dtype == np.uint8
    how = []
    for image, altered in zip(images, found, strict=True):
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
        ways = {
            (i, j, flip): padded[i : i + 5, j : j + 5][:, ::flip]
            for i in range(3)
            for j in range(3)
            for flip in (1, -1)
        }
        how.append(next(way for way, wanted in ways.items() if np.array_equal(wanted, altered)))
    assert len(set(how)) == 18
    # An image's draw does not depend on those beside it.
    part = perceptron._altered(key, images[50:58], places[50:58], 1, 0.5)
    np.testing.assert_array_equal(part, found[50:58])
    np.testing.assert_array_equal(perceptron._altered(key, images, places, 0, 0.0), images)


def test_a_perceptron_beside_raw_pixels_and_without_its_stage(opened):
    experiment = opened(evals__mlp__epochs=2, evals__mlp__hidden="(8,)", evals__mlp__batch_size=60)
    scores = perceptron.Mlp().score(evaluate.Run(experiment), None).values
    assert set(scores) == {"mlp"}
    wrong = opened(evals__mlp__stages="stage9", evals__final="mlp")
    with pytest.raises(UserError, match="no stage 'stage9'"):
        evaluate.Evaluator(wrong).check()


def test_a_linear_probe_may_read_more_than_one_place(opened):
    plain, grid = opened(), opened(evals__pool_values=36, evals__stages="stage1")
    images = np.zeros((8, 8, 8, 1), np.uint8)
    run = evaluate.Run(grid)
    read = features.outputs(run, grid.init())(images)["stage1"]
    # Four channels of 4x4 places, on the largest grid of at most 36 values.
    assert read.shape == (8, 3 * 3 * 4)
    assert features.outputs(evaluate.Run(plain), plain.init())(images)["features"].shape == (8, 8)


def test_features_that_are_not_finite_have_no_score(opened, monkeypatch, caplog):
    experiment = opened()
    monkeypatch.setattr(
        experiment.method,
        "features",
        lambda state, images: {"features": jnp.full((len(images), 2), jnp.nan)},
    )
    assert not evaluate.Evaluator(experiment).score(experiment.init(), PROBES).values
    assert sum("Features are not finite" in line for line in caplog.messages) == 3


def test_an_old_key_is_told_with_what_takes_its_place(tmp_path):
    for old, new in {
        "every=3": "its own interval, such as evals.knn.every",
        "during=knn": "its own interval, such as evals.knn.every",
        "stage=stage1": "the nearest is evals.stages",
        "linear_epochs=3": "the nearest is evals.linear.epochs",
        "few_label_seeds=3": "the nearest is evals.few_label.seeds",
        "few_label=(1,)": "a group of them: evals.few_label.every, evals.few_label.labels",
        "knn=((5, 0.1),)": "a group of them: evals.knn.every, evals.knn.neighbors",
    }.items():
        with pytest.raises(UserError, match=new):
            main.parse([*runs.arguments(tmp_path), f"--config.evals.{old}"])


def test_features_that_no_host_holds_are_told_before_training(opened, monkeypatch):
    def check(bytes_an_image, **changes):
        evaluator = evaluate.Evaluator(opened(**changes))
        with monkeypatch.context() as patch:
            patch.setattr(memory, "of_host", lambda: 160 * bytes_an_image)
            evaluator.check()

    # Eight features of 32 bits have 32 bytes, 8x8 grey pixels 64.
    check(64, evals__final="knn")
    with pytest.raises(UserError, match="keep 64 bytes of features of each of 160 images"):
        check(63, evals__final="knn")
    check(32, evals__final="knn", evals__baselines=False)
    with pytest.raises(UserError, match="keep 32 bytes"):
        check(31, evals__final="knn", evals__baselines=False)
    check(31, evals__final="linear", evals__linear__stream=True)
