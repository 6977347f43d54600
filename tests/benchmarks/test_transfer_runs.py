"""What stands in the tables of transfer, and which runs they are made of."""

import argparse
import pathlib

import pytest

from benchmarks import evidence, runs, transfer_runs

ASKED = argparse.Namespace(out=pathlib.Path("/out"), data_dir="/data", data_name="copy")


@pytest.fixture
def made(monkeypatch):
    """The runs that are asked for, each as (name of the workdir or the scores, changes)."""
    asked = []

    def result(name, changes):
        asked.append((name, changes))
        sets = [x for x in changes if "transfer.sets" in x]
        column = sets[0].split("'")[1] + "/knn20" if sets else "svm_map"
        rows = {"raw pixels": 0.25, "random network": 0.5, "trained network": 0.75}
        scores = {network: {column: value, "map": value} for network, value in rows.items()}
        return {"scores": scores | {"chance": {"map": 0.125}}, "seconds": 60.0}

    monkeypatch.setattr(
        runs, "run", lambda config, workdir, *changes, cores: result(workdir.name, changes)
    )
    monkeypatch.setattr(
        runs, "evaluate", lambda config, workdir, name, *changes, cores: result(name, changes)
    )
    return asked


def test_both_starts_are_tuned_alike_and_only_one_knows_the_images(made):
    results = {start: [transfer_runs.tune(ASKED, start, 3)] for start in transfer_runs.STARTS}
    tuned = {name: changes for name, changes in made if "tiles" in name}
    assert len(tuned) == 8
    for name, changes in tuned.items():
        if name.startswith("random"):
            other = tuned[name.replace("random", "simclr")]
            assert other == (*changes, "--config.init.workdir=/out/transfer/encoder_3")
    assert [name for name, _ in made if name not in tuned] == ["encoder_3"]
    lines = transfer_runs.tuned_table(results).splitlines()
    assert lines[2] == "| chance | 12.5 | | | | | |"
    assert lines[3] == "| raw pixels | 25.0 | | | | | |"
    assert lines[4] == "| random | 50.0 | 75.0 | 75.0 | 75.0 | 75.0 | 1 |"
    assert lines[5] == "| simclr | 75.0 | 75.0 | 75.0 | 75.0 | 75.0 | 1 |"
    assert results["simclr"][0]["seconds"] == 5 * 60


def test_an_encoder_is_probed_on_every_set(made):
    results = {"rotation/cifar10:cpu": [transfer_runs.probe(ASKED, "rotation/cifar10:cpu", 0)]}
    lines = transfer_runs.elsewhere_table(results).splitlines()
    assert lines[0].count("/knn20") == len(transfer_runs.SETS)
    assert lines[2].startswith("| rotation/cifar10:cpu | **75.0** / 50.0 / 25.0 |")
    assert all("--config.data.name=copy" in changes for _, changes in made)
    assert set(evidence.methods_of("transfer", "")) == set(transfer_runs.SOURCES)
