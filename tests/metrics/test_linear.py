"""The linear probe: what it learns, what it may look at, and what it must not."""

import numpy as np
import pytest

from ssljax.metrics import linear, minibatches
from ssljax.metrics.linear import _held_out, linear_probe, streamed_linear_probes


def _separable(rows, seed, dim=6, classes=3):
    """Classes by the sign pattern of a fixed linear map, on badly scaled features."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, dim))
    weights = np.random.default_rng(7).normal(size=(dim, classes))
    labels = np.argmax(x @ weights, axis=1).astype(np.int32)
    return (x * 10.0 ** np.arange(-3, dim - 3)[None] + 5).astype(np.float32), labels


def test_what_is_linear_is_learnt_whatever_the_scales():
    train, test = _separable(2000, 0), _separable(500, 1)
    result = linear_probe(*train, *test, 3)
    assert result.accuracy > 0.97
    assert result.holdout_accuracy > 0.95


def test_labels_at_random_are_not_predicted():
    (x, y), (test_x, _) = _separable(600, 0), _separable(600, 1)
    rng = np.random.default_rng(3)
    result = linear_probe(
        x, rng.permutation(y), test_x, rng.integers(3, size=600).astype(np.int32), 3
    )
    assert result.accuracy < 0.45


def test_the_choice_does_not_depend_on_the_test_set(monkeypatch):
    monkeypatch.setattr(linear, "_LEAST_STEPS", 100)
    train = _separable(500, 0)
    (test_x, test_y) = _separable(200, 1)
    one = linear_probe(*train, test_x, test_y, 3)
    other = linear_probe(*train, test_x, (test_y + 1) % 3, 3)
    assert one[1:] == other[1:]
    # Predictions are the same too: what is right for one labelling is wrong for the shifted one.
    assert one.accuracy + other.accuracy <= 1.0


def test_the_same_seed_gives_the_same_result(monkeypatch):
    monkeypatch.setattr(linear, "_LEAST_STEPS", 100)
    train, test = _separable(300, 0), _separable(100, 1)
    assert linear_probe(*train, *test, 3, seed=4) == linear_probe(*train, *test, 3, seed=4)


def test_every_class_is_held_out_in_the_same_share():
    labels = np.repeat([0, 1, 2], [100, 50, 2])
    held = _held_out(labels, 0.1, seed=0)
    assert [int(held[labels == c].sum()) for c in range(3)] == [10, 5, 1]


@pytest.mark.parametrize("holdout", [0.0, 1.0])
def test_a_holdout_without_rows_is_refused(holdout):
    train, test = _separable(30, 0), _separable(10, 1)
    with pytest.raises(ValueError, match="holdout"):
        linear_probe(*train, *test, 3, holdout=holdout)


def test_no_epochs_are_refused():
    train, test = _separable(30, 0), _separable(10, 1)
    with pytest.raises(ValueError, match="epochs is -3"):
        linear_probe(*train, *test, 3, epochs=-3)


def test_what_is_streamed_is_learnt_as_from_memory_a_few_batches_at_a_time(monkeypatch):
    """Two layers learn side by side what each learns alone."""
    (x, y), (test_x, test_y) = _separable(600, 0), _separable(100, 1)
    layers = {"all": slice(None), "some": slice(2, 5)}
    wanted = {
        name: linear_probe(x[:, part], y, test_x[:, part], test_y, 3, batch_size=50, epochs=2)
        for name, part in layers.items()
    }
    sizes = []

    def read(features):
        def parts(rows, size):
            for start in range(0, len(rows), size):
                sizes.append(len(rows[start : start + size]))
                read_now = features[rows[start : start + size]]
                yield {name: read_now[:, part] for name, part in layers.items()}

        return parts

    monkeypatch.setattr(minibatches, "_DEVICE_BYTES", 4 * (6 + 3) * 120)
    monkeypatch.setattr(minibatches, "_ROWS_READ", 70)
    found = streamed_linear_probes(read(x), y, read(test_x), test_y, 3, batch_size=50, epochs=2)
    for name in layers:
        assert found[name][1:] == wanted[name][1:]
        assert found[name].accuracy == pytest.approx(wanted[name].accuracy, abs=0.011)
    assert found["all"].accuracy > found["some"].accuracy + 0.1
    assert max(sizes) == 100
