"""Every benchmark can at least be loaded: names in the package have changed under them before."""

import importlib
import pkgutil

import pytest

import benchmarks


@pytest.mark.parametrize(
    "name", [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
)
def test_it_loads(name):
    if name == "throughput_torch":
        pytest.importorskip("torch")
    importlib.import_module(f"benchmarks.{name}")
