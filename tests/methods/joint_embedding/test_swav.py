"""SwAV: its codes, queue and prototypes, against float64 and against the authors' code in words."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from ssljax import methods, optimizers
from ssljax.augment import ViewPolicy
from ssljax.config import file as config_file
from ssljax.methods import passes
from ssljax.methods.contract import Task, Turn
from ssljax.methods.joint_embedding.swav import SwAV
from ssljax.run.step import init_state, make_step

BATCH, WIDTH, DIM, PROTOTYPES, EPOCH = 8, 8, 16, 12, 2
TASK = Task(image_shape=(12, 12, 1), batch_size=BATCH, total_steps=8, steps_per_epoch=EPOCH)
# The queue starts at step 2 and holds two batches: it is full from step 4 on.
QUEUE_START, QUEUE_FULL = 2, 4
RATE, DECAY = 0.02, 0.01


def tiny_config(task=TASK, **changes):
    method = SwAV.default_config()
    for name, size in (("view", 12), ("local_view", 8)):
        policy = ViewPolicy(size, crop_scale=None)
        method[name] = ConfigDict(dataclasses.asdict(policy))
    method.update(
        prototypes=PROTOTYPES,
        projector_dim=DIM,
        projector_hidden_dim=DIM,
        queue_size=2 * task.batch_size,
        queue_start_epoch=QUEUE_START / EPOCH,
        local_crops=1,
    )
    method.update(changes)
    settings = optimizers.Settings(name="sgd", learning_rate=RATE, weight_decay=DECAY)
    return ConfigDict(
        {
            "method": method,
            "model": {"encoder": {"name": "small", "widths": (WIDTH,), "dtype": "float32"}},
            "optimizer": dataclasses.asdict(settings),
        }
    )


def batch(seed, batches=1):
    shape = (BATCH, batches, 12, 12, 1)
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return {"images": {"image": jnp.asarray(images)}}


@pytest.fixture(scope="module")
def method():
    return SwAV(tiny_config(), TASK)


@pytest.fixture(scope="module")
def start(method):
    return jax.jit(lambda: init_state(method, jax.random.key(0)))()


@pytest.fixture(scope="module")
def step(method, start):
    return jax.jit(make_step(method)).lower(start, batch(0)).compile()


@pytest.fixture(scope="module")
def run(start, step):
    """The states before and after each of six steps, and the metrics of each."""
    states, metrics = [start], []
    for number in range(6):
        state, values = step(states[-1], batch(number))
        states.append(state)
        metrics.append(values)
    return states, metrics


@pytest.fixture(scope="module")
def views(method):
    return jax.jit(method.views)(
        jax.random.key(1), {"images": {"image": batch(0)["images"]["image"][:, 0]}}
    )


@pytest.fixture(scope="module")
def gradient(method):
    """((loss, aux), gradient) of a state on given views, as the player computes them."""

    def compute(params, state, views):
        player = method.players[0]
        return jax.value_and_grad(player.loss, has_aux=True)(
            player.project(params), Turn(state, views, jax.random.key(0))
        )

    return jax.jit(compute)


@pytest.fixture(scope="module")
def embed(method):
    """Normalised embeddings of each crop, (crops, batch, dim), in float64."""

    @jax.jit
    def crops(state, views):
        outputs, _ = passes.forward_crops(
            method.network, state.params["online"], state.variables["online"], views
        )
        return jnp.stack([output["projection"] for output in outputs])

    def compute(state, views):
        z = np.asarray(crops(state, views), np.float64)
        return z / np.linalg.norm(z, axis=-1, keepdims=True)

    return compute


def unit_prototypes(state):
    rows = np.asarray(state.params["online"]["prototypes"], np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def sinkhorn(scores, epsilon=0.05, iterations=3):
    """The paper's appendix A: Q has a row for each prototype and a column for each sample."""
    q = np.exp(scores.T / epsilon)
    q /= q.sum()
    for _ in range(iterations):
        q /= q.sum(axis=1, keepdims=True) * q.shape[0]
        q /= q.sum(axis=0, keepdims=True) * q.shape[1]
    return (q * q.shape[1]).T


