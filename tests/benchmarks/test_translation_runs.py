"""Which runs the comparison of translators makes, and what stands in its table."""

import pytest
from ml_collections import ConfigDict

from benchmarks import evidence, runs, translation_runs


def trial(pairing, fid, seconds=60.0):
    def scores(error, distance, cycle):
        return {
            "A_to_B/pairing_error": error,
            "A_to_B/class_accuracy": 1 - error,
            "A_to_B/classes_hit": 10.0,
            "A_to_B/fid_simclr_n5_x": distance,
            "A_to_B/kid_simclr_n5_x": distance / 10,
            "A_to_B/kid_simclr_n5_x_std": 99.0,
            "B_to_A/cycle_error": cycle,
        }

    rows = {"identity": scores(1.5, 30.0, 0.0), "trained translator": scores(pairing, fid, 0.25)}
    return {"scores": rows, "seconds": seconds}


def test_a_row_for_each_way_has_the_trained_translator_beside_unchanged_images():
    lines = translation_runs.table(
        {"cyclegan/mnist": [trial(0.2, 2.0), trial(0.4, 4.0, 180.0)], "other": [trial(0.5, 1.0)]}
    ).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[3:-3]] == [
        "pairing error", "within 0.1", "same class", "classes", "cycle error", "FID", "KID",
    ]  # fmt: skip
    assert lines[2] == (
        "| cyclegan/mnist | A to B | **0.300 ± 0.141** / 1.500 |  | **0.700 ± 0.141** / -0.500 | "
        "**10.0 ± 0.0** / 10.0 |  | **3.000 ± 1.414** / 30.000 | **0.300 ± 0.141** / 3.000 | 2 | "
        "2.0 |"
    )
    assert lines[3] == (
        "| cyclegan/mnist | B to A |  |  |  |  | **0.250 ± 0.000** / 0.000 |  |  | 2 | 2.0 |"
    )
    assert lines[4].startswith("| other | A to B | **0.500** / 1.500 |")
    assert len(lines) == 6


@pytest.fixture
def made(monkeypatch):
    """The runs that are asked for, each as (config, name of the workdir, changes)."""
    asked = []

    def run(config, workdir, *changes, cores=None):
        asked.append((config, workdir.name, changes))
        return trial(0.1, 1.0)

    config = ConfigDict(
        {
            "data": {
                "name": "fruit", "split": "trainA", "image_size": 72, "channels": 3,
                "resize": "exact",
            },
            "method": {"domain_b": {"split": "trainB"}},
        }
    )  # fmt: skip
    monkeypatch.setattr(runs, "run", run)
    monkeypatch.setattr(translation_runs.config_file, "load", lambda name: config)
    return asked


def test_each_trial_is_compared_by_an_encoder_of_its_own_images(made, tmp_path, monkeypatch):
    chosen = "cyclegan/mnist,cyclegan/mnist without cycles,discogan/mnist without cycles"
    command = ["evidence", "--family=translation", "--data_dir=DIR", f"--out={tmp_path}"]
    monkeypatch.setattr("sys.argv", [*command, "--seeds=1", f"--methods={chosen}"])
    evidence.main()
    assert [(config, name) for config, name, _ in made] == [
        ("simclr/fashion_mnist", "encoder_cyclegan_mnist"),
        ("simclr/fashion_mnist", "encoder_discogan_mnist"),
        ("cyclegan/mnist", "cyclegan_mnist_0"),
        ("cyclegan/mnist", "cyclegan_mnist_without_cycles_0"),
        ("discogan/mnist", "discogan_mnist_without_cycles_0"),
    ]
    encoder, _, cycles, none, neither = (changes for *_, changes in made)
    assert "--config.data.split=trainA+trainB" in encoder
    assert "--config.evals.test_split=testA+testB" in encoder
    assert "--config.data.image_size=72" in encoder
    assert "--config.method.view.mean=(0.5, 0.5, 0.5)" in encoder
    place = tmp_path / "translation" / "encoder_cyclegan_mnist"
    assert f"--config.evals.generator.extractor={place}" in cycles
    assert none == (*cycles, "--config.method.cycle_weight=0")
    assert "--config.method.default_rate=0" in neither
    text = (tmp_path / "translation.md").read_text()
    assert "| discogan/mnist without cycles | B to A |" in text


def test_the_encoder_of_pairs_is_trained_on_their_only_split(made, tmp_path, monkeypatch):
    config = translation_runs.config_file.load("")
    del config.method["domain_b"]
    command = ["evidence", "--family=translation", f"--out={tmp_path}", "--seeds=1"]
    monkeypatch.setattr("sys.argv", [*command, "--methods=pix2pix/mnist"])
    evidence.main()
    (_, name, encoder), _ = made
    assert name == "encoder_pix2pix_mnist"
    assert {"--config.data.split=trainA", "--config.evals.test_split=testA"} < set(encoder)


def test_every_trial_of_digits_with_cycles_has_one_without():
    trials = evidence.methods_of("translation", "")
    for name in trials:
        config = translation_runs.config_of(name)
        assert config in trials
        if config.endswith("/mnist") and not config.startswith("pix2pix"):
            assert f"{config} without cycles" in trials
