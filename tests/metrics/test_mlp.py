"""The non-linear probe: that it learns what no line separates, and trains as its authors did."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax.metrics import linear, minibatches
from ssljax.metrics.mlp import (
    MlpSettings,
    Perceptron,
    _rates,
    _State,
    _train,
    streamed_mlp_probes,
)

SMALL = MlpSettings(hidden=(16, 16), epochs=12, batch_size=50, step_epochs=(8.0,))


def _xor(rows, seed):
    """Two features whose signs are alike or not; the scale of one is a thousand times greater."""
    x = np.random.default_rng(seed).uniform(-1, 1, (rows, 2))
    return (x * [1e3, 1] + 5).astype(np.float32), (x[:, 0] * x[:, 1] > 0).astype(np.int32)


def probe(train, test, settings=SMALL, scale=1.0, **options):
    """The accuracy on one layer."""
    (x, y), (test_x, test_y) = train, test
    read, read_test = minibatches.reader(x * scale), minibatches.reader(test_x * scale)
    dims = {"x": x.shape[1]}
    return streamed_mlp_probes(
        lambda _: read, y, read_test, test_y, int(y.max()) + 1, dims, settings=settings, **options
    )["x"]


def test_what_no_line_separates_is_learnt(monkeypatch):
    monkeypatch.setattr(linear, "_LEAST_STEPS", 100)
    (x, y), (test_x, test_y) = _xor(600, 0), _xor(400, 1)
    x, test_x = x / [1e3, 1], test_x / [1e3, 1]
    assert linear.linear_probe(x, y, test_x, test_y, 2, epochs=2).accuracy < 0.65
    found = probe((x, y), (test_x, test_y))
    assert found > 0.93
    # One scale of all features is no matter.
    assert probe((x, y), (test_x, test_y), scale=1e3) == pytest.approx(found, abs=0.01)


def test_the_seed_alone_decides():
    train, test = _xor(200, 0), _xor(300, 1)
    short = SMALL._replace(epochs=2)
    assert probe(train, test, short, seed=4) == probe(train, test, short, seed=4)
    assert len({probe(train, test, short, seed=seed) for seed in range(3)}) > 1


def test_labels_at_random_are_not_predicted():
    rng = np.random.default_rng(0)
    (x, _), (test_x, _) = _xor(300, 0), _xor(300, 1)
    train, test = (x, rng.integers(2, size=300)), (test_x, rng.integers(2, size=300))
    assert probe(train, test) < 0.6


def test_every_epoch_reads_its_own_features_and_every_layer_has_a_classifier():
    (x, y), (test_x, test_y) = _xor(100, 0), _xor(40, 1)
    asked = []

    def train(epoch):
        def read(rows, size):
            asked.append((epoch, np.sort(rows)))
            for start in range(0, len(rows), size):
                part = x[rows[start : start + size]]
                yield {"both": part, "label": np.eye(2)[y[rows[start : start + size]]]}

        return read

    def test(rows, size):
        yield {"both": test_x[rows], "label": np.eye(2)[test_y[rows]]}

    dims = {"both": 2, "label": 2}
    found = streamed_mlp_probes(
        train, y, test, test_y, 2, dims, settings=SMALL._replace(epochs=3, batch_size=20)
    )
    assert set(found) == set(dims)
    assert found["label"] == 1.0 > found["both"]
    assert [epoch for epoch, _ in asked] == [0, 1, 2]
    for _, rows in asked:
        np.testing.assert_array_equal(rows, np.arange(100))


def test_steps_are_those_of_sgd_with_nesterov_momentum_and_decay_of_all_parameters():
    """Six steps of softmax regression in float64, the rate five times smaller after four."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 8, 3)), rng.integers(4, size=(6, 8))
    settings = MlpSettings(hidden=(), learning_rate=0.5, step_epochs=(2.0,), weight_decay=0.1)
    network = Perceptron((), 4)
    weights = {"kernel": rng.normal(size=(3, 4)), "bias": rng.normal(size=4)}
    params = {"Dense_0": jax.tree.map(lambda w: jnp.asarray(w, jnp.float32), weights)}
    state = _State(params, {}, jax.tree.map(jnp.zeros_like, params))
    rates = _rates(settings, np.arange(6) / 2)
    found = _train(network, settings, state, x.astype(np.float32), y.astype(np.int32), rates)
    velocity = jax.tree.map(np.zeros_like, weights)
    for step in range(6):
        logits = x[step] @ weights["kernel"] + weights["bias"]
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        residual = (shares - np.eye(4)[y[step]]) / 8
        slopes = {"kernel": x[step].T @ residual, "bias": residual.sum(axis=0)}
        rate = 0.5 if step < 4 else 0.1
        for name in weights:
            slope = slopes[name] + 0.1 * weights[name]
            velocity[name] = 0.9 * velocity[name] + slope
            weights[name] = weights[name] - rate * (slope + 0.9 * velocity[name])
    for name in weights:
        np.testing.assert_allclose(found.params["Dense_0"][name], weights[name], rtol=1e-4)


