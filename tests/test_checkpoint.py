"""Checkpoints: whole, damaged, of another model, and onto another mesh."""

import contextlib
import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssljax import mesh
from ssljax.checkpoint import Checkpoints
from ssljax.errors import UserError
from ssljax.methods.contract import TrainState


def _make(step: int = 0, width: int = 512) -> TrainState:
    params = {"net": {"kernel": jnp.arange(256.0 * width).reshape(256, width), "bias": jnp.ones(3)}}
    tx = optax.adam(1e-3)
    return TrainState(
        step=jnp.full((), step, jnp.int32),
        params=params,
        variables={"net": {}},
        opt_state={"net": tx.init(params["net"])},
        memory={"queue": jnp.full((4, 2), step, jnp.bfloat16)},
        key=jax.random.key(3),
    )


def _on(devices: mesh.Mesh, width: int = 512) -> TrainState:
    """What `_make` makes, as shapes placed on a mesh."""
    shapes = jax.eval_shape(lambda: _make(width=width))
    return jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
        shapes,
        mesh.state_shardings(devices, shapes),
    )


@pytest.fixture
def saved(tmp_path):
    """A directory with the checkpoints of steps 1 to 3, of which the last two are kept."""
    with contextlib.closing(Checkpoints(tmp_path, keep=2)) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, _make(step))
    return tmp_path


def _same(a: TrainState, b: TrainState) -> bool:
    leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    as_data = (
        (jax.random.key_data(x), jax.random.key_data(y))
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        else (x, y)
        for x, y in leaves
    )
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(np.asarray(x), np.asarray(y)) for x, y in as_data
    )


@pytest.mark.parametrize("sizes", [(8, 1), (2, 4), (1, 8)])
def test_the_newest_is_restored_bit_for_bit_onto_any_mesh(saved, sizes):
    wanted = _on(mesh.make_mesh(*sizes))
    with contextlib.closing(Checkpoints(saved, keep=2)) as checkpoints:
        assert checkpoints.steps() == [2, 3]
        state = checkpoints.restore(wanted)
    assert _same(state, _make(3))
    kernel = state.params["net"]["kernel"]
    assert kernel.sharding == wanted.params["net"]["kernel"].sharding


def test_without_checkpoints_there_is_nothing_to_restore(tmp_path):
    with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
        assert checkpoints.restore(_on(mesh.make_mesh())) is None


def test_the_best_by_a_score_is_kept_beside_the_newest(tmp_path):
    with contextlib.closing(Checkpoints(tmp_path, keep=1, best="knn20")) as checkpoints:
        for step, score in ((1, 0.5), (2, 0.9), (3, 0.7), (4, None)):
            checkpoints.save(step, _make(step), None if score is None else {"knn20": score})
        checkpoints.wait()
        assert checkpoints.steps() == [2, 4]


def _largest_file(directory):
    files = [path for path in directory.rglob("*") if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size)


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def _empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_truncate, _flip_a_byte, _empty, lambda path: path.unlink()])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(saved, damage, caplog):
    damage(_largest_file(saved / "3"))
    with contextlib.closing(Checkpoints(saved, keep=2)) as checkpoints:
        with caplog.at_level(logging.WARNING, logger="ssljax.checkpoint"):
            state = checkpoints.restore(_on(mesh.make_mesh()))
        assert _same(state, _make(2))
        assert "checkpoint of step 3" in caplog.text
        assert (saved / "3.damaged").is_dir()
        # The step can be saved again.
        checkpoints.save(3, _make(3))
        checkpoints.wait()
        assert _same(checkpoints.restore(_on(mesh.make_mesh())), _make(3))


def test_a_half_written_checkpoint_does_not_count(saved):
    (saved / "4.orbax-checkpoint-tmp-1").mkdir()
    with contextlib.closing(Checkpoints(saved)) as checkpoints:
        assert checkpoints.steps() == [2, 3]


def test_when_all_are_damaged_none_is_touched(saved):
    for step in ("2", "3"):
        _truncate(_largest_file(saved / step))
    with (
        contextlib.closing(Checkpoints(saved)) as checkpoints,
        pytest.raises(UserError, match=r"No checkpoint .* can be read \(damaged: \[3, 2\]\)"),
    ):
        checkpoints.restore(_on(mesh.make_mesh()))
    assert sorted(path.name for path in saved.iterdir() if path.is_dir()) == ["2", "3"]


def test_a_checkpoint_of_another_model_is_told_by_its_first_difference(saved):
    with (
        contextlib.closing(Checkpoints(saved)) as checkpoints,
        pytest.raises(
            UserError, match=r"another model: .*kernel is \(256, 512\) there and \(256, 64\)"
        ),
    ):
        checkpoints.restore(_on(mesh.make_mesh(), width=64))


def test_a_step_that_was_not_saved_is_refused(saved):
    with (
        contextlib.closing(Checkpoints(saved)) as checkpoints,
        pytest.raises(UserError, match=r"No checkpoint of step 7 .* there are \[2, 3\]"),
    ):
        checkpoints.restore(_on(mesh.make_mesh()), step=7)
