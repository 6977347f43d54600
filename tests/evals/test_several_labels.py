"""Scores of several classes an image: support vector machines, and a method's own ranking."""

import jax.numpy as jnp
import numpy as np
import pytest
import tagged

from ssljax import augment, data
from ssljax import config as configs
from ssljax.config import base_config
from ssljax.errors import UserError
from ssljax.evals import Run, features, multi_label
from ssljax.evals.knn import Knn
from ssljax.evals.mlp import Mlp
from ssljax.evals.multi_label import MultiLabelRanking
from ssljax.evals.svm import Svm
from ssljax.evals.transfer import Transfer
from ssljax.methods.contract import TrainState
from ssljax.metrics import mean_average_precision
from ssljax.metrics.svm import linear_svms
from ssljax.run.experiment import Experiment

STATE = TrainState(0, {}, {}, {}, (), None)
"""What the functions that stand for a network do not look at."""


def settled(method, **changes):
    config = base_config(method)
    config.data.update(name=tagged.NAME, dir=str(tagged.folder(9)), image_size=9, **tagged.KEYS)
    config.batch_size = 8
    config.steps = 2
    config.method.view.size = 9
    config.model.encoder.update(name="small", widths=(4, 6))
    config.evals.batch_size = 16
    config.evals.svm.costs = (0.01, 1.0)
    with config.unlocked():
        for key, value in changes.items():
            group, name = key.split("__")
            config.evals[group][name] = value
    configs.check(config)
    return config


def stripes(state, images):
    """How bright each third is, and a map of it."""
    pixels = images.astype(jnp.float32).reshape(-1, 3, 3, 9, 3)
    return {"features": pixels.mean(axis=(2, 3, 4)), "map": pixels.mean(axis=(2, 4))[..., None]}


@pytest.fixture(scope="module")
def experiment():
    found = Experiment(settled("simclr"))
    found.method.features = stripes
    return found


def arrays(split):
    source = data.open_source(tagged.NAME, split, tagged.folder(9), parts=data.Parts(**tagged.KEYS))
    return data.load_all(source, image_size=9, channels=3)


def test_machines_read_the_features_of_any_encoder(experiment):
    run = Run(experiment)
    run.config.svm.low_shot = (4,)
    evaluation = Svm()
    names = ("svm_map", "svm_map_11", "svm_4_shot")
    assert evaluation.check(run) == names
    found = evaluation.score(run, STATE).values
    assert set(found) == {*names, "svm_4_shot_std"}
    train, test = arrays("train"), arrays("test")
    x = [np.asarray(stripes(None, part["image"])["features"]) for part in (train, test)]
    decisions = linear_svms(x[0], train["multi_label"], x[1], (0.01, 1.0)).decisions
    for name, rule in (("svm_map", "area"), ("svm_map_11", "eleven_points")):
        expected = mean_average_precision(decisions, tagged.truth("test", 20), rule)
        assert found[name] == pytest.approx(expected, abs=1e-6)
    assert found["svm_map"] > 0.95
    pixels = evaluation.score(run, None).values
    assert pixels["svm_map"] > 0.9
    run.config.svm.low_shot = (30,)
    try:
        with pytest.raises(UserError, match="low_shot asks for 30 images, and a class of toy_tags"):
            evaluation.check(run)
    finally:
        run.config.svm.low_shot = ()


def test_machines_learn_one_class_against_the_rest_and_more_than_one_place(experiment):
    run = Run(experiment)
    keys = run.experiment.config.data
    keys.multi_label_key = keys.doubtful_key = ""
    run.config.svm.update(stages=("map", "features"), pool_values=9)
    try:
        assert Svm().check(run)[0] == "map/svm_map"
        found = Svm().score(run, STATE).values
    finally:
        keys.update(tagged.KEYS)
        run.config.svm.update(stages=(), pool_values=9600)
    # Ten classes by the number of the image, of which the pixels say nothing.
    assert set(found) == {
        f"{s}/{n}" for s in ("map", "features") for n in ("svm_map", "svm_map_11")
    }
    assert 0.1 <= found["features/svm_map"] < 0.6


