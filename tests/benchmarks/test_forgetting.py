"""What the two curves of forgetting are, and how they are read."""

import pytest
from ml_collections import ConfigDict

from benchmarks import discriminator_probe, forgetting, stability
from ssljax.config.base import flatten


def test_the_variants_differ_in_the_rotation_loss_alone():
    first, second = (
        flatten(forgetting.read_config("fashion_mnist", "", weight, 3))
        for weight in forgetting.VARIANTS.values()
    )
    assert {key for key in first if first[key] != second[key]} == {"method.rotation_weight"}
    assert (first["method.rotation_weight"], second["method.rotation_weight"]) == (1.0, 0.0)
    assert first["seed"] == 3


@pytest.mark.parametrize(
    ("block", "steps"), [(300, (30, 100, 200, 300)), (3, (1, 2, 3)), (1, (1,))]
)
def test_a_block_is_measured_early_and_at_its_end(block, steps):
    assert forgetting.measured_at(block) == steps


def test_rounds_are_means_over_their_tasks():
    # Two tasks of 10 steps, two rounds and a beginning of a third.
    curve = [
        (step, step / 100)
        for start in range(0, 50, 10)
        for step in (start + 1, start + 3, start + 10)
    ]
    means = forgetting.by_round(curve, 10, 2)
    assert means["early"] == pytest.approx([0.06, 0.26])
    assert means["end"] == pytest.approx([0.15, 0.35])
    text = forgetting.table({"with": [means, means], "without": [means, means]})
    assert "| with, end | 15.0 ± 0.0 | 35.0 ± 0.0 |" in text


def test_a_tiny_run_gives_a_curve(tmp_path):
    config = forgetting.read_config("fashion_mnist", "", 1.0, 0)
    config.data.update(name="digits", image_size=16)
    config.update(batch_size=8, steps=6)
    config.method.block = 3
    config.model.discriminator.width = 0.02
    curve = forgetting.learn(config, 64)
    assert [step for step, _ in curve] == [1, 2, 3, 4, 5, 6]
    assert all(0 <= accuracy <= 1 for _, accuracy in curve)
    again = forgetting.learn(ConfigDict(config), 64)
    assert again == curve
    path = tmp_path / "curves.png"
    forgetting.plot({"with": [curve], "without": [curve]}, 3, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_grid_is_told_with_its_mean_spread_and_worst():
    cells = [(True, (0.0, 0.9), 1), (False, (0.5, 0.999), 2)]
    text = stability.table(
        {"GAN": dict(zip(cells, (1.0, 3.0), strict=True)), "SSGAN": dict.fromkeys(cells, 0.5)}
    )
    assert "| no | 0.5 | 0.999 | 2 | 3.000 | 0.500 |" in text
    assert "| std | | | | **1.414** | **0.000** |" in text
    assert "| worst | | | | **3.000** | **0.500** |" in text


def test_fid_is_found_among_a_generators_scores():
    scores = {"class_kl_x": 2.0, "fid_x_n10": 0.5, "classes_hit_x": 10.0}
    assert stability.fid(scores) == ("fid_x_n10", 0.5)


def test_probes_are_read_by_train_step(tmp_path):
    (tmp_path / "scores.json").write_text('{"scores": {"random network": {"linear": 0.25}}}')
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 10, "loss": 1}\n'
        '{"step": 10, "eval/linear": 0.5}\n'
        '{"step": 20, "eval/linear": 0.75}\n'
    )
    curve = discriminator_probe.curve(tmp_path)
    assert curve == {0: [0.25], 10: [0.5], 20: [0.75]}
