"""Two runs in one workdir: the second is refused while the first lives, and only then."""

import json
import subprocess
import sys
import threading
import time

import pytest

from ssljax.errors import StoppedError, UserError
from ssljax.run import lock


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_BEAT_S", 0.05)
    monkeypatch.setattr(lock, "_DEAD_S", 0.4)
    return tmp_path / "lock.json"


def _write(path, **changes):
    """A lock that another process left."""
    found = {"host": "elsewhere", "process": 17, "start": "5", "since": "yesterday", "beat": 3}
    path.write_text(json.dumps(found | changes))
    return path.read_text()


def test_a_process_that_lives_is_named_and_its_lock_stays(path):
    with lock.hold(path):
        with pytest.raises(UserError, match=r"Process \d+ on .* trains in .* delete .*lock\.json"):
            lock.Lock(path)
        assert path.exists()
    assert not path.exists()
    with lock.hold(path):
        pass


def test_an_error_releases_the_lock(path):
    with pytest.raises(ValueError, match="any"), lock.hold(path):
        raise ValueError("any")
    assert not path.exists()


def test_the_lock_of_a_process_that_is_gone_is_taken_at_once(path, caplog):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with lock.hold(path):
        here = json.loads(path.read_text())
    _write(path, host=here["host"], process=gone.pid)
    with lock.hold(path) as held:
        held.check()
        assert json.loads(path.read_text())["process"] == here["process"]
    assert "is gone" in caplog.text


@pytest.mark.skipif(lock._start_of(1) is None, reason="The kernel does not tell starts.")
def test_another_process_of_the_same_number_is_not_mistaken_for_the_first(path):
    with lock.hold(path):
        here = json.loads(path.read_text())
    _write(path, **here | {"start": "an earlier one"})
    with lock.hold(path) as held:
        held.check()


@pytest.mark.parametrize("left", ["whole", "half"])
def test_elsewhere_a_lock_is_dead_when_nobody_writes_it(path, left):
    text = _write(path)
    path.write_text(text[:20] if left == "half" else text)
    began = time.monotonic()
    with lock.hold(path) as held:
        assert time.monotonic() - began >= 0.4
        held.check()


def test_elsewhere_a_lock_is_alive_while_somebody_writes_it(path):
    _write(path)
    ended = threading.Event()

    def beat():
        beats = 4
        while not ended.wait(0.05):
            _write(path, beat=beats)
            beats += 1

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(UserError, match="Process 17 on elsewhere"):
            lock.Lock(path)
    finally:
        ended.set()
        thread.join()
    assert json.loads(path.read_text())["host"] == "elsewhere"


def test_one_whose_lock_was_taken_stops_and_leaves_it_alone(path):
    held = lock.Lock(path)
    held.check()
    text = _write(path)
    deadline = time.monotonic() + 10
    while held._thread.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(StoppedError, match="Another process has taken"):
        held.check()
    held.release()
    assert path.read_text() == text
