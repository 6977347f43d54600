"""Curves as a picture and as a table, and the comparisons that draw them."""

import sys

import numpy as np
import pytest

from benchmarks import fine_tuning, layers, plots, pretext_runs, runs


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
    from matplotlib.figure import Figure

    drawn = {}

    def errorbar(self, x, y, spread, label, **options):
        drawn[label] = list(x), y, spread

    monkeypatch.setattr(Axes, "errorbar", errorbar)
    monkeypatch.setattr(Figure, "legend", lambda self, **options: None)
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


@pytest.fixture
def made(monkeypatch):
    """Runs that are not made: their arguments, by config and workdir."""
    made = {}

    def run(config, workdir, *changes, cores=None):
        made[workdir] = (config, *changes)
        change = dict(change.split("=", 1) for change in changes)
        labels = float(change.get("--config.data.labels", 0.0))
        accuracy = 0.2 + labels / 1000 + 0.1 * ("--config.init.workdir" in change)
        return {"scores": {"trained network": {"classifier": accuracy}}}

    def evaluate(config, workdir, name, *changes, cores=None):
        made[workdir / name] = (config, *changes)
        scores = {"a/linear": 0.2, "b/linear": 0.3}
        rows = ("raw pixels", "random network", "trained network")
        return {"scores": dict.fromkeys(rows, scores)}

    monkeypatch.setattr(runs, "run", run)
    monkeypatch.setattr(runs, "evaluate", evaluate)
    return made


def command(monkeypatch, module, tmp_path, *options):
    where = (f"--out={tmp_path / 'out'}", f"--runs={tmp_path / 'runs'}", "--data_name=images")
    monkeypatch.setattr(sys, "argv", [module.__name__, *where, "--data_dir=/data", *options])
    module.main()


def test_layers_are_probed_of_the_runs_that_the_evidence_makes(made, tmp_path, monkeypatch):
    command(monkeypatch, layers, tmp_path, "--methods=rotation", "--values=36", "--pool=max")
    trained = tmp_path / "runs" / "cifar10_cpu"
    for method in ("supervised", "rotation"):
        config, *changes = made[trained / f"{method}_0"]
        assert config == f"{method}/cifar10:cpu"
        assert {"--config.data.name=images", "--config.data.dir=/data"} < set(changes)
        _, *changes = made[trained / f"{method}_0" / "layers_max_36"]
        assert {"--config.evals.pool=max", "--config.evals.pool_values=36"} < set(changes)
        assert "--config.data.name=images" in changes
    assert (tmp_path / "out" / "layers.png").exists()
    assert "| rotation | 20.0 | 30.0 |" in (tmp_path / "out" / "layers.md").read_text()


def test_what_a_method_starts_from_is_trained_before_it(made, tmp_path, monkeypatch):
    command(monkeypatch, layers, tmp_path, "--methods=bownet")
    trained = tmp_path / "runs" / "cifar10_cpu"
    order = [config for config, *_ in made.values() if not config.startswith("supervised")]
    assert order == ["rotation/cifar10:cpu", *["bownet/cifar10:cpu"] * 2]
    start = f"--config.init.workdir={trained / 'rotation_0'}"
    for workdir in (trained / "bownet_0", trained / "bownet_0" / "layers_average_9600"):
        assert start in made[workdir]
    assert start not in made[trained / "rotation_0"]


def test_fine_tuning_stands_beside_training_from_scratch(made, tmp_path, monkeypatch):
    command(monkeypatch, fine_tuning, tmp_path, "--labels=10,100", "--seeds=2")
    pretrained = tmp_path / "runs" / "cifar10_cpu" / "rotation_0"
    assert made[pretrained][0] == "rotation/cifar10:cpu"
    for seed in range(2):
        scratch = made[tmp_path / "out" / f"from_scratch_10_{seed}"]
        tuned = made[tmp_path / "out" / f"rotation_10_{seed}"]
        assert set(tuned) - set(scratch) == {
            f"--config.init.workdir={pretrained}",
            "--config.method.from_scratch=False",
        }
        assert set(scratch) < set(tuned)
        assert f"--config.data.labels_seed={seed}" in scratch
    text = (tmp_path / "out" / "fine_tuning.md").read_text()
    assert "| starts from | 10 | 100 |" in text
    assert "| from scratch | 21.0 ± 0.0 | 30.0 ± 0.0 |" in text
    assert "| rotation | 31.0 ± 0.0 | 40.0 ± 0.0 |" in text
    assert (tmp_path / "out" / "fine_tuning.png").exists()
