"""Fine-tuning: what is taken from a pretrained run, what is learnt, and what does not fit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import methods
from ssljax.config import file as config_file
from ssljax.methods import probe
from ssljax.methods.contract import Task
from ssljax.methods.joint_embedding.dino import DINO
from ssljax.methods.joint_embedding.simclr import SimCLR
from ssljax.methods.transfer.finetune import Finetune
from ssljax.run.step import init_state, make_step


def flat(tree):
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in leaves}


@pytest.fixture(scope="module")
def source(tiny, first_steps):
    """SimCLR with a head of two layers, and its state after three steps."""
    method, states, _ = first_steps(SimCLR)
    return method, states[-1]


@pytest.fixture(scope="module")
def method(tiny):
    return tiny.build(Finetune)


@pytest.fixture(scope="module")
def start(tiny, method, source):
    return tiny.jit(lambda s, t: method.start_from(s, source[0], t))(tiny.init(method), source[1])


def test_encoder_and_first_head_layer_are_the_sources_and_the_rest_is_new(
    tiny, method, start, source
):
    untrained = tiny.init(method)
    for own, fresh, given in (
        (start.params["online"], untrained.params["online"], source[1].params["online"]),
        (start.variables["online"], untrained.variables["online"], source[1].variables["online"]),
    ):
        own, fresh, given = flat(own), flat(fresh), flat(given)
        assert own.keys() == fresh.keys()
        taken = {path for path in own if "encoder/" in path or "projector/" in path}
        assert taken
        assert {path for path in given if "encoder/" in path} <= taken
        for path, leaf in own.items():
            np.testing.assert_array_equal(leaf, (given if path in taken else fresh)[path])
        for path in own.keys() - taken:
            assert not np.any(own[path]), "the classifier starts at zero"
    assert {p.split("/")[1] for p in flat(start.params["online"]) if p.startswith("projector")} == {
        "linear1",
        "norm1",
    }
    assert int(start.step) == 0
    assert jax.tree.structure(start) == jax.tree.structure(untrained)


def test_from_the_features_no_layer_of_the_head_is_taken(tiny, source):
    method = tiny.build(Finetune, from_layer=0)
    started = method.start_from(tiny.init(method), *source)
    assert started.params["online"].keys() == {"encoder", "classifier"}
    images = tiny.batch(0)["images"]["image"][:, 0]
    ours = method.features(started, images)
    theirs = source[0].features(source[1], images)
    np.testing.assert_array_equal(ours["features"], theirs["features"])


def test_from_scratch_nothing_is_taken(tiny, source):
    method = tiny.build(Finetune, from_scratch=True)
    assert method.start_from(state := tiny.init(method), *source) is state


def test_of_dino_the_teacher_is_taken(tiny):
    sizes = dict(out_dim=12, bottleneck_dim=8, local_crops=0, weight_decay_end=0.0)
    dino = tiny.build(DINO, **sizes)
    trained = tiny.init(dino)
    teacher = jax.tree.map(lambda x: 2 * x + 1, trained.memory["teacher"])
    trained = trained.replace(memory=trained.memory | {"teacher": teacher})
    method = tiny.build(Finetune, from_layer=0)
    started = method.start_from(tiny.init(method), dino, trained)
    images = tiny.batch(0)["images"]["image"][:, 0]
    ours = method.features(started, images)["features"]
    np.testing.assert_allclose(ours, dino.features(trained, images)["features"], rtol=1e-5)
    student = trained.replace(memory=tiny.init(dino).memory)
    assert not np.allclose(ours, dino.features(student, images)["features"], rtol=1e-2)


def test_with_an_online_probe_it_starts_alike(tiny, method, start, source):
    probed = tiny.build(Finetune)
    probed.players = (*probed.players, probe.player(probed, tiny.task))
    started = probed.start_from(tiny.init(probed), *source)
    for path, leaf in flat(start.params["online"]).items():
        np.testing.assert_array_equal(leaf, flat(started.params["online"])[path])
    assert "probe" in started.params


def test_from_a_fine_tuned_network_all_but_its_classifier_is_taken(tiny, method, start):
    classes = jax.tree.map(lambda x: x + 1, start.params["online"]["classifier"])
    tuned = start.replace(params={"online": start.params["online"] | {"classifier": classes}})
    again = method.start_from(tiny.init(method), method, tuned)
    for path, leaf in flat(again.params["online"]).items():
        np.testing.assert_array_equal(leaf, flat(start.params["online"])[path])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(head_dim=5), r"projector/linear1/kernel is \(16, 16\) there and \(16, 5\) here"),
        (dict(from_layer=2), "projector/norm2/bias is absent there"),
    ],
)
def test_a_head_that_does_not_fit_is_told(tiny, source, changes, told):
    method = tiny.build(Finetune, **changes)
    with pytest.raises(ValueError, match=told):
        method.start_from(tiny.init(method), *source)


@pytest.mark.parametrize(
    ("widths", "told"),
    [
        ((8, 12), r"encoder/stage2_conv1/kernel is \(3, 3, 8, 16\) there and \(3, 3, 8, 12\) here"),
        ((8,), r"encoder/stage2_conv1/kernel is .* there and absent here"),
        ((8, 16, 16), r"encoder/stage3_conv1/kernel is absent there"),
    ],
)
def test_an_encoder_that_does_not_fit_is_told(tiny, source, widths, told):
    config = tiny.config(Finetune, from_layer=0)
    config.model.encoder.widths = widths
    method = Finetune(config, tiny.task)
    with pytest.raises(ValueError, match=told):
        method.start_from(tiny.init(method), *source)


def test_other_methods_start_from_nothing(tiny, source):
    with pytest.raises(ValueError, match="SimCLR cannot start from another run"):
        source[0].start_from(source[1], *source)


def test_without_labels_there_is_nothing_to_learn(tiny):
    with pytest.raises(ValueError, match="needs a data set with labels"):
        Finetune(tiny.config(Finetune), dataclasses.replace(tiny.task, num_classes=None))


def test_the_loss_is_the_cross_entropy_in_training_mode(tiny, method, start):
    rng = np.random.default_rng(0)
    kernel = jnp.asarray(rng.normal(size=(16, 3)), jnp.float32)
    params = start.params["online"] | {"classifier": {"kernel": kernel, "bias": jnp.arange(3.0)}}
    moved = start.replace(params={"online": params})
    views = {"image": tiny.views()[0], "label": tiny.batch(0)["images"]["label"][:, 0]}
    value, aux = tiny.loss(method, moved, views)
    outputs, variables = tiny.outputs(
        method.network, params, start.variables["online"], views["image"]
    )
    logits = np.asarray(outputs["projector1"], np.float64) @ np.asarray(kernel) + np.arange(3)
    labels = np.asarray(views["label"])
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.mean(np.log(chances[np.arange(16), labels]))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert float(aux.metrics["accuracy"]) == np.mean(logits.argmax(axis=1) == labels)
    np.testing.assert_allclose(
        flat(aux.variables)["batch_stats/encoder/stem_norm/mean"],
        flat(variables)["batch_stats/encoder/stem_norm/mean"],
        rtol=1e-6,
    )


def test_it_learns_classes_that_can_be_told_apart(tiny):
    """Bright, dark and striped images: 12 labelled ones, and others to be judged on."""

    def images(seed):
        rng = np.random.default_rng(seed)
        labels = np.arange(16) % 3
        means = np.stack([np.full((8, 8), 200), np.full((8, 8), 50), np.full((8, 8), 50)])
        means[2, ::2] = 200
        pixels = means[labels] + rng.normal(0, 15, (16, 8, 8))
        return jnp.asarray(pixels.clip(0, 255).astype(np.uint8)[..., None]), labels

    config = tiny.config(Finetune)
    config.optimizer.update(name="adamw", learning_rate=0.01)
    method = Finetune(config, dataclasses.replace(tiny.task, total_steps=60))
    now, step = tiny.init(method), tiny.jit(make_step(method))
    train, labels = images(0)
    labels = jnp.asarray(labels, jnp.int32)[:, None]
    batch = {"images": {"image": train[:, None], "label": labels}}
    for _ in range(60):
        now, metrics = step(now, batch)
    test, labels = images(1)
    found = np.argmax(method.features(now, test)["logits"], axis=1)
    assert np.mean(found == labels) > 0.9
    assert float(metrics["online/accuracy"]) > 0.9


@pytest.mark.parametrize("name", ["finetune", "distill"])
def test_the_papers_optimizer_leaves_classifier_norms_and_biases_alone(name):
    """LARS with an exclude pattern that matches nothing raises; here each one must match."""
    config = config_file.load(f"{name}/imagenet")
    config.model.encoder.update(name="small", widths=(8, 16))
    config.method.view.size = 8
    task = Task((8, 8, 3), config.batch_size, 1000, 50, num_classes=3)
    teacher = methods.REGISTRY["finetune"].default_config()
    if name == "distill":
        teacher.view.size = 8
        source = config.copy_and_resolve_references()
        with source.unlocked():
            source.method = teacher
        task = dataclasses.replace(task, source=Finetune(source, task))
    method = methods.build(config, task)
    peak = {"finetune": 0.16, "distill": 6.4}[name]
    player = method.players[0]
    assert max(float(player.schedule(step)) for step in range(0, 1001, 50)) == pytest.approx(peak)
    now = init_state(method, jax.random.key(0))
    params = now.params["online"]
    updates, opt_state = None, now.opt_state["online"]
    for step in range(3):  # The first one may be at rate 0.
        grads = jax.tree.map(jnp.ones_like, params)
        updates, opt_state = player.tx.update(grads, opt_state, params, step=step)
    steps = {path: float(jnp.linalg.norm(x.reshape(-1))) for path, x in flat(updates).items()}
    # Without a trust ratio each element moves alike; with one, by a share of the kernel's norm.
    plain = {p: s / np.sqrt(flat(params)[p].size) for p, s in steps.items()}
    excluded = {p for p in plain if p.startswith("classifier/") or p.endswith(("bias", "scale"))}
    rates = [plain[p] for p in excluded]
    np.testing.assert_allclose(rates, rates[0], rtol=1e-5)
    assert all(plain[p] < 0.5 * rates[0] for p in plain.keys() - excluded)
