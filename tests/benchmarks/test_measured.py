"""What is told of a function's costs."""

import numpy as np
import pytest

from benchmarks import matting, measured


def test_the_power_is_that_of_the_costs():
    sizes = [10.0, 100.0, 1000.0]
    assert measured.exponent(sizes, [3 * size**1.5 for size in sizes]) == pytest.approx(1.5)


def test_the_function_is_called_twice_and_its_second_result_told():
    calls = []
    found = measured._measure(lambda step: lambda: calls.append(step) or len(calls), (7,))
    assert (calls, found.result) == ([7, 7], 2)
    assert 0 < found.before <= found.peak


def test_errors_of_an_opacity():
    reference = np.zeros((2, 2))
    alpha = np.array([[0.5, 0.0], [0.0, 0.25]])
    unknown = np.array([[True, True], [False, False]])
    assert matting.errors(alpha, reference, unknown) == "0.8 | 1.25e-01 | 5.0e-01"