def codes_of(z, prototypes, queue=None):
    """Codes of crops 0 and 1; with a queue, of its samples first and then the batch's."""
    codes = []
    for crop in (0, 1):
        samples = z[crop] if queue is None else np.concatenate([queue[crop], z[crop]])
        codes.append(sinkhorn(samples @ prototypes.T)[-len(z[crop]) :])
    return codes


def predictions_of(z, prototypes, temperature=0.1):
    logits = z @ prototypes.T / temperature
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def expected_loss(z, prototypes, queue=None):
    codes, predictions = codes_of(z, prototypes, queue), predictions_of(z, prototypes)
    pairs = [(i, v) for i in (0, 1) for v in range(len(z)) if v != i]
    terms = [-np.mean(np.sum(codes[i] * np.log(predictions[v]), axis=1)) for i, v in pairs]
    return np.mean(terms)


def test_defaults_are_the_papers():
    config = SwAV.default_config()
    assert (config.epsilon, config.sinkhorn_iterations, config.temperature) == (0.05, 3, 0.1)
    assert (config.prototypes, config.projector_dim, config.queue_start_epoch) == (3000, 128, 15)
    assert (config.view.size, config.view.crop_scale) == (224, (0.14, 1.0))
    assert (config.local_view.size, config.local_view.crop_scale) == (96, (0.05, 0.14))
    assert config.local_crops == 6


@pytest.mark.parametrize("variant", ["", ":2x224", ":batch256"])
def test_imagenet_config_is_the_papers(variant, monkeypatch):
    monkeypatch.setitem(methods.REGISTRY, "swav", SwAV)
    config = config_file.load(f"swav/imagenet{variant}")
    settings = config.optimizer
    # LARC: nothing is left out, and gradients, not steps, are in the momentum buffer.
    assert (settings.name, settings.trust_coefficient, settings.exclude) == ("lars", 0.001, ())
    assert not settings.classic_momentum
    peak = settings.learning_rate * config.batch_size / 256
    assert peak == pytest.approx(0.6 if variant == ":batch256" else 4.8)
    assert config.method.queue_size == (3840 if variant == ":batch256" else 0)
    assert config.method.local_crops == (0 if variant == ":2x224" else 6)
    assert config.method.view.crop_scale == ((0.08, 1.0) if variant == ":2x224" else (0.14, 1.0))


def test_loss_is_the_papers_in_float64(start, views, gradient, embed):
    (loss, aux), _ = gradient(start.params["online"], start, views)
    z = embed(start, views)
    assert z.shape == (3, BATCH, DIM)
    np.testing.assert_allclose(loss, expected_loss(z, unit_prototypes(start)), rtol=1e-5)
    np.testing.assert_allclose(np.stack(aux.carry["embeddings"]), z[:2], atol=1e-6)
    assert aux.carry["features"].shape == (BATCH, WIDTH)


def test_metrics_show_collapse(start, views, gradient, embed):
    (_, aux), _ = gradient(start.params["online"], start, views)
    z = embed(start, views)
    chosen = np.argmax(z[0] @ unit_prototypes(start).T, axis=1)
    share = np.bincount(chosen) / BATCH
    entropy = -np.sum(share[share > 0] * np.log(share[share > 0]))
    np.testing.assert_allclose(aux.metrics["assignment_entropy"], entropy, rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["embedding_std"], z[0].std(axis=0).mean(), rtol=1e-4)
    assert float(aux.metrics["collapsed"]) == 0.0
    alike = tuple(jnp.broadcast_to(view[:1], view.shape) for view in views)
    (_, aux), _ = gradient(start.params["online"], start, alike)
    assert float(aux.metrics["collapsed"]) == 1.0
    assert float(aux.metrics["assignment_entropy"]) == 0.0


