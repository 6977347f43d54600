"""The example in every docstring of the losses holds, and none is missing."""

import doctest
import importlib
import inspect

import pytest

MODULES = [
    "losses.adversarial",
    "ops.axes",
    "losses.checks",
    "losses.clustering",
    "metrics.collapse",
    "losses.cross_view",
    "losses.decoupled",
    "losses.deep_cluster",
    "losses.distillation",
    "losses.energy",
    "losses.gradient_penalty",
    "losses.koleo",
    "losses.momentum_contrast",
    "losses.nearest_neighbor",
    "losses.reconstruction",
    "losses.redundancy",
    "losses.regression",
    "losses.rotation_pretext",
    "losses.semi_supervised",
    "losses.similarity",
    "losses.soft_labels",
    "losses.transport",
]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_an_example_that_holds(name):
    module = importlib.import_module(f"ssljax.{name}")
    functions = {
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and key[0] != "_"
    }
    tests = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert {test.name.rsplit(".", 1)[-1] for test in tests} == functions
    assert doctest.testmod(module).failed == 0
