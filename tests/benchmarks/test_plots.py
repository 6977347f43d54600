"""Curves as a picture and as a table."""

import numpy as np
import pytest

from benchmarks import layers, plots, pretext_runs


def test_a_table_has_a_row_a_line_and_a_column_a_place():
    found = {"one": {10: [0.25], 1000: [0.5]}, "two": {10: [0.2, 0.4], 1000: [0.6, 0.6]}}
    assert plots.table(found, "labels").splitlines() == [
        "| labels | 10 | 1000 |",
        "|---|---:|---:|",
        "| one | 25.0 | 50.0 |",
        "| two | 30.0 ± 14.1 | 60.0 ± 0.0 |",
    ]


@pytest.mark.parametrize("places", [(10, 1000), ("stage1", "stage2")])
def test_every_line_is_drawn(tmp_path, monkeypatch, places):
    from matplotlib.axes import Axes

    drawn = {}

    def errorbar(self, x, y, spread, label, **options):
        drawn[label] = list(x), y, spread

    monkeypatch.setattr(Axes, "errorbar", errorbar)
    monkeypatch.setattr(Axes, "legend", lambda self, **options: None)
    found = {
        "one": {place: [0.25] for place in places},
        "two": {place: [0.2, 0.4] for place in places},
    }
    plots.curves(found, tmp_path / "plot.png", "x", "y")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert drawn["one"] == (list(places), [25.0, 25.0], [0.0, 0.0])
    np.testing.assert_allclose(drawn["two"][1:], [[30.0] * 2, [200**0.5] * 2])


def test_layers_are_read_by_network_and_depth():
    networks = {
        "raw pixels": {"a/linear": 0.1, "b/linear": 0.1},
        "random network": {"a/linear": 0.2, "a/linear_holdout": 0.9, "b/linear": 0.3},
        "trained network": {"a/linear": 0.5, "a/linear_holdout": 0.9, "b/linear": 0.4},
    }
    assert layers.depths({"rotation": [{"scores": networks}] * 2}) == {
        "random network": {"a": [0.2, 0.2], "b": [0.3, 0.3]},
        "rotation": {"a": [0.5, 0.5], "b": [0.4, 0.4]},
    }


def test_a_stage_is_chosen_by_held_out_training_images():
    scores = {"a/linear": 0.9, "a/linear_holdout": 0.5, "b/linear": 0.1, "b/linear_holdout": 0.6}
    assert pretext_runs.best_stage(scores) == "b"
