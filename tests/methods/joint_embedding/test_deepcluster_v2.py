"""DeepCluster-v2: its memory, its clusterings and what they ask of the crops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from ssljax import optimizers
from ssljax.augment import ViewPolicy
from ssljax.config import file as config_file
from ssljax.methods import passes
from ssljax.methods.contract import Task
from ssljax.methods.joint_embedding.deepcluster_v2 import DeepClusterV2
from ssljax.run.step import init_state, make_step

BATCH, SIZE, DIM, PROTOTYPES, EPOCH = 8, 26, 6, 4, 3
# Each epoch leaves two of the 26 images out.
TASK = Task(
    image_shape=(12, 12, 1),
    batch_size=BATCH,
    total_steps=3 * EPOCH,
    steps_per_epoch=EPOCH,
    num_images=SIZE,
)


def tiny_config(**changes):
    method = DeepClusterV2.default_config()
    for name, size in (("view", 12), ("local_view", 8)):
        method[name] = ConfigDict(dataclasses.asdict(ViewPolicy(size, crop_scale=None)))
    method.update(prototypes=PROTOTYPES, projector_dim=DIM, projector_hidden_dim=32, local_crops=1)
    method.update(changes)
    settings = optimizers.Settings(name="sgd", learning_rate=0.05, weight_decay=0.01)
    return ConfigDict(
        {
            "method": method,
            "model": {"encoder": {"name": "small", "widths": (8,), "dtype": "float32"}},
            "optimizer": dataclasses.asdict(settings),
        }
    )


@pytest.fixture(scope="module", params=[1, 2])
def accumulate(request):
    """Batches that the images of a step lie in."""
    return request.param


@pytest.fixture(scope="module")
def method(accumulate):
    config = tiny_config()
    config.optimizer.accumulate = accumulate
    return DeepClusterV2(config, dataclasses.replace(TASK, batch_size=BATCH // accumulate))


@pytest.fixture(scope="module")
def images():
    coarse = np.random.default_rng(0).integers(0, 256, (SIZE, 4, 4, 1), dtype=np.uint8)
    return np.kron(coarse, np.ones((1, 3, 3, 1), np.uint8))


@pytest.fixture(scope="module")
def index():
    """The places of the images of each step."""
    rng = np.random.default_rng(1)
    epochs = [rng.permutation(SIZE)[: EPOCH * BATCH].reshape(EPOCH, BATCH) for _ in range(3)]
    return np.concatenate(epochs).astype(np.int32)


@pytest.fixture(scope="module")
def run(method, accumulate, images, index):
    """The states before and after each of two epochs' steps, and the metrics of each."""
    step = jax.jit(make_step(method, accumulate))
    states, metrics = [jax.jit(lambda: init_state(method, jax.random.key(0)))()], []
    for number in range(2 * EPOCH):
        places = index[number].reshape(-1, accumulate)
        batch = {"images": {"image": jnp.asarray(images[places]), "index": jnp.asarray(places)}}
        state, values = step(states[-1], batch)
        states.append(state)
        metrics.append(values)
    return states, metrics


@pytest.fixture(scope="module")
def embed(method, accumulate, images, index):
    """Normalised embeddings of a step's crops, (crops, images, dim), as its state makes them."""

    @jax.jit
    def crops(state, number, batch):
        key, _ = jax.random.split(jax.random.fold_in(state.key, state.step))
        views = method.views(jax.random.fold_in(key, number), batch)["crops"]
        outputs, _ = passes.forward_crops(
            method.network, state.params["online"], state.variables["online"], views
        )
        return jnp.stack([output["projection"] for output in outputs])

    def compute(state):
        z = np.zeros((3, BATCH, DIM))
        for number in range(accumulate):
            places = index[int(state.step)][number::accumulate]
            batch = {"images": {"image": jnp.asarray(images[places]), "index": jnp.asarray(places)}}
            z[:, number::accumulate] = crops(state, number, batch)
        return z / np.linalg.norm(z, axis=-1, keepdims=True)

    return compute


def test_defaults_are_the_authors():
    config = DeepClusterV2.default_config()
    assert (config.temperature, config.prototypes, config.clusterings) == (0.1, 3000, 3)
    assert (config.kmeans_iterations, config.clustering_epochs) == (10, 1.0)
    assert (config.projector_hidden_dim, config.projector_dim) == (2048, 128)
    assert (config.view.size, config.view.crop_scale, config.local_crops) == (224, (0.14, 1.0), 6)


@pytest.mark.parametrize("variant", ["", ":2x224"])
def test_imagenet_config_is_the_authors(variant):
    config = config_file.load(f"deepcluster_v2/imagenet{variant}")
    settings = config.optimizer
    assert (settings.name, settings.trust_coefficient, settings.exclude) == ("lars", 0.001, ())
    assert settings.learning_rate * config.batch_size / 256 == pytest.approx(4.8)
    # The epoch that fills the memory is one more.
    assert config.epochs == (401 if variant else 801)
    assert config.method.local_crops == (0 if variant else 6)


