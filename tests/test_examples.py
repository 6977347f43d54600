"""The example in every docstring of the pure functions holds, and none is missing."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

from ssljax import losses, ops

MODULES = [
    f"{room.__name__}.{module.name}"
    for room in (losses, ops)
    for module in pkgutil.iter_modules(room.__path__)
] + ["ssljax.metrics.collapse"]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_an_example_that_holds(name):
    module = importlib.import_module(name)
    functions = {
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and key[0] != "_"
    }
    tests = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert {test.name.rsplit(".", 1)[-1] for test in tests} == functions
    assert doctest.testmod(module).failed == 0
