"""Several processes: how they join, and what is told where they cannot."""

import errno

import jax
import numpy as np
import pytest
import runs

from ssljax.errors import StoppedError, UserError
from ssljax.run import hosts


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (("localhost:1234", "", ""), "JAX_NUM_PROCESSES, JAX_PROCESS_ID is not"),
        (("localhost", "2", "1"), "JAX_COORDINATOR_ADDRESS=localhost must be host:port"),
        (("localhost:1234", "2", "2"), "JAX_PROCESS_ID=2 from 0 to JAX_NUM_PROCESSES=2 less 1"),
        (("localhost:1234", "two", "1"), "do not fit together"),
        # Port 9 is that of a service that no machine runs any more.
        (("localhost:9", "2", "1"), "cannot be joined at localhost:9 (Connection refused)"),
    ],
)
def test_processes_that_cannot_be_joined_are_told(monkeypatch, variables, told):
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    for name, value in zip(names, variables, strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(hosts, "_JOIN_S", 0)
    with pytest.raises(UserError) as error:
        hosts.start()
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("options", "environment", "told"),
    [
        (["--distributed"], {}, "--distributed finds no cluster that JAX knows"),
        ([], {"JAX_PLATFORMS": "abacus"}, "no device with JAX_PLATFORMS='abacus'"),
    ],
)
def test_a_cluster_or_platform_that_is_not_there_is_one_sentence(
    tmp_path, options, environment, told
):
    process = runs.start([*runs.arguments(tmp_path / "run"), *options], **environment)
    output = runs.finish(process, status=2)
    assert output.startswith("ssljax: ")
    assert told in output
    assert len(output.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [UserError("no, do this"), PermissionError(13, "denied", "x")])
def test_what_fails_in_the_first_process_is_told_in_all(tmp_path, monkeypatch, error):
    def fail():
        raise error

    sent = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(
        hosts.multihost_utils, "broadcast_one_to_all", lambda x: sent.append(x) or sent[0]
    )
    with pytest.raises(UserError) as first:
        hosts.on_first(fail, tmp_path)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with pytest.raises(UserError) as second:
        hosts.on_first(lambda: pytest.fail("it ran in another process"), tmp_path)
    assert str(first.value) == str(second.value)
    assert str(error.args[-1]).split()[0] in str(first.value)


@pytest.mark.parametrize("index", [0, 1])
def test_a_full_disk_is_no_mistake_of_the_user(tmp_path, monkeypatch, index):
    def fail():
        raise OSError(errno.ENOSPC, "No space left on device")

    told = "lock.json cannot be written (No space left on device; 1.0 MB are free): make room."
    sent = np.zeros(2**12, np.uint8)
    sent[: len(told) + 1] = [1, *told.encode()]
    monkeypatch.setattr(jax, "process_count", lambda: 1 + index)
    monkeypatch.setattr(jax, "process_index", lambda: index)
    monkeypatch.setattr(hosts.multihost_utils, "broadcast_one_to_all", lambda _: sent)
    with pytest.raises(StoppedError) as error:
        hosts.on_first(fail, tmp_path / "lock.json")
    assert "lock.json cannot be written (No space left on device;" in str(error.value)
    assert "checkpoint" not in str(error.value)