def test_first_epoch_moves_no_parameter_and_has_no_loss(run):
    states, metrics = run
    assert [float(values["online/loss"]) for values in metrics[:EPOCH]] == [0.0] * EPOCH
    for before, after in zip(
        jax.tree.leaves(states[0].params), jax.tree.leaves(states[EPOCH].params), strict=True
    ):
        np.testing.assert_array_equal(before, after)
    kernels = [state.params["online"]["projector"]["linear2"]["kernel"] for state in states]
    assert np.any(kernels[EPOCH + 1] != kernels[EPOCH])
    assert float(metrics[EPOCH]["online/loss"]) > 0.0


def test_memory_holds_the_last_embeddings_of_both_large_crops(run, embed, index):
    states, _ = run
    expected = np.zeros((2, SIZE, DIM))
    for number in range(2 * EPOCH):
        np.testing.assert_allclose(states[number].memory["embeddings"], expected, atol=1e-5)
        expected[:, index[number]] = embed(states[number])[:2]


def test_images_are_clustered_at_the_end_of_an_epoch_alone(run):
    states, _ = run
    assignments = [np.asarray(state.memory["assignments"]) for state in states]
    centroids = [np.asarray(state.memory["centroids"]) for state in states]
    assert np.all(assignments[0] == -1)
    for number in range(2 * EPOCH):
        changed = np.any(centroids[number + 1] != centroids[number])
        assert changed == ((number + 1) % EPOCH == 0)
        if not changed:
            np.testing.assert_array_equal(assignments[number + 1], assignments[number])


def test_clusters_are_those_of_spherical_kmeans(run, index):
    """They are a fixed point of Lloyd's passes, on the first and the second crop in turn."""
    states, _ = run
    memory = {name: np.asarray(x) for name, x in states[EPOCH].memory.items()}
    seen = np.isin(np.arange(SIZE), index[:EPOCH])
    assert not seen.all()
    assert np.all(memory["assignments"][:, ~seen] == -1)
    for number in range(3):
        rows, found = memory["embeddings"][number % 2][seen], memory["assignments"][number][seen]
        centroids = memory["centroids"][number].astype(np.float64)
        np.testing.assert_array_equal(found, np.argmax(rows @ centroids.T, axis=1))
        for cluster in np.unique(found):
            mean = rows[found == cluster].mean(axis=0)
            np.testing.assert_allclose(centroids[cluster], mean / np.linalg.norm(mean), atol=1e-4)
    # From seeds of their own.
    assert np.abs(memory["centroids"][0] - memory["centroids"][2]).max() > 1e-3


def test_loss_is_the_mean_over_clusterings_crops_and_images(run, accumulate, embed, index):
    states, metrics = run
    for number in range(EPOCH, 2 * EPOCH):
        z, memory = embed(states[number]), states[number].memory
        terms = [[] for _ in range(accumulate)]
        for centroids, clusters in zip(memory["centroids"], memory["assignments"], strict=True):
            logits = z @ np.asarray(centroids, np.float64).T / 0.1
            for image, cluster in enumerate(np.asarray(clusters)[index[number]]):
                if cluster >= 0:
                    row = logits[:, image]
                    loss = np.log(np.exp(row).sum(axis=1)) - row[:, cluster]
                    terms[image % accumulate].append(loss)
        expected = np.mean([np.mean(batch) for batch in terms])
        np.testing.assert_allclose(metrics[number]["online/loss"], expected, rtol=1e-4)


def test_a_run_that_only_fills_the_memory_is_told():
    task = dataclasses.replace(TASK, total_steps=EPOCH)
    with pytest.raises(ValueError, match="first 3 train steps only fill the memory"):
        DeepClusterV2(tiny_config(), task)


def test_the_schedule_runs_on_while_the_memory_is_filled():
    config = tiny_config()
    config.optimizer.weight_decay = 0.0
    (player,) = DeepClusterV2(config, TASK).players
    ones = {"kernel": jnp.ones(1)}
    state, moved = player.tx.init(ones), []
    for step in range(3 * EPOCH):
        updates, state = player.tx.update(ones, state, ones, step=step)
        moved.append(-float(updates["kernel"][0]))
    momentum, expected = 0.0, []
    for step in range(3 * EPOCH):
        if step < EPOCH:
            expected.append(0.0)
            continue
        momentum = 0.9 * momentum + 1.0
        expected.append(momentum * float(player.schedule(step)))
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-8)


def test_fewer_images_than_clusters_are_told():
    with pytest.raises(ValueError, match="first clustering has 24 images, fewer than prototypes=2"):
        DeepClusterV2(tiny_config(prototypes=25), TASK)
