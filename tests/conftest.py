"""Settings for every test: eight simulated devices and no silent promotion of types or ranks."""

import ctypes
import gc
import importlib.metadata
import os
import pathlib

# The programs of tests run for microseconds: it does not pay to optimise them.
_XLA_FLAGS = (
    "--xla_force_host_platform_device_count=8",
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
)
if tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11):
    # Halves the time of compilation; later versions lack the option.
    _XLA_FLAGS += ("--xla_cpu_use_fusion_emitters=false",)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["SSLJAX_HUGE_PAGES"] = "0"  # The program would start twice.
os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *_XLA_FLAGS)).strip()
# A program for several devices that comes out of the cache may run its collectives in another order
# on each (jaxlib 0.10.2), until all of them wait for each other and XLA ends the process.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import jax
import pytest

# What is traced lives on in caches: looking through it for cycles takes an eighth of the time.
gc.set_threshold(200_000, 20, 20)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Of two programs that run at once on eight devices and few cores, each may hold half of the threads
# and wait for the others in a collective, until XLA ends the process.
jax.config.update("jax_cpu_enable_async_dispatch", False)

_MANY = 10_000


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Drops compiled programs, each of which holds a dozen mappings of memory, when they are many.

    Linux gives a process 65,530; XLA crashes where it finds none left.
    """
    yield
    mappings = pathlib.Path("/proc/self/maps")
    if mappings.exists() and mappings.read_text().count("\n") > _MANY:
        jax.clear_caches()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in a hook of the same name.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps the tests of a module, which share fixtures, in one process."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuses to go on where tests of a module would be dealt out to several processes."""
    if getattr(session.config.option, "loadgroup", False):
        loose = [item.nodeid for item in session.items if "@" not in item.nodeid]
        if loose:
            raise pytest.UsageError(f"pytest-xdist does not see to which group {loose[0]} belongs.")