def test_machines_that_no_host_holds_are_told_before_training(experiment, monkeypatch):
    def check(bytes_an_image, told=None, **changes):
        run = Run(experiment)
        monkeypatch.setattr(features.memory, "of_host", lambda: 60 * bytes_an_image)
        before = run.config.copy_and_resolve_references()
        run.config.update(changes)
        try:
            if told is None:
                Svm().check(run)
            else:
                with pytest.raises(UserError, match=told):
                    Svm().check(run)
        finally:
            run.config.update(before)

    # Pixels are 9 x 9 x 3 bytes, and take 24 more each while machines are fitted.
    check(25 * 243)
    check(25 * 243 - 1, r"keep 6075 bytes .* set config\.evals\.baselines=False\.")
    # A map of 9 values and 3 features, of 4 bytes; the map's take 24 more.
    alone = dict(baselines=False, svm=dict(stages=("map", "features"), pool_values=9))
    check(4 * 12 + 24 * 9, **alone)
    check(
        4 * 12 + 24 * 9 - 1, r"keep 264 bytes .* smaller config\.evals\.svm\.pool_values", **alone
    )


@pytest.mark.parametrize("probe", [Mlp, Svm])
def test_a_stage_that_is_not_there_is_told_with_the_key_that_names_it(experiment, probe):
    run = Run(experiment)
    for group, key in ((run.config[probe.name], f"{probe.name}.stages"), (run.config, "stages")):
        before = group.stages
        group.stages = ("nope",)
        try:
            with pytest.raises(UserError, match=rf"no stage 'nope': set config\.evals\.{key} to "):
                probe().check(run)
        finally:
            group.stages = before


def test_a_class_that_no_test_image_shows_is_told(experiment):
    run = Run(experiment)
    run.config.test_split = "test[:1]"
    try:
        with pytest.raises(UserError, match=r"No image of toy_tags/test\[:1\] surely shows"):
            Svm().check(run)
        run.config.update(train_split="train[:3]", test_split="test")
        with pytest.raises(UserError, match=r"Of toy_tags/train\[:3\]: The class '.*' is in"):
            Svm().check(run)
    finally:
        run.config.update(train_split="train", test_split="test")


def test_own_scores_rank_the_images_of_each_class(monkeypatch):
    experiment = Experiment(settled("multi_label", multi_label__crops=3))
    assert experiment.task.label_names == tagged.CLASSES
    run, evaluation = Run(experiment), MultiLabelRanking()
    assert evaluation.check(run) == ("map", "map_11")
    truth, test = tagged.truth("test", 20), arrays("test")["image"]
    seen = []

    def features(state, images):
        seen.append(images.shape)
        return {"label_logits": stripes(state, images)["features"]}

    monkeypatch.setattr(experiment.method, "features", features)
    read = multi_label._logits(run, experiment.method)
    state, index = STATE, np.arange(20, dtype=np.int32)
    mean = np.asarray(read(state, test, index)["label_logits"])
    assert seen == [(20, 9, 9, 3)] * 3
    # A crop does not depend on what stands beside it.
    part = read(state, test[8:16], index[8:16])["label_logits"]
    np.testing.assert_allclose(part, mean[8:16], atol=0.05)  # A crop's pixels are rounded.
    found = evaluation.score(run, state).values
    assert found["map"] == pytest.approx(mean_average_precision(mean, truth), abs=1e-6)
    assert found["map_11"] == pytest.approx(
        mean_average_precision(mean, truth, "eleven_points"), abs=1e-6
    )
    run.config.multi_label.crops = 0
    whole = Run(experiment)
    assert evaluation.score(whole, state).values["map"] == 1
    shares = [(column == 1).sum() / (column >= 0).sum() for column in truth.T]
    assert evaluation.score(run, None).values["map"] == pytest.approx(np.mean(shares))
    experiment.method.label_names = ("ant", "bee", "cat")
    with pytest.raises(UserError, match="head, belly, foot, and the network has learnt ant, bee"):
        evaluation.check(run)


