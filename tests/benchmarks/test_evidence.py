"""What stands in the table of pretext tasks, and which methods do."""

import pytest

from benchmarks import evidence
from ssljax import methods
from ssljax.config import file as config_file
from ssljax.config.base import flatten
from ssljax.methods import pretext


def network(**scores):
    """Scores of two stages: each is 0.1 less on the second, but for the held-out linear probe."""
    return {f"a/{name}": x for name, x in scores.items()} | {
        f"b/{name}": x - 0.1 for name, x in scores.items()
    }


def trial(accuracy):
    trained = network(knn20=0.5, linear=accuracy, linear_holdout=0.5, labels_10=0.3)
    random = network(knn20=0.2, linear=0.3, linear_holdout=0.3, labels_10=0.2)
    random["b/linear_holdout"] = 0.9
    pixels = network(knn20=0.25, linear=0.25, linear_holdout=0.25, labels_10=0.25)
    return {
        "scores": {
            "raw pixels": pixels,
            "random network": random | {"rotation_accuracy": 0.25},
            "trained network": trained | {"rotation_accuracy": 0.75},
            "chance": {"rotation_accuracy": 0.25},
        },
        "seconds": 120.0,
    }


def test_each_network_is_probed_at_its_own_best_stage():
    supervised = trial(0.9)
    del supervised["scores"]["chance"]
    supervised["scores"]["trained network"]["classifier"] = 0.8
    supervised["scores"]["random network"]["classifier"] = 0.1
    painter = trial(0.6)
    painter["scores"]["chance"] = {"psnr": 10.0}
    painter["scores"]["trained network"]["psnr"] = 21.5
    painter["scores"]["random network"]["psnr"] = 9.0
    rows = evidence.pretext_table(
        {"rotation": [trial(0.6), trial(0.8)], "supervised": [supervised], "painter": [painter]}
    ).splitlines()
    assert rows[2] == "| raw pixels | | | 25.0 | 25.0 | 25.0 | | |"
    assert rows[3] == (
        "| rotation | rotation_accuracy **75.0 ± 0.0** / 25.0 ± 0.0 (25.0) | a / b | "
        "**50.0 ± 0.0** / 10.0 ± 0.0 | **70.0 ± 14.1** / 20.0 ± 0.0 | "
        "**30.0 ± 0.0** / 10.0 ± 0.0 | 2 | 2.0 |"
    )
    # All labels were learnt from: no stage can be chosen by labels that were held out.
    assert rows[4].startswith("| supervised | classifier **80.0** / 10.0 | b / b | **40.0** / 10.0")
    assert rows[5].startswith("| painter | psnr **21.5** / 9.0 (10.0) |")


def test_every_pretext_task_is_in_its_table_and_supervised_learning_beside_them():
    found = evidence.methods_of("pretext", "cifar10:cpu")
    assert set(pretext.REGISTRY) <= set(found)
    assert found[-1] == "supervised"
    assert "mae" not in found  # It asks no question of which a guess could be right.
    tasks = evidence.methods_of("multi_task", "cifar10:cpu")
    assert tasks[0] == "multi_task"
    assert set(tasks) <= set(methods.REGISTRY)
    assert evidence.methods_of("joint", "fashion_mnist") == evidence.FAMILIES["joint"]


def test_reconstructions_stand_beside_the_probes_of_their_encoders():
    def trial(trained):
        row = {"knn20": trained, "linear": 0.8, "labels_10": 0.6, "class_agreement": trained - 0.1}
        random = {"knn20": 0.5, "linear": 0.6, "labels_10": 0.3, "class_agreement": 0.12}
        return {
            "scores": {
                "raw pixels": {"knn20": 0.84, "linear": 0.83, "labels_10": 0.65},
                "chance": {"class_agreement": 0.1},
                "random network": random | {"reconstruction_psnr": 6.0},
                "trained network": row | {"reconstruction_psnr": 12.5},
            },
            "seconds": 240.0,
        }

    rows = evidence.inference_table({"bigan": [trial(0.7)], "bigbigan": [trial(0.8)]}).splitlines()
    assert rows[2] == "| raw pixels | 84.0 | 83.0 | 65.0 |  |  | | |"
    assert rows[3] == (
        "| bigan | **70.0** / 50.0 | **80.0** / 60.0 | **60.0** / 30.0 | **60.0** / 12.0 (10.0) | "
        "**12.5** / 6.0 | 1 | 4.0 |"
    )
    assert rows[4].startswith("| bigbigan | **80.0** / 50.0 |")


@pytest.mark.parametrize("family", ["joint", "adversarial", "inference"])
def test_every_method_of_a_family_has_the_config(family):
    for method in evidence.methods_of(family, "fashion_mnist"):
        config = config_file.load(evidence.config_of(method, "fashion_mnist"))
        assert config.method.name == method.split(":")[0]


def test_a_generator_that_does_not_grow_sees_as_many_images():
    grows, not_growing = (
        config_file.load(evidence.config_of(method, "fashion_mnist"))
        for method in evidence.FAMILIES["adversarial"]
        if method.startswith("progan")
    )
    differing = {key for key, value in flatten(grows).items() if flatten(not_growing)[key] != value}
    assert differing == {"method.stable_kimg", "method.fade_kimg"}
    assert (not_growing.method.stable_kimg, not_growing.method.fade_kimg) == (0, 0)