def test_prototypes_get_no_gradient_from_codes_nor_from_their_normalisation(
    start, views, gradient, embed
):
    """Softmax minus code, times embedding: the radial part is there, the codes are constants."""
    _, found = gradient(start.params["online"], start, views)
    z, prototypes = embed(start, views), unit_prototypes(start)
    codes, predictions = codes_of(z, prototypes), predictions_of(z, prototypes)
    pairs = [(i, v) for i in (0, 1) for v in range(len(z)) if v != i]
    expected = sum((predictions[v] - codes[i]).T @ z[v] for i, v in pairs)
    expected /= 0.1 * BATCH * len(pairs)
    np.testing.assert_allclose(found["prototypes"], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(np.sum(expected * prototypes, axis=1)).max() > 1e-2


def test_prototypes_are_normalised_before_the_forward(start, step, run):
    stretch = 1.0 + jnp.arange(PROTOTYPES, dtype=jnp.float32)[:, None]
    stretched = start.params["online"] | {
        "prototypes": start.params["online"]["prototypes"] * stretch
    }
    state, metrics = step(start.replace(params={"online": stretched}), batch(0))
    np.testing.assert_allclose(metrics["online/loss"], run[1][0]["online/loss"], rtol=1e-5)
    # Still frozen: what is left of the step is the projection.
    lengths = np.linalg.norm(state.params["online"]["prototypes"], axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-6)


def test_prototypes_wait_an_epoch_and_then_start_without_momentum(method, run, gradient):
    states, _ = run
    prototypes = [np.asarray(state.params["online"]["prototypes"]) for state in states]
    kernels = [
        np.asarray(s.params["online"]["projector"]["linear2"]["kernel"])
        for s in states[: EPOCH + 1]
    ]
    for now in range(EPOCH):
        np.testing.assert_allclose(prototypes[now + 1], prototypes[0], atol=1e-6)
        assert np.abs(kernels[now + 1] - kernels[now]).max() > 1e-4
    # The first step is plain descent at that step's learning rate: nothing has piled up.
    state = states[EPOCH]
    key, _ = jax.random.split(jax.random.fold_in(state.key, state.step))
    views = jax.jit(method.views)(
        jax.random.fold_in(key, 0), {"images": {"image": batch(EPOCH)["images"]["image"][:, 0]}}
    )
    _, grads = gradient(state.params["online"], state, views)
    rate = RATE * (1 + math.cos(math.pi * EPOCH / TASK.total_steps)) / 2
    moved = prototypes[EPOCH + 1] - prototypes[EPOCH]
    expected = -rate * (np.asarray(grads["prototypes"]) + DECAY * prototypes[EPOCH])
    np.testing.assert_allclose(moved, expected, rtol=1e-3, atol=1e-6)


def test_queue_fills_from_its_epoch_on_and_drops_the_oldest(method, start):
    after_step = jax.jit(lambda state, z: method.after_step(state, {"embeddings": z}))
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(7, 2, BATCH, DIM)).astype(np.float32)
    state = start
    for number in range(7):
        queue = np.asarray(state.memory["queue"])
        kept = range(max(QUEUE_START, number - 2), number)
        expected = np.zeros((2, 2, BATCH, DIM), np.float32)
        for stored in kept:
            expected[:, (stored - QUEUE_START) % 2] = embeddings[stored]
        np.testing.assert_array_equal(queue.reshape(2, 2, BATCH, DIM), expected)
        assert np.all(queue[:, -1] == 0) == (number < QUEUE_FULL)
        state = after_step(state.replace(step=jnp.int32(number)), list(embeddings[number]))


def test_steps_put_their_own_embeddings_into_the_queue(run):
    states, _ = run
    queues = [np.asarray(state.memory["queue"]) for state in states]
    assert not np.any(queues[QUEUE_START])
    for number in range(QUEUE_START + 1, 7):
        stored = min(number - QUEUE_START, 2) * BATCH
        lengths = np.linalg.norm(queues[number], axis=-1)
        np.testing.assert_allclose(lengths[:, :stored], 1.0, atol=1e-5)
        assert not np.any(queues[number][:, stored:])