def test_hidden_layers_are_linear_without_biases_then_batch_norm_then_relu():
    rng = np.random.default_rng(0)
    network = Perceptron((5, 4), 3)
    x = rng.normal(3.0, 1.0, (16, 6))
    variables = network.init(jax.random.key(0), jnp.zeros((1, 6)), False)
    params = variables["params"]
    shapes = jax.tree.map(jnp.shape, params)
    assert {name: shapes[f"Dense_{i}"] for i, name in enumerate("ab")} == {
        "a": {"kernel": (6, 5)},
        "b": {"kernel": (5, 4)},
    }
    assert shapes["Dense_2"] == {"kernel": (4, 3), "bias": (3,)}
    logits, changed = network.apply(
        variables, jnp.asarray(x, jnp.float32), True, mutable=["batch_stats"]
    )
    h = x
    for i in range(2):
        h = h @ np.asarray(params[f"Dense_{i}"]["kernel"], np.float64)
        if i == 0:
            mean = np.asarray(changed["batch_stats"]["BatchNorm_0"]["mean"])
            np.testing.assert_allclose(mean, 0.1 * h.mean(axis=0), rtol=1e-4)
        h = np.maximum((h - h.mean(axis=0)) / np.sqrt(h.var(axis=0) + 1e-5), 0)
    wanted = h @ np.asarray(params["Dense_2"]["kernel"], np.float64)
    np.testing.assert_allclose(logits, wanted, rtol=1e-3, atol=1e-4)


def test_kernels_start_with_the_variance_of_two_over_the_outputs():
    params = Perceptron((400,), 2).init(jax.random.key(0), jnp.zeros((1, 50)), False)["params"]
    assert np.std(params["Dense_0"]["kernel"]) == pytest.approx(np.sqrt(2 / 400), rel=0.02)


def test_the_published_settings_are_the_defaults():
    """As in the authors' file of settings for the maps of conv2 on CIFAR-10."""
    settings = MlpSettings()
    assert settings.hidden == (200, 200)
    assert (settings.epochs, settings.batch_size) == (100, 128)
    assert (settings.momentum, settings.weight_decay) == (0.9, 5e-4)
    rates = {0: 0.1, 19: 0.1, 20: 0.02, 39: 0.02, 40: 0.004, 44: 0.004, 45: 0.0008, 99: 0.0008}
    found = _rates(settings, np.array(list(rates), np.float64))
    np.testing.assert_allclose(found, list(rates.values()), rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (dict(epochs=0), "epochs is 0"),
        (dict(hidden=(3, 0)), r"hidden is \(3, 0\)"),
        (dict(batch_size=1), "two rows"),
    ],
)
def test_what_cannot_be_trained_is_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        probe(_xor(30, 0), _xor(10, 1), SMALL._replace(**wrong))
