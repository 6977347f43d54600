"""What the comparison compares, and how."""

import itertools

from benchmarks import multi_crop
from ssljax.config.base import flatten


def test_the_two_runs_differ_in_the_small_crops_alone():
    alone, more = (multi_crop.multi_crop_config(count) for count in (0, 4))
    flat = flatten(more)
    assert {key for key, value in flatten(alone).items() if flat[key] != value} == {
        "method.local_crops"
    }
    assert more.method.local_crops == 4
    view, local_view = more.method.view, more.method.local_view
    assert (view.size, local_view.size) == (32, 16)
    # All else that is done to a crop is done to both.
    assert {key for key in view if view[key] != local_view[key]} == {"size", "crop_scale"}


def test_steps_are_taken_in_turns_and_their_medians_told():
    order = []

    def timed(name, times):
        times = itertools.chain(times)
        return lambda: order.append(name) or next(times)

    medians = multi_crop.compare(timed("a", [1.0, 9.0, 2.0]), timed("b", [4.0, 3.0, 90.0]), 3)
    assert medians == [2.0, 4.0]
    assert "".join(order) == "ababab"