def test_the_whole_image_is_seen_to_its_borders(monkeypatch):
    experiment = Experiment(settled("multi_label"))
    method, run = experiment.method, Run(experiment)
    assert run.config.multi_label.crops == 0

    def features(state, images):
        view = augment.center_view(method.view, images).mean(axis=3)
        sides = view[:, 0], view[:, -1], view[:, :, 0], view[:, :, -1]
        return {"label_logits": jnp.stack([side[:, 2:-2].mean(axis=1) for side in sides], axis=1)}

    monkeypatch.setattr(method, "features", features)
    rng = np.random.default_rng(0)
    # Each side of an image may have a bright border of one pixel.
    images, labels = rng.integers(0, 60, (16, 24, 24, 3), np.uint8), rng.integers(0, 2, (16, 4))
    for image, (top, bottom, left, right) in zip(images, labels, strict=True):
        image[0] += np.uint8(180 * top)
        image[-1] += np.uint8(180 * bottom)
        image[1:-1, 0] += np.uint8(180 * left)
        image[1:-1, -1] += np.uint8(180 * right)
    scores = multi_label._logits(run, method)(STATE, images, np.arange(16))["label_logits"]
    assert mean_average_precision(np.asarray(scores), labels) == 1


def test_crops_of_views_without_crops_are_told():
    config = settled("multi_label", multi_label__crops=10)
    config.method.view.crop_scale = None
    with pytest.raises(UserError, match=r"crops=10 are crops .*crop_scale=None has none: set it"):
        MultiLabelRanking().check(Run(Experiment(config)))


def test_what_has_no_such_scores_is_told(experiment):
    with pytest.raises(UserError, match="'simclr' has no scores of several classes an image"):
        MultiLabelRanking().check(Run(experiment))
    config = settled("multi_label")
    config.data.update(multi_label_key="", doubtful_key="")
    with pytest.raises(UserError, match=r"no field 'multi_label', .* in config\.data\.multi_label"):
        Experiment(config)


def test_probes_on_other_sets_are_those_of_these_sets_alone(experiment):
    digits = ("digits", "train[:80]", "test[:60]")
    evals = experiment.config.evals
    before = evals.copy_and_resolve_references()
    evals.knn.neighbors = ((5, 0.07),)
    evals.transfer.update(sets=(digits, tagged.NAME), probes=("knn", "svm"))
    names = ("knn5", "svm_map", "svm_map_11")
    try:
        assert Transfer().check(Run(experiment)) == tuple(
            f"{name}/{score}" for name in ("digits", tagged.NAME) for score in names
        )
        evals.transfer.probes = ("knn",)
        found = Transfer().score(Run(experiment), STATE).values
        pixels = Transfer().score(Run(experiment), None).values
        own = Knn().score(Run(experiment), STATE).values
        evals.update(name="digits", train_split="train[:80]", test_split="test[:60]")
        keys = experiment.config.data
        keys.multi_label_key = keys.doubtful_key = ""
        other, other_pixels = (Knn().score(Run(experiment), x).values for x in (STATE, None))
        assert found == {"digits/knn5": other["knn5"], f"{tagged.NAME}/knn5": own["knn5"]}
        assert pixels["digits/knn5"] == other_pixels["knn5"] > other["knn5"] > 0.1
        evals.transfer.pixels = False
        assert Transfer().score(Run(experiment), None).values == {}
        nowhere = (("folder", "train", "test", "/nowhere"),)
        for sets, told in (
            ((), "names no data set"),
            (("a", "a"), "names 'a' twice"),
            (nowhere, r"There is no directory /nowhere: .* in config\.evals\.transfer\.sets\.$"),
        ):
            evals.transfer.sets = sets
            with pytest.raises(UserError, match=told):
                Transfer().check(Run(experiment))
    finally:
        experiment.config.data.update(tagged.KEYS)
        experiment.config.evals = before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("transfer.sets", (("digits", "train"),)),
        ("transfer.probes", ("knn", "fid")),
        ("svm.costs", (1.0, 0.0)),
        ("svm.low_shot", (0.5,)),
    ],
)
def test_impossible_values_are_told(key, value):
    group, name = key.split(".")
    with pytest.raises(UserError, match=rf"evals\.{group}\.{name}=.* is impossible"):
        settled("simclr", **{f"{group}__{name}": value})
