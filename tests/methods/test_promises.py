"""What every method of the table promises: one curve anywhere, no trace of a stop, no silence.

A method that is added to the table is tested here as it stands in its Fashion-MNIST config, made
tiny, or without one in its CIFAR-10 config for a CPU; those that translate in `TRANSLATORS`, and
those that learn from masks, boxes, several classes an image or clips in `MASKED`, `BOXED`, `TAGGED`
and `FILMED`.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.tree_util import keystr, tree_leaves_with_path
from sharded import collective_sizes
from tiny import BATCH, NARROW, SIDE, STEPS, tiny_config

from ssljax import data, mesh, methods
from ssljax.config import file as config_file
from ssljax.errors import UserError
from ssljax.methods import REGISTRY
from ssljax.methods.contract import Batch, TrainState
from ssljax.methods.protocols import PretextSolver
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.experiment import Experiment
from ssljax.run.feeds import Stream
from ssljax.run.step import init_state
from ssljax.train import compile_step

TAUGHT = {"detect", "distill", "finetune", "multi_label", "one_vs_rest", "segment", "supervised"}
"""Methods with labels, masks, boxes or a teacher, which say nothing of collapse."""

OWN_RATES = {"barlow_twins", "bigbigan", "simsiam"}
"""Methods of which some parameters learn at another rate than the one in the log."""

JUMPS = {"cyclegan": 0.05}
"""Methods whose gradients jump further: after an instance norm flat squares switch as wholes."""


class Steps:
    """A method's step on the first devices, ready to be compiled, and its random batches."""

    def __init__(self, name: str, devices: int, dtype: str = "float32") -> None:
        self.mesh = Mesh(np.array(jax.devices()[:devices]).reshape(-1, 1), mesh.AXES)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mesh, "make_mesh", lambda *_: self.mesh)
            self.experiment = Experiment(tiny_config(name, dtype))
        rng = np.random.default_rng(0)
        # Coarse squares: to an untrained network, all fields of noise look alike.
        channels = self.experiment.config.data.channels
        coarse = rng.integers(0, 256, (4 * BATCH, 4, 4, channels), dtype=np.uint8)
        images = np.kron(coarse, np.ones((1, SIDE // 4, SIDE // 4, 1), np.uint8))
        labels = rng.integers(0, 10, 4 * BATCH, dtype=np.int32)
        if next(iter(methods.feeds(self.experiment.config).values())).unlabelled == "seen":
            labels[BATCH:] = -1
        arrays = {"image": images, "label": labels}
        fields = {x for feed in methods.feeds(self.experiment.config).values() for x in feed.fields}
        if "boxes" in fields:
            corners = rng.integers(0, SIDE // 2, (4 * BATCH, 3, 2))
            sides = rng.integers(6, SIDE // 2, (4 * BATCH, 3, 2))
            kinds = rng.integers(-1, 2, (4 * BATCH, 3, 1))
            rows = np.concatenate([corners, corners + sides, kinds], axis=2).astype(np.float32)
            arrays["boxes"] = np.where(kinds < 0, np.float32(-1), rows)
        if "mask" in fields:
            coarse = rng.integers(-1, 3, (4 * BATCH, 4, 4), dtype=np.int32)
            arrays["mask"] = np.kron(coarse, np.ones((1, SIDE // 4, SIDE // 4), np.int32))
        if "clip" in fields:  # Squares that change places, so that there is something to follow.
            frames = self.experiment.config.data.frames
            moved = [np.roll(images, 4 * n, axis=1 + n % 2) for n in range(frames)]
            arrays["clip"] = np.stack(moved, axis=1)
            arrays["video"] = labels
        if self.experiment.task.label_names:
            arrays["multi_label"] = rng.integers(-1, 2, (4 * BATCH, 3), dtype=np.int32)
        stream = Stream(
            constants=data.put_on_devices(self.mesh, arrays),
            unpack=self.unpack,
            batches=lambda step: self.batch(step),
        )
        self.jitted = compile_step(self.experiment, stream)
        self.arguments = (stream.constants, self.batch(0))

    def unpack(self, constants: data.DeviceCache, places: jax.Array) -> Batch:
        """The batch; the first images of the set are those that are always labelled."""
        others = {"labelled": places % BATCH, "B": (places + BATCH) % (4 * BATCH)}
        return {
            name: data.gather(constants, others.get(name, places))
            for name in methods.feeds(self.experiment.config)
        }

    def batch(self, number: int) -> jax.Array:
        """Places in the set of one step's images."""
        rng = np.random.default_rng(number)
        # No image twice in a batch, as in an epoch.
        batches = [
            rng.permutation(4 * BATCH)[:BATCH] for _ in range(self.experiment.batches_per_step)
        ]
        places = np.stack(batches, axis=1).astype(np.int32)
        return jax.device_put(places, mesh.batch_sharding(self.mesh))

    @functools.cached_property
    def compiled(self) -> Any:
        lowered = self.jitted.lower(self.experiment.abstract_state, *self.arguments)
        return lowered.compile()

    def go(self, state: TrainState, first: int, last: int) -> tuple[TrainState, list[Any]]:
        """Some steps on from a state, which is used up."""
        metrics = []
        for number in range(first, last):
            state, scalars = self.compiled(state, self.arguments[0], self.batch(number))
            metrics.append({name: float(x) for name, x in scalars.items()})
        return state, metrics

    def place(self, state: TrainState) -> TrainState:
        """A copy of a state on the mesh."""
        return jax.device_put(jax.tree.map(jnp.copy, state), self.experiment.shardings)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in REGISTRY],
)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def one(name):
    return Steps(name, 1)


@pytest.fixture(scope="module")
def eight(name):
    return Steps(name, 8)


@pytest.fixture(scope="module")
def start(one):
    return one.experiment.init()


@pytest.fixture(scope="module")
def whole(eight, start):
    """The state at the end of an undisturbed run on eight devices, and each step's metrics."""
    return eight.go(eight.place(start), 0, STEPS)


def arrays(state: TrainState) -> list[tuple[str, np.ndarray]]:
    """Every array of a state by its path, as plain data."""
    plain = state.replace(key=jax.random.key_data(state.key))
    return [(keystr(path), np.asarray(x)) for path, x in tree_leaves_with_path(plain)]


def test_eight_devices_learn_what_one_learns(name, one, eight, start, whole):
    alone, curve = one.go(one.place(start), 0, STEPS)
    together, curve_together = whole
    assert (len(alone.step.devices()), len(together.step.devices())) == (1, 8)
    for number, (expected, found) in enumerate(zip(curve, curve_together, strict=True)):
        assert set(found) == set(expected)
        for metric in expected:
            # One rounding can switch a rectifier, at which a gradient jumps and a loss does not.
            jumps = number > 0 and metric.endswith(("grad_norm", "update_norm"))
            # A mean of cosines is as exact as its terms, which nearly cancel at first.
            rel = JUMPS.get(name, 1e-3) if jumps else 1e-4
            close = pytest.approx(expected[metric], rel=rel, abs=1e-5)
            assert found[metric] == close, f"{metric} of step {number}"
    # For the same reason single weights of later steps may move further.
    alone, _ = one.go(one.place(start), 0, 1)
    together, _ = eight.go(eight.place(start), 0, 1)
    for (path, a), (_, b) in zip(arrays(alone), arrays(together), strict=True):
        # What is 0 but for rounding, such as the gradient of a bias before a batch norm, is
        # compared with the largest of its array, or with 1e-5.
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-4 * np.abs(a).max() + 1e-5, err_msg=path)


def test_resumed_it_ends_bit_for_bit_as_if_it_had_not_stopped(eight, start, whole, tmp_path):
    final, curve = whole
    stop = STEPS // 2
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(stop, eight.go(eight.place(start), 0, stop)[0])
    checkpoints.close()
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.restore(eight.experiment.abstract_state)
    checkpoints.close()
    resumed, rest = eight.go(restored, stop, STEPS)
    assert rest == curve[stop:]
    for (path, a), (_, b) in zip(arrays(final), arrays(resumed), strict=True):
        assert np.array_equal(a, b), path


def test_the_rate_that_is_logged_is_the_one_that_is_used(name, whole):
    """Descent with momentum goes by its buffer times the rate, at the last step of a schedule."""
    if name in OWN_RATES:
        pytest.skip("some parameters have a rate of their own, which the method's tests check")
    final, curve = whole
    for player in final.params:
        buffer = [x for path, x in arrays(final) if f"['{player}']" in path and ".trace" in path]
        assert buffer
        norm = np.sqrt(sum(np.sum(np.square(x, dtype=np.float64)) for x in buffer))
        rate = curve[-1][f"{player}/learning_rate"]
        assert curve[-1][f"{player}/update_norm"] == pytest.approx(rate * norm, rel=1e-4)


def test_the_step_exports_for_accelerators_that_are_not_here(name):
    steps = Steps(name, 8, "bfloat16")
    exported = jax.export.export(steps.jitted, platforms=("tpu", "cuda"))(
        steps.experiment.abstract_state, *steps.arguments
    )
    assert exported.platforms == ("tpu", "cuda")
    assert exported.nr_devices == 8


def test_no_images_travel_between_devices(name, eight, start):
    """Only gradients, statistics and embeddings may cross, and none is as large as a crop."""
    config = eight.experiment.config
    method = config.method
    crop = min((method[key].size for key in method if "view" in key), default=SIDE)
    share_of_a_crop = BATCH // 8 * crop**2 * config.data.channels
    # EBGAN's generator compares all codes of a batch, of 4x4 places and 4 channels.
    embeddings = BATCH * (64 if name == "ebgan" else 3 * NARROW)
    gradients = max(x.size for _, x in arrays(start.replace(memory=())))
    assert max(gradients, embeddings) < share_of_a_crop, "make the networks narrower"
    if name == "cyclegan":  # All devices have one pool of translations, and so all translations.
        embeddings = BATCH * SIDE**2 * config.data.channels
    sizes = collective_sizes(eight.compiled.as_text())
    assert sizes, "no collective at all: the batch is not sharded"
    assert max(sizes) <= max(gradients, embeddings)


def zeros(tree):
    """The tree with zeros for all that is learnt."""
    return jax.tree.map(
        lambda x: jnp.zeros_like(x) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree
    )


def test_scores_are_of_the_network_that_is_named_beside_them(name, one, start):
    method = one.experiment.method
    rng = np.random.default_rng(0)
    shape = (4, *one.experiment.task.image_shape)
    images = jnp.asarray(rng.integers(0, 256, shape, dtype=np.uint8))
    outputs = jax.jit(lambda state: method.features(state, images))
    whole = outputs(start)
    parts = {"memory": start.replace(memory=zeros(start.memory))} | {
        player: start.replace(params=start.params | {player: zeros(start.params[player])})
        for player in start.params
    }
    read = [
        part
        for part, state in parts.items()
        if np.any(outputs(state)["features"] != whole["features"])
    ]
    named = {
        "target encoder": "memory",
        "teacher encoder": "memory",
        "averaged discriminator": "memory",
        "averaged encoder": "memory",
        "encoder": "generator",
        "discriminator": "discriminator",
        "discriminator of A": "discriminators",
    }
    assert read == [named.get(method.evaluated, "online")]
    assert {"stage1", "block1"} & set(whole), "no features layer by layer"


def test_a_pretext_network_is_fine_tuned_on_what_it_was_given(name, one, start):
    """The channels, the tiles or the halves of images that its own features are of."""
    source = one.experiment.method
    if not issubclass(REGISTRY[name], PretextSolver):
        pytest.skip("only methods with a pretext task have inputs of their own")
    config = config_file.load("finetune/cifar10:cpu")
    config.model.encoder = one.experiment.config.model.encoder
    config.method.view.update(size=SIDE, mean=None, std=None)
    task = dataclasses.replace(one.experiment.task, source=source, num_classes=10)
    method = REGISTRY["finetune"](config, task)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (4, *task.image_shape), dtype=np.uint8))

    def both(state):
        fresh = init_state(method, jax.random.key(0))
        started = method.start_from(fresh, source, state)
        return method.features(started, images), source.features(state, images)

    tuned, wanted = jax.jit(both)(start)
    assert set(tuned) == {*wanted, "logits"}
    for layer, x in wanted.items():
        np.testing.assert_allclose(tuned[layer], x, rtol=1e-5, atol=1e-6, err_msg=layer)


def test_images_that_are_not_bytes_are_refused_and_not_taken_for_black(one):
    experiment = one.experiment
    for dtype in (np.float32, np.int32):
        images = jax.ShapeDtypeStruct((2, *experiment.task.image_shape), dtype)
        with pytest.raises(ValueError, match=f"uint8.*{np.dtype(dtype)}"):
            jax.eval_shape(experiment.method.features, experiment.abstract_state, images)


def test_every_method_takes_a_probe_beside_it_and_more_batches_an_update(name):
    config = tiny_config(name)
    config.method.online_probe = True
    config.optimizer.accumulate = 2
    if config.data.labels and next(iter(methods.feeds(config).values())).unlabelled == "seen":
        with pytest.raises(UserError, match="online_probe learns from the labels of all images"):
            Experiment(config)
        return
    experiment = Experiment(config)
    stream = experiment.stream()
    after, metrics = jax.eval_shape(
        compile_step(experiment, stream),
        experiment.abstract_state,
        stream.constants,
        next(stream.batches(0)),
    )
    assert {"probe/loss", "probe/accuracy"} < set(metrics)
    # Two batches an update change neither the state's form nor the scalars'.
    jax.tree.map(
        lambda a, b: np.testing.assert_equal(a.shape, b.shape), after, experiment.abstract_state
    )
    assert {scalar.shape for scalar in metrics.values()} == {()}


def test_collapse_is_said(name, eight, start, whole):
    def of(curve):
        return {key: x for key, x in curve[0].items() if key.endswith("/collapsed")}

    fresh = of(whole[1])
    assert bool(fresh) == (name not in TAUGHT)
    assert all(value == 0.0 for value in fresh.values())

    # Networks without weights give the same for every image.
    dead = start.replace(params=zeros(start.params), memory=zeros(start.memory))
    _, curve = eight.go(eight.place(dead), 0, 1)
    assert of(curve) == dict.fromkeys(fresh, 1.0)
