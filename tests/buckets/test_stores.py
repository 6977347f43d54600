"""What differs in a bucket: files, the lock, metrics, checkpoints, and what is told of mistakes."""

import io
import json
import logging
import os
import tarfile
import time

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import data, paths
from ssljax.data.sources.tfds import TfdsSource, open_builder
from ssljax.errors import StoppedError, UserError
from ssljax.report import MetricWriter, ScoreSheet
from ssljax.run import hosts, lock, workdir
from ssljax.run.checkpoint import Checkpoints, saved_steps


def test_what_is_written_is_read_and_listed(place):
    assert paths.is_remote(place)
    assert paths.children(place) == []
    paths.write(place / "a.txt", "old")
    paths.write(place / "a.txt", "größer")
    paths.write(place / "folder" / "b", b"\x00\xff")
    assert paths.read(place / "a.txt").decode() == "größer"
    assert paths.read(place / "folder" / "b") == b"\x00\xff"
    assert paths.children(place) == ["a.txt", "folder"]
    assert paths.folders(place) == ["folder"]
    with pytest.raises(FileNotFoundError):
        paths.read(place / "c")


def test_a_file_is_created_only_where_there_is_none(place, caplog):
    paths.create(place / "lock", "first")
    with pytest.raises(FileExistsError):
        paths.create(place / "lock", "second")
    assert paths.read(place / "lock") == b"first"
    assert [record for record in caplog.records if record.name.startswith("ssljax")] == []


def test_a_store_that_knows_no_precondition_is_told_of(place, monkeypatch, caplog):
    files, _ = paths.files(place / "lock")
    put = files.pipe_file

    def without(path, value, mode="overwrite"):
        if mode == "create":
            raise OSError("A header you provided implies functionality that is not implemented")
        return put(path, value)

    monkeypatch.setattr(files, "pipe_file", without)
    with caplog.at_level(logging.WARNING, "ssljax"):
        paths.create(place / "lock", "first")
    assert "of two runs that start there within a second both would train" in caplog.text
    with pytest.raises(FileExistsError):
        paths.create(place / "lock", "second")
    assert paths.read(place / "lock") == b"first"


def test_a_move_takes_all_and_leaves_nothing(place):
    for name in ("old/a", "old/below/b", "older"):
        paths.write(place / name, name)
    paths.move(place / "old", place / "new")
    assert paths.children(place) == ["new", "older"]
    assert paths.read(place / "new" / "below" / "b") == b"old/below/b"


def test_one_run_at_a_time_holds_the_lock(place, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT_S", 0.05)
    with lock.hold(place / "lock.json") as held:
        with pytest.raises(UserError, match=rf"trains in {place}"):
            lock.Lock(place / "lock.json")
        first = json.loads(paths.read(place / "lock.json"))
        while json.loads(paths.read(place / "lock.json"))["beat"] == first["beat"]:
            held.check()
    assert not (place / "lock.json").exists()


def test_one_whose_lock_was_taken_writes_no_metrics_any_more(place, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT_S", 0.05)
    held = lock.Lock(place / "lock.json")
    writer = MetricWriter(place, check=held.check, tensorboard=False)
    writer.write(1, {"loss": 1.0})
    writer.save()
    before = paths.read(place / "metrics.jsonl")
    end = time.monotonic() + 20
    while held._thread.is_alive() and time.monotonic() < end:
        # What is written between the two halves of a beat is written over.
        paths.write(place / "lock.json", json.dumps({"host": "elsewhere", "process": 1}))
        held._thread.join(1)
    with pytest.raises(StoppedError, match="has taken"):
        writer.write(2, {"loss": 1.0})
    with pytest.raises(StoppedError, match="has taken"):
        writer.close()
    held.release()
    assert paths.read(place / "metrics.jsonl") == before
    assert json.loads(paths.read(place / "lock.json"))["host"] == "elsewhere"


def _steps(place):
    return [json.loads(line)["step"] for line in paths.read(place / "metrics.jsonl").splitlines()]


def test_metrics_of_earlier_attempts_stay_and_none_stands_twice(place):
    first = MetricWriter(place)
    for step in (1, 2, 3):
        first.write(step, {"loss": 1 / step})
    first.save()
    first.write(4, {"loss": 0.25})
    first._copied.cleanup()  # It is killed before that is saved.
    first._copied = None
    first.close()
    assert _steps(place) == [1, 2, 3]
    second = MetricWriter(place, start_step=2)
    second.write(3, {"loss": 7.0})
    second.write_pictures(3, {"samples": np.zeros((2, 2, 1), np.uint8)})
    second.close()
    assert _steps(place) == [1, 2, 3]
    assert json.loads(paths.read(place / "metrics.jsonl").splitlines()[-1])["loss"] == 7.0
    assert paths.children(place / "pictures") == ["samples_3.png"]
    events = paths.children(place / "tensorboard")
    assert events
    assert all(b"loss" in paths.read(place / "tensorboard" / name) for name in events)


def test_metrics_are_copied_once_a_minute(place, monkeypatch):
    writer = MetricWriter(place, tensorboard=False)
    writer.write(1, {"loss": 1.0})
    assert not (place / "metrics.jsonl").exists()
    writer._saved -= 61
    writer.write(2, {"loss": 1.0})
    assert _steps(place) == [1, 2]
    writer.close()


def _state(step):
    return {
        "weights": jnp.arange(12.0).reshape(3, 4) + step,
        "half": jnp.full((4,), step, jnp.bfloat16),
        "key": jax.random.key(step),
    }


def _restored(checkpoints, step=None):
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), _state(0)
    )
    state = checkpoints.restore(abstract, step)
    return None if state is None else float(state["weights"][0, 0])