def test_queue_takes_all_batches_of_an_update_and_is_full_by_train_steps(method, start, embed):
    """It holds two updates of two batches, from step 1 on: step 3 is the first to use it."""
    task = dataclasses.replace(TASK, batch_size=2 * BATCH)
    config = tiny_config(task, queue_start_epoch=1 / EPOCH)
    config.optimizer.accumulate = 2
    parted = SwAV(config, TASK)
    state = start.replace(memory={"queue": jnp.zeros((2, 4 * BATCH, DIM))})
    step = jax.jit(make_step(parted, accumulate=2)).lower(state, batch(0, 2)).compile()
    make_views = jax.jit(method.views)
    queue = np.zeros((2, 2, BATCH, 2, DIM))  # Crops, updates, images of a batch, batches.
    for number in range(5):
        prototypes, losses, embeddings = unit_prototypes(state), [], []
        used = queue.reshape(2, -1, DIM) if number >= 3 else None
        key, _ = jax.random.split(jax.random.fold_in(state.key, state.step))
        for i in (0, 1):
            image = batch(number, 2)["images"]["image"][:, i]
            z = embed(state, make_views(jax.random.fold_in(key, i), {"images": {"image": image}}))
            embeddings.append(z[:2])
            losses.append(expected_loss(z, prototypes, used))
            if used is not None:
                assert abs(losses[-1] / expected_loss(z, prototypes) - 1) > 1e-3
        state, metrics = step(state, batch(number, 2))
        np.testing.assert_allclose(metrics["online/loss"], np.mean(losses), rtol=1e-4)
        if number >= 1:
            queue[:, (number - 1) % 2] = np.stack(embeddings, axis=2)
        np.testing.assert_allclose(
            state.memory["queue"], queue.reshape(2, -1, DIM), atol=1e-5, err_msg=str(number)
        )


@pytest.mark.parametrize("number", [QUEUE_FULL - 1, QUEUE_FULL])
def test_queue_is_used_once_full_under_the_current_prototypes(
    number, start, views, gradient, embed
):
    """The stored rows are embeddings: new prototypes give them new scores."""
    rng = np.random.default_rng(5)
    queue = rng.normal(size=(2, 2 * BATCH, DIM))
    queue /= np.linalg.norm(queue, axis=-1, keepdims=True)
    params = start.params["online"] | {
        "prototypes": jnp.asarray(rng.normal(size=(PROTOTYPES, DIM)), jnp.float32)
    }
    state = start.replace(
        step=jnp.int32(number),
        params={"online": params},
        memory={"queue": jnp.asarray(queue, jnp.float32)},
    )
    (loss, _), _ = gradient(params, state, views)
    z, prototypes = embed(state, views), unit_prototypes(state)
    without = expected_loss(z, prototypes)
    with_queue = expected_loss(z, prototypes, queue)
    assert abs(with_queue / without - 1) > 1e-3
    np.testing.assert_allclose(loss, with_queue if number >= QUEUE_FULL else without, rtol=1e-5)


def test_eight_devices_learn_what_one_learns(method, start, run):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    whole = NamedSharding(mesh, PartitionSpec())
    state = jax.device_put(start, whole)
    batches = [jax.device_put(batch(number), split) for number in range(6)]
    step = jax.jit(make_step(method), out_shardings=(whole, whole)).lower(state, batches[0])
    step = step.compile()
    # No images change their device.
    assert not [name for name in ("all-to-all", "collective-permute(") if name in step.as_text()]
    for number in range(6):
        state, metrics = step(state, batches[number])
        for name in ("online/loss", "online/grad_norm", "online/embedding_std"):
            np.testing.assert_allclose(metrics[name], run[1][number][name], rtol=1e-4)


def test_without_a_queue_nothing_is_stored():
    method = SwAV(tiny_config(queue_size=0), TASK)
    state = jax.eval_shape(lambda: init_state(method, jax.random.key(0)))
    assert state.memory == ()
    assert method.after_step(state, {}) is state


def test_queue_that_batches_do_not_fill_is_told():
    with pytest.raises(ValueError, match="queue_size=20 is not a multiple of the batch of 8"):
        SwAV(tiny_config(queue_size=20), TASK)


def test_features_are_the_online_encoders(method, start):
    images = jax.ShapeDtypeStruct((BATCH, 12, 12, 1), jnp.uint8)
    shapes = jax.eval_shape(method.features, start, images)
    assert shapes["features"].shape == (BATCH, WIDTH)
    assert shapes["stage1"].shape == (BATCH, 6, 6, WIDTH)
    assert shapes["projection"].shape == (BATCH, DIM)
