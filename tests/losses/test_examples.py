"""The example in every docstring of the joint-embedding losses holds, and none is missing."""

import doctest
import importlib
import inspect

import pytest

MODULES = [
    "adversarial",
    "axes",
    "checks",
    "clustering",
    "collapse",
    "cross_view",
    "decoupled",
    "deep_cluster",
    "distillation",
    "energy",
    "gradient_penalty",
    "koleo",
    "momentum_contrast",
    "nearest_neighbor",
    "reconstruction",
    "redundancy",
    "regression",
    "rotation_pretext",
    "semi_supervised",
    "similarity",
    "soft_labels",
    "transport",
]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_an_example_that_holds(name):
    module = importlib.import_module(f"ssljax.losses.{name}")
    functions = {
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and key[0] != "_"
    }
    tests = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert {test.name.rsplit(".", 1)[-1] for test in tests} == functions
    assert doctest.testmod(module).failed == 0