def test_checkpoints_come_back_and_the_newest_and_best_are_kept(place):
    checkpoints = Checkpoints(place, keep=1, best="knn")
    assert _restored(checkpoints) is None
    for step, score in ((1, 0.3), (2, 0.9), (3, 0.5), (4, 0.1)):
        checkpoints.save(step, _state(step), {"knn": score})
    checkpoints.close()
    assert saved_steps(place) == [2, 4]
    again = Checkpoints(place, keep=1, best="knn")
    assert again.steps() == [2, 4]
    assert _restored(again) == 4
    again.save(5, _state(5), {"knn": 0.2})
    again.close()
    assert saved_steps(place) == [2, 5]
    reader = Checkpoints(place, read_only=True)
    assert (_restored(reader), _restored(reader, 2)) == (5, 2)
    with pytest.raises(UserError, match=rf"No checkpoint of step 3 in {place}: there are \[2, 5\]"):
        reader.restore(_state(0), 3)
    reader.close()


def test_a_checkpoint_that_is_copied_to_a_disk_is_restored_there(place, tmp_path):
    checkpoints = Checkpoints(place)
    checkpoints.save(3, _state(3))
    checkpoints.close()
    files, key = paths.files(place)
    for name in files.find(key):
        content, target = files.cat_file(name), tmp_path / name.removeprefix(f"{key}/")
        if name.endswith(".tar"):
            with tarfile.open(fileobj=io.BytesIO(content)) as parts:
                parts.extractall(tmp_path / "3", filter="data")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    here = Checkpoints(tmp_path)
    assert here.steps() == [3]
    assert _restored(here) == 3
    here.close()


