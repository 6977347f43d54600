"""Non-linear probe: a perceptron with hidden layers on frozen features.

Reference: Gidaris, Singh and Komodakis, Unsupervised Representation Learning by Predicting Image
Rotations (arXiv:1803.07728), 2018, section 3.1 and the authors' code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from ssljax.metrics.minibatches import Read, batches, count_right, steps_of_an_epoch

PyTree = Any


class MlpSettings(NamedTuple):
    """How a non-linear probe is trained; the defaults are RotNet's for CIFAR-10.

    Attributes:
      hidden: Units of each hidden layer.
      epochs: Passes over train.
      batch_size: Rows of a step; at most those there are.
      learning_rate: Of SGD with Nesterov's momentum, at the start.
      step_epochs: Epochs after which it is multiplied by `step_factor`.
      step_factor: Above 0.
      momentum: Of SGD.
      weight_decay: L2 in the gradient, of all parameters.
    """

    hidden: tuple[int, ...] = (200, 200)
    epochs: int = 100
    batch_size: int = 128
    learning_rate: float = 0.1
    step_epochs: tuple[float, ...] = (20.0, 40.0, 45.0)
    step_factor: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4


ROTNET = MlpSettings()


class _State(NamedTuple):
    params: PyTree
    variables: PyTree
    velocity: PyTree


class Perceptron(nn.Module):
    """Linear layers without biases, each with batch norm and a ReLU, and a linear classifier.

    Kernels start normal with the variance 2 / outputs, as in the authors' code.

    Attributes:
      hidden: Units of each hidden layer.
      num_classes: Number of classes.
    """

    hidden: tuple[int, ...]
    num_classes: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch dim"], train: bool
    ) -> Float[Array, "batch {self.num_classes}"]:
        """Computes logits.

        Args:
          x: Features.
          train: Whether norms use and update the statistics of the batch.
        """
        start = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        for units in self.hidden:
            x = nn.Dense(units, use_bias=False, kernel_init=start)(x)
            x = nn.relu(nn.BatchNorm(not train, momentum=0.9, use_fast_variance=False)(x))
        return nn.Dense(self.num_classes, kernel_init=start)(x)


def streamed_mlp_probes(
    train: Callable[[int], Read],
    train_y: Int[np.ndarray, "train"],
    test: Read,
    test_y: Int[np.ndarray, "test"],
    num_classes: int,
    dims: Mapping[str, int],
    *,
    settings: MlpSettings = ROTNET,
    seed: int = 0,
) -> dict[str, float]:
    """Trains and scores non-linear classifiers of features that are read whenever they are needed.

    Each layer has a classifier of its own; all of them learn as the features pass. The features are
    taken as they are: the first batch norm takes care of their scale. Nothing is chosen, and what
    is scored is the classifier after the last epoch, while the authors report the best of all
    epochs on the test set.

    Args:
      train: Gives for an epoch, from 0, what reads its features: once an epoch, and images may be
        altered anew in each. The layers have the same names whenever it reads.
      train_y: Their classes in [0, num_classes), each known.
      test: Reads features to report on, once.
      test_y: Their classes, likewise.
      num_classes: Number of classes.
      dims: Features of each layer.
      settings: Of the training.
      seed: Of the first weights and of the order of the batches.

    Returns:
      Top-1 of each layer on test, in [0, 1].

    Raises:
      ValueError: If there is no epoch, no row, a batch of one row, or a hidden layer without units.
    """
    if settings.epochs < 1:
        raise ValueError(f"epochs is {settings.epochs}; it must be 1 or more.")
    if min(settings.hidden, default=1) < 1:
        raise ValueError(f"hidden is {settings.hidden}; each layer must have one unit or more.")
    if min(settings.batch_size, len(train_y)) < 2:
        raise ValueError("Batch norm needs two rows or more in a batch.")
    network = Perceptron(tuple(settings.hidden), num_classes)
    batch_size = settings.batch_size
    steps = steps_of_an_epoch(len(train_y), batch_size)
    key = jax.random.fold_in(jax.random.key(seed), settings.epochs)  # Epochs have those before.
    states = {}
    for layer, dim in dims.items():
        variables = dict(network.init(key, jnp.zeros((1, dim)), False))
        params = variables.pop("params")
        states[layer] = _State(params, variables, jax.tree.map(jnp.zeros_like, params))
    take = jax.jit(functools.partial(_train, network, settings), donate_argnums=0)
    parts = batches(
        train,
        train_y,
        np.arange(len(train_y)),
        dim=sum(dims.values()),
        epochs=settings.epochs,
        batch_size=batch_size,
        seed=seed,
    )
    for features, y, done in parts:
        # However slow the device is, no more than one part waits.
        jax.block_until_ready(states)
        for layer, rows in features.items():
            x = rows.astype(np.float32).reshape(*y.shape, -1)
            states[layer] = take(states[layer], x, y, _rates(settings, done / steps))
    predict = jax.jit(functools.partial(_predict, network))
    hits = count_right(
        lambda layer, rows: predict(states[layer], rows.astype(np.float32)),
        test,
        np.arange(len(test_y)),
        test_y,
    )
    return {layer: float(right[0]) / len(test_y) for layer, right in hits.items()}


def _rates(
    settings: MlpSettings, epochs: Float[np.ndarray, "steps"]
) -> Float32[np.ndarray, "steps"]:
    """The learning rates after so many epochs."""
    passed = np.searchsorted(np.sort(settings.step_epochs), epochs, side="right")
    return (settings.learning_rate * settings.step_factor**passed).astype(np.float32)


def _train(
    network: Perceptron,
    settings: MlpSettings,
    state: _State,
    x: Float[Array | np.ndarray, "steps batch dim"],
    y: Int[Array | np.ndarray, "steps batch"],
    rates: Float[Array | np.ndarray, "steps"],
) -> _State:
    """Takes a step with each of several batches, as PyTorch's SGD does."""

    def loss(params: PyTree, state: _State, x: Array, y: Array) -> tuple[Array, PyTree]:
        variables = {"params": params, **state.variables}
        logits, changed = network.apply(variables, x, True, mutable=["batch_stats"])
        right = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - right), changed

    def step(state: _State, batch: tuple[Array, Array, Array]) -> tuple[_State, None]:
        x, y, rate = batch
        slopes, variables = jax.grad(loss, has_aux=True)(state.params, state, x, y)
        slopes = jax.tree.map(lambda g, w: g + settings.weight_decay * w, slopes, state.params)
        velocity = jax.tree.map(lambda v, g: settings.momentum * v + g, state.velocity, slopes)
        params = jax.tree.map(
            lambda w, g, v: w - rate * (g + settings.momentum * v), state.params, slopes, velocity
        )
        return _State(params, dict(variables), velocity), None

    return jax.lax.scan(step, state, jax.tree.map(jnp.asarray, (x, y, rates)))[0]


def _predict(
    network: Perceptron, state: _State, x: Float[Array | np.ndarray, "rows dim"]
) -> Int[Array, "1 rows"]:
    """The class that is found likeliest for each row."""
    logits: Any = network.apply({"params": state.params, **state.variables}, x, False)
    return jnp.argmax(logits, axis=-1)[None]
