"""Checkpoints: whole, damaged, of another model, and onto another mesh."""

import asyncio
import contextlib
import logging
import resource
import shutil
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ssljax import mesh
from ssljax.errors import StoppedError, UserError
from ssljax.methods.contract import TrainState
from ssljax.run import late_writes
from ssljax.run.checkpoint import Checkpoints


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
        with caplog.at_level(logging.WARNING, logger="ssljax.run.checkpoint"):
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


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_state_that_is_not_finite_is_never_saved(tmp_path, broken):
    with contextlib.closing(Checkpoints(tmp_path, keep=1)) as checkpoints:
        checkpoints.save(1, _make(1))
        state = _make(2)
        kernel = state.params["net"]["kernel"].at[7, 3].set(broken)
        nets = {"net": state.params["net"] | {"kernel": kernel}}
        memory = {"queue": state.memory["queue"].at[0, 0].set(broken)}
        for damaged, where in (
            (state.replace(params=nets), "params/net/kernel"),
            (state.replace(memory=memory), "memory/queue"),
        ):
            with pytest.raises(FloatingPointError, match=f"{where} is not finite"):
                checkpoints.save(2, damaged)
        checkpoints.wait()
        assert checkpoints.steps() == [1]
        assert _same(checkpoints.restore(_on(mesh.make_mesh())), _make(1))


def test_one_that_holds_what_is_not_finite_is_set_aside(saved, monkeypatch, caplog):
    state = _make(4)
    with contextlib.closing(Checkpoints(saved, keep=3)) as checkpoints:
        # As a version that did not look at it saved it.
        monkeypatch.setattr("ssljax.run.checkpoint._first_broken", lambda *_: "")
        checkpoints.save(4, state.replace(memory={"queue": state.memory["queue"] * np.inf}))
        monkeypatch.undo()
    with contextlib.closing(Checkpoints(saved, keep=3)) as checkpoints:
        assert _same(checkpoints.restore(_on(mesh.make_mesh())), _make(3))
    assert "step 4" in caplog.text
    assert "memory/queue is not finite" in caplog.text
    assert (saved / "4.damaged").is_dir()


def test_a_checkpoint_that_cannot_be_written_is_told_and_the_one_before_stays(saved):
    (saved / "5.orbax-checkpoint-tmp-1").mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with contextlib.closing(Checkpoints(saved, keep=1)) as checkpoints:
        # The state takes 1.5 MB and does not fit into files of 0.1.
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            checkpoints.save(4, _make(4))
            with pytest.raises(StoppedError) as error:
                checkpoints.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        told = str(error.value)
        assert told.startswith(f"The checkpoint of step 4 cannot be written to {saved}, where")
        assert "MB are free" in told
        assert "go on from the checkpoint of step 3" in told
    with contextlib.closing(Checkpoints(saved, keep=1)) as checkpoints:
        assert checkpoints.steps() == [2, 3]
        assert _same(checkpoints.restore(_on(mesh.make_mesh())), _make(3))
        # Writes of the failed save may have made files again: the next save removes them.
        checkpoints.save(4, _make(4))
    assert [path.name for path in saved.iterdir()] == ["4"]


def test_what_a_late_write_has_filled_again_is_removed_by_a_further_attempt(saved, monkeypatch):
    unfinished = saved / "9.orbax-checkpoint-tmp"
    unfinished.mkdir()
    remove, attempts = shutil.rmtree, []

    def remove_and_be_written_to(path, **options):
        remove(path, **options)
        if path == unfinished and len(attempts) < 2:
            attempts.append(path)
            path.mkdir()

    monkeypatch.setattr(shutil, "rmtree", remove_and_be_written_to)
    with contextlib.closing(Checkpoints(saved, keep=1)) as checkpoints:
        checkpoints.save(4, _make(4))
    assert len(attempts) == 2
    assert [path.name for path in saved.iterdir()] == ["4"]


def test_a_reader_changes_nothing(saved, caplog):
    _truncate(_largest_file(saved / "3"))
    (saved / "4.orbax-checkpoint-tmp-1").mkdir()
    before = sorted(str(path) for path in saved.rglob("*"))
    with contextlib.closing(Checkpoints(saved, read_only=True)) as checkpoints:
        assert _same(checkpoints.restore(_on(mesh.make_mesh())), _make(2))
    assert sorted(str(path) for path in saved.rglob("*")) == before
    with contextlib.closing(Checkpoints(saved / "none", read_only=True)) as checkpoints:
        assert checkpoints.steps() == []
        assert checkpoints.restore(_on(mesh.make_mesh())) is None
    assert not (saved / "none").exists()


def test_late_writes_are_passed_over_and_all_other_errors_told(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: told.append(error[1]))
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_value))
    late_writes.pass_over()
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed") as raised:
        loop.call_soon_threadsafe(print)
    # As a thread that is not Python's sees it, and as a program does.
    late, own = raised.tb.tb_next, raised.tb
    for trace, error in ((late, raised.value), (own, raised.value), (late, RuntimeError("other"))):
        told.clear()
        sys.excepthook(RuntimeError, error, trace)
        sys.unraisablehook(types.SimpleNamespace(exc_value=error, exc_traceback=trace))
        assert told == ([] if (trace, error) == (late, raised.value) else [error, error])
