"""The cores of a CPU become devices, unless something speaks against it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import runs
from ml_collections import ConfigDict

from ssljax.run import cores


def _config(batch_size=64, data=-1, fsdp=1) -> ConfigDict:
    return ConfigDict({"batch_size": batch_size, "mesh": {"data": data, "fsdp": fsdp}})


CPU = {"JAX_PLATFORMS": "cpu"}


@pytest.mark.parametrize(
    ("number", "config", "devices"),
    [
        (1, _config(), 1),
        (2, _config(), 2),
        (64, _config(), 64),
        (4, _config(fsdp=2), 4),
        (4, _config(data=1, fsdp=-1), 4),
        # The mesh asks for so many.
        (4, _config(data=1), 1),
        (4, _config(data=2, fsdp=1), 2),
        (4, _config(batch_size=63, data=1), 1),
        # None can be laid out: the mesh tells what is wrong.
        (4, _config(data=8), 4),
        (3, _config(fsdp=2, batch_size=63), 3),
    ],
)
def test_a_device_a_core_unless_the_mesh_says_otherwise(number, config, devices):
    assert cores.choose(number, config, CPU) == cores.Choice(devices)


@pytest.mark.parametrize(
    ("number", "config", "devices", "told"),
    [
        (2, _config(63), 1, "batch_size=63 cannot be split over the 2 cores: they are threads"),
        (6, _config(64), 4, "over the 6 cores: 4 devices share them; a multiple of 6 makes"),
        (6, _config(10, fsdp=2), 2, "over the 6 cores: 2 devices share them"),
    ],
)
def test_a_batch_that_does_not_divide_is_told(number, config, devices, told):
    choice = cores.choose(number, config, CPU)
    assert choice.devices == devices
    assert told in choice.told


@pytest.mark.parametrize(
    ("environment", "distributed"),
    [
        (CPU | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}, False),
        (CPU | {"JAX_NUM_CPU_DEVICES": "1"}, False),
        (CPU | {"JAX_NUM_PROCESSES": "2"}, False),
        (CPU, True),
        ({"JAX_PLATFORMS": "cuda,cpu"}, False),
    ],
)
def test_what_is_asked_for_is_left_alone(environment, distributed):
    assert cores.choose(4, _config(63), environment, distributed) == cores.Choice(None)


@pytest.mark.parametrize(
    ("plugin", "devices"), [(None, 4), ("libtpu", None), ("jax_plugins", None)]
)
def test_a_plugin_for_something_else_goes_before_a_cpu(monkeypatch, plugin, devices):
    found = {plugin: object()}
    monkeypatch.setattr(cores.importlib.util, "find_spec", found.get)
    monkeypatch.setattr(cores.importlib.metadata, "entry_points", lambda group: ())
    assert cores.choose(4, _config(), {}).devices == devices
    assert cores.choose(4, _config(), CPU).devices == 4


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, 8),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "350000 100000"}, 3),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "200000 100000"}, 2),
        # What lies outside of this process's groups is none of its business.
        ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/b/cpu.max": "200000 100000"}, 8),
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/gone\n0::/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
def test_cores_are_those_of_the_affinity_and_of_the_quota(monkeypatch, tmp_path, files, wanted):
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, text in files.items():
        _write(tmp_path / name, text)
    assert cores.available(tmp_path) == wanted


def test_a_machine_without_affinity_counts_all(monkeypatch, tmp_path):
    monkeypatch.delattr(cores.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 5)
    assert cores.available(tmp_path) == 5


_PROGRAM = """
import os, sys
from ssljax.run import cores
cores.use_huge_pages()
setting = os.environ.get("GLIBC_TUNABLES")
print(os.getpid(), setting, sys.stdin.read(), sys.argv[1:], sys.flags.utf8_mode)
sys.exit(7)
"""


@pytest.mark.skipif(not cores._has_huge_pages(), reason="Linux's huge pages under glibc.")
@pytest.mark.parametrize(
    ("environment", "setting"),
    [
        ({}, "glibc.malloc.hugetlb=1"),
        ({"GLIBC_TUNABLES": ""}, ""),
        ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}, "glibc.malloc.arena_max=2"),
        ({"SSLJAX_HUGE_PAGES": "0"}, None),
        ({"JAX_PLATFORMS": "cuda"}, None),
    ],
)
def test_the_program_takes_huge_pages_once_and_stays_the_same_process(environment, setting):
    command = [sys.executable, "-X", "utf8", "-c", _PROGRAM, "--config=a b"]
    free = {k: v for k, v in os.environ.items() if k not in ("GLIBC_TUNABLES", "SSLJAX_HUGE_PAGES")}
    with subprocess.Popen(
        command,
        cwd=runs.ROOT,
        env=free | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        output, _ = process.communicate("what is read")
    assert output == f"{process.pid} {setting} what is read ['--config=a b'] 1\n"
    assert process.returncode == 7


def test_where_the_program_cannot_start_anew_it_goes_on(monkeypatch):
    tried = []

    def refused(program, arguments, environment):
        tried.append(environment)
        raise OSError

    monkeypatch.setattr(cores.os, "execve", refused)
    monkeypatch.setattr(cores.os, "environ", CPU)
    monkeypatch.setattr(cores, "_has_huge_pages", lambda: True)
    cores.use_huge_pages()
    assert tried == [CPU | cores.HUGE_PAGES | {"SSLJAX_HUGE_PAGES": "1"}]


def _start(tmp_path, *options: str, **changes) -> tuple[str, dict]:
    """What a run says and records that is started as a user starts it."""
    free = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    command = [sys.executable, "-m", "ssljax.main", *runs.arguments(tmp_path, **changes)[1:]]
    done = subprocess.run(
        [*command, *options], cwd=runs.ROOT, env=free, capture_output=True, text=True, check=True
    )
    return done.stderr, json.loads((tmp_path / "environment.json").read_text())


@pytest.mark.parametrize(
    ("devices", "environment", "safe"),
    [
        (1, CPU, True),
        (2, CPU, False),
        (None, CPU, False),
        (None, CPU | {"JAX_NUM_CPU_DEVICES": "1"}, True),
        (None, CPU | {"JAX_NUM_CPU_DEVICES": "1", "JAX_NUM_PROCESSES": "2"}, False),
        (None, CPU | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}, True),
        (None, CPU | {"XLA_FLAGS": "--xla_force_host_platform_device_count=12"}, False),
        (None, {"JAX_PLATFORMS": "cuda,cpu"}, True),
    ],
)
def test_programs_for_several_devices_of_a_cpu_do_not_come_out_of_the_cache(
    devices, environment, safe
):
    assert cores.may_cache(devices, environment) == safe


def test_a_run_has_a_device_a_core_and_tells_where_its_batch_does_not_divide(tmp_path, monkeypatch):
    number = cores.available()
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "programs"))
    monkeypatch.delenv("JAX_ENABLE_COMPILATION_CACHE")
    said, recorded = _start(tmp_path / "whole", steps=1, batch_size=number * 8)
    assert len(recorded["devices"]) == number
    assert said.count("compilation cache is not used") == (number > 1)
    assert (tmp_path / "programs").exists() == (number == 1)
    assert "cannot be split" not in said
    said, recorded = _start(tmp_path / "odd", steps=1, batch_size=number * 8 + 1)
    assert said.count("cannot be split") == (number > 1)
    assert (number * 8 + 1) % len(recorded["devices"]) == 0