def _damage(place, step):
    """Shortens the files in which the arrays of a checkpoint are."""
    files, key = paths.files(place)
    for name in files.find(key):
        if name.startswith(f"{key}/{step}") and (name.endswith(".tar") or "/d/" in name):
            content = files.cat_file(name)
            files.pipe_file(name, content[: len(content) // 2])


def test_a_damaged_checkpoint_is_set_aside_and_its_step_can_be_saved_again(place, caplog):
    checkpoints = Checkpoints(place)
    for step in (1, 2):
        checkpoints.save(step, _state(step))
    checkpoints.close()
    _damage(place, 2)
    reader = Checkpoints(place, read_only=True)
    assert _restored(reader) == 1
    reader.close()
    assert saved_steps(place) == [1, 2]
    again = Checkpoints(place)
    with caplog.at_level(logging.WARNING, "ssljax"):
        assert _restored(again) == 1
    assert f"The checkpoint of step 2 in {place} is damaged" in caplog.text
    assert saved_steps(place) == [1]
    assert any(name.startswith("2.damaged") for name in paths.children(place))
    again.save(2, _state(2))
    again.close()
    assert saved_steps(place) == [1, 2]
    assert any(name.startswith("2.damaged") for name in paths.children(place))


def test_a_store_out_of_reach_is_no_damage(place, monkeypatch):
    checkpoints = Checkpoints(place)
    for step in (1, 2):
        checkpoints.save(step, _state(step))
    checkpoints.wait()

    def refuse(*_, **__):
        raise OSError("Service Unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints._manager, "restore", refuse)
        patch.setattr(paths.files(place)[0], "find", refuse)
        with pytest.raises(UserError, match=rf"{place} cannot be read .*Service Unavailable"):
            _restored(checkpoints)
    assert _restored(checkpoints) == 2
    assert saved_steps(place) == [1, 2]
    checkpoints.close()


def test_a_save_that_was_broken_off_is_no_checkpoint(place):
    checkpoints = Checkpoints(place)
    for step in (1, 2):
        checkpoints.save(step, _state(step))
    checkpoints.close()
    last = {"gs": "2/commit_success.txt", "s3": "2.0-of-1.tar"}[str(place)[:2]]
    paths.remove(place / last)
    if str(place).startswith("s3"):  # Of two processes one was faster.
        paths.write(place / "2.1-of-2.tar", b"half")
    assert saved_steps(place) == [1]
    again = Checkpoints(place)
    assert _restored(again) == 1
    again.save(3, _state(3))
    again.close()
    assert saved_steps(place) == [1, 3]
    assert not any(name.startswith("2") for name in paths.children(place))


def test_a_checkpoint_that_cannot_be_written_is_one_sentence(place, monkeypatch):
    checkpoints = Checkpoints(place)
    checkpoints.save(1, _state(1))
    checkpoints.wait()

    def refuse(*_, **__):
        raise PermissionError("Access Denied")

    if str(place).startswith("s3"):
        monkeypatch.setattr(paths, "upload", refuse)
    else:
        monkeypatch.setattr(type(place), "write_text", refuse)
    checkpoints.save(2, _state(2))
    with pytest.raises(StoppedError) as error:
        checkpoints.wait()
    checkpoints.close()
    told = str(error.value)
    assert f"The checkpoint of step 2 cannot be written to {place}" in told
    assert "Access Denied" in told
    assert "from the checkpoint of step 1" in told


@pytest.mark.parametrize("what", ["bucket", "credentials"])
def test_what_the_store_refuses_is_one_sentence(store, monkeypatch, what):
    def refuse(*_, **__):
        raise PermissionError("Forbidden")

    uri = f"{store}-of-nobody/run" if what == "bucket" else f"{store}/run"
    if what == "credentials":
        monkeypatch.setattr(paths.files(paths.resolve(uri))[0], "find", refuse)
    with pytest.raises(UserError) as error:
        paths.resolve(uri)
    assert str(error.value) == (
        f"{uri} cannot be read or written "
        f"({'there is no such bucket or object' if what == 'bucket' else 'Forbidden'}): check the "
        "name of the bucket, your permission there, and the credentials that this machine has for "
        "it."
    )


def test_scores_of_another_run_are_left(place):
    about = {"step": 1, "network": "a", "stage": "s", "data": "d", "settings": {}}
    sheet = ScoreSheet(about, place / "scores")
    sheet.add("trained network", {"knn": 0.5})
    assert ScoreSheet(about, place / "scores").scores == {"trained network": {"knn": 0.5}}
    assert paths.children(place) == ["scores.json", "scores.md"]


def test_a_folder_of_images_in_a_bucket_is_like_one_on_a_disk(place, tmp_path):
    for number in range(6):
        image = np.full((8, 8), 40 * number, np.uint8)
        content = cv2.imencode(".png", image)[1].tobytes()
        for root in (place, tmp_path):
            file = root / "train" / ("cat" if number % 2 else "dog") / f"{number}.png"
            paths.make_directory(file.parent)
            paths.write(file, content)
    for root in (place, tmp_path):
        for name in (
            "train/readme.txt",
            "train/cat/readme.txt",
            "train/.hidden/7.png",
            "train/cat/.8.png",
            "test/cat/a.png",
        ):
            paths.make_directory((root / name).parent)
            paths.write(root / name, b"")
    there, here = (data.open_source("folder", "train", data_dir=str(x)) for x in (place, tmp_path))
    assert there.contents() == here.contents()
    assert [there.read(i) for i in range(6)] == [here.read(i) for i in range(6)]
    assert there.class_names == here.class_names == ("cat", "dog")
    assert there.summary().partition(" (")[0] == here.summary().partition(" (")[0]
    paths.remove(place / "train" / "cat" / "1.png")
    lost = next(i for i in range(6) if there.describe(i).endswith("cat/1.png"))
    with pytest.raises(UserError, match=rf"{place}/train/cat/1.png cannot be read"):
        there.read(lost)


def test_a_data_set_of_tfds_is_copied_once(place, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data.open_source("digits", "test", data_dir=str(tmp_path))
    # Under a name that TFDS has no code for, as most are.
    for folder, _, files in os.walk(tmp_path / "digits"):
        for name in files:
            content = (tmp_path / folder / name).read_bytes()
            paths.write(place / os.path.relpath(folder, tmp_path) / name, content)
    there = TfdsSource(open_builder("digits", str(place)), "test")
    here = data.open_source("digits", "test", data_dir=str(tmp_path))
    assert there.contents() == here.contents()
    assert there.read(5) == here.read(5)
    paths.remove(place / "digits" / "1.0.0" / "digits-train.array_record-00000-of-00001")
    assert len(TfdsSource(open_builder("digits", str(place)), "train")) == 1400


def test_the_digits_are_not_written_to_a_bucket(place):
    with pytest.raises(UserError, match="written to a disk"):
        data.open_source("digits", "train", data_dir=str(place))


def test_a_workdir_in_a_bucket_needs_no_directories(place):
    workdir.prepare(place)
    hosts.on_first(lambda: paths.write(place / "a", "b"), place)
    assert paths.children(place) == ["a"]
