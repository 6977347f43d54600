"""The evaluation that draws a map: whose places and confusions it has, and where they lie."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import runs

from ssljax import config as configs
from ssljax import evaluate, main, report
from ssljax.errors import UserError

ASKED = {
    "evals__train_split": "train[:120]",
    "evals__test_split": "test[:40]",
    "evals__batch_size": 64,
    "evals__knn__neighbors": "((5, 0.1),)",
    "evals__embedding_map__count": 30,
    "evals__embedding_map__projection": "pca",
}


def opened(tmp_path, **changes):
    config = main.parse(runs.arguments(tmp_path / "run", **(ASKED | changes))).config
    configs.check(config)
    return evaluate.Experiment(config)


def pixels(state, images):
    return {"features": images.astype(jnp.float32).reshape(len(images), -1)}


def test_the_map_is_of_the_drawn_test_images_and_the_confusions_of_all(tmp_path, monkeypatch):
    experiment = opened(tmp_path)
    monkeypatch.setattr(experiment.method, "features", pixels)
    evaluator = evaluate.Evaluator(experiment)
    evaluator.check_scores(("embedding_map",))
    found = evaluator.score(experiment.init(), ("embedding_map",))
    assert not found.values
    note = json.loads(json.dumps(found.notes["embedding_map"]))
    run = evaluate.Run(experiment)
    test, train = (experiment.load(run.open(x).source) for x in ("test[:40]", "train[:120]"))
    drawn = np.sort(np.random.default_rng(0).choice(40, 30, replace=False))
    assert note["labels"] == test["label"][drawn].tolist()
    assert note["classes"] == [str(digit) for digit in range(10)]
    rows = test["image"][drawn].reshape(30, -1).astype(np.float64)
    np.testing.assert_allclose(note["points"], report.plane(rows, "pca"), atol=0.1)
    picture = report.map_picture(
        np.array(note["points"]), test["image"][drawn], test["label"][drawn]
    )
    assert np.mean(picture != found.pictures["embedding_map"]) < 0.01
    # Five neighbours vote with exp(cosine / 0.1), worked out in float64.
    one, other = (x["image"].reshape(len(x["image"]), -1).astype(np.float64) for x in (test, train))
    norms = (np.linalg.norm(x, axis=1, keepdims=True) for x in (one, other))
    cosines = (one / next(norms)) @ (other / next(norms)).T
    wanted = np.zeros((10, 10), int)
    for row, truth in zip(cosines, test["label"], strict=True):
        near = np.argsort(-row)[:5]
        votes = np.bincount(train["label"][near], np.exp(row[near] / 0.1), 10)
        wanted[truth, votes.argmax()] += 1
    assert note["confusion"]["matrix"] == wanted.tolist()
    assert 0 < np.trace(wanted) < 40  # Some are confused, and some are not.


def test_a_stage_that_is_not_there_is_told_before_training(tmp_path):
    experiment = opened(tmp_path, evals__stages="stage9")
    with pytest.raises(UserError, match="no stage 'stage9'"):
        evaluate.Evaluator(experiment).check_scores(("embedding_map",))
