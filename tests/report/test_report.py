"""What a run tells: metrics that survive a restart, speed, progress, tables."""

import json
import logging
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssljax import report
from ssljax.errors import StoppedError, UserError


def _lines(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_a_line_a_step_and_what_is_not_finite_is_null(tmp_path):
    writer = report.MetricWriter(tmp_path, tensorboard=False)
    writer.write(1, {"loss": 2.5})
    writer.write(2, {"loss": float("nan")})
    writer.close()
    assert _lines(tmp_path) == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}]


def test_a_resumed_run_repeats_no_step(tmp_path):
    writer = report.MetricWriter(tmp_path, tensorboard=False)
    for step in (10, 20, 30):
        writer.write(step, {"loss": 1.0})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')  # Killed in the middle of a line.
    writer = report.MetricWriter(tmp_path, start_step=20, tensorboard=False)
    writer.write(30, {"loss": 7.0})
    writer.close()
    assert [(line["step"], line["loss"]) for line in _lines(tmp_path)] == [
        (10, 1.0), (20, 1.0), (30, 7.0),
    ]  # fmt: skip


def test_nothing_is_written_by_a_process_that_may_not(tmp_path):
    def refuse():
        raise StoppedError("another process has the lock")

    writer = report.MetricWriter(tmp_path, tensorboard=False, check=refuse)
    with pytest.raises(StoppedError):
        writer.write(1, {"loss": 2.5})
    with pytest.raises(StoppedError):
        writer.write_pictures(1, {"samples": np.zeros((2, 2, 1), np.uint8)})
    writer.close()
    assert _lines(tmp_path) == []
    assert not (tmp_path / "pictures").exists()


def test_tensorboard_files_are_written(tmp_path):
    writer = report.MetricWriter(tmp_path)
    writer.write(1, {"online/loss": 2.5})
    writer.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"online/loss" in events.read_bytes()


def test_all_but_the_first_process_write_nothing(tmp_path):
    writer = report.MetricWriter(tmp_path, enabled=False)
    writer.write(1, {"loss": 2.5})
    writer.close()
    assert not list(tmp_path.iterdir())


def test_wandb_is_told_how_to_install_or_gets_every_scalar(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"pip install 'ssljax\[wandb\]'"):
        report.MetricWriter(tmp_path, tensorboard=False, wandb_project="p")
    seen = []
    run = types.SimpleNamespace(
        log=lambda values, step: seen.append((step, values)), finish=lambda: seen.append("end")
    )
    monkeypatch.setitem(
        sys.modules,
        "wandb",
        types.SimpleNamespace(init=lambda **options: seen.append(options) or run),
    )
    writer = report.MetricWriter(tmp_path, tensorboard=False, wandb_project="p")
    writer.write(3, {"loss": 1.5})
    writer.close()
    assert seen[0]["project"] == "p"
    assert seen[1:] == [(3, {"loss": 1.5}), "end"]


def test_speed_counts_steps_between_reads_and_leaves_pauses_out():
    now = 0.0
    throughput = report.Throughput(images_per_step=64, clock=lambda: now)
    assert throughput.read() == {}
    for _ in range(5):
        throughput.step(waited=0.1)
        now += 0.5
    throughput.restart()
    now += 100.0
    throughput.step(waited=50.0)
    now += 0.5
    throughput.step(waited=0.1)
    # Four steps of half a second before the pause, one after it.
    speed = throughput.read()
    assert speed["step_seconds"] == pytest.approx(0.5)
    assert speed["images_per_second"] == pytest.approx(128.0)
    assert speed["data_wait_seconds"] == pytest.approx(0.1)
    assert "mfu" not in speed  # A CPU's peak is not known.
    assert throughput.read() == {}


def test_mfu_is_the_share_of_the_peak(monkeypatch):
    monkeypatch.setattr("ssljax.report.throughput.peak_flops", lambda kind: 1e12)
    now = 0.0
    throughput = report.Throughput(images_per_step=1, clock=lambda: now)
    throughput.flops_per_step = 1e11
    throughput.step(0.0)
    now = 0.25
    throughput.step(0.0)
    assert throughput.read()["mfu"] == pytest.approx(0.4)


def test_peaks_are_found_by_the_names_that_jax_gives():
    assert report.peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert report.peak_flops("TPU v4") == 275e12
    assert report.peak_flops("cpu") is None


def test_flops_of_a_matrix_product():
    a = jnp.zeros((16, 32))
    compiled = jax.jit(lambda a: a @ a.T).lower(a).compile()
    assert report.flops(compiled) == pytest.approx(2 * 16 * 32 * 16, rel=0.05)


def test_flops_are_unknown_where_xla_counts_no_convolutions(monkeypatch):
    compiled = jax.jit(lambda a: a @ a).lower(jnp.zeros((16, 16))).compile()
    assert report.flops(compiled) is not None
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    assert report.flops(compiled) is None


def test_flops_of_a_loop_are_those_of_all_its_rounds():
    def loop(x):
        return jax.lax.scan(lambda x, _: (x @ x, None), x, length=5)[0]

    compiled = jax.jit(loop).lower(jnp.ones((64, 64))).compile()
    assert report.flops(compiled, rounds=5) == pytest.approx(5 * 2 * 64**3, rel=0.05)


def test_progress_is_a_plain_line_away_from_a_terminal(caplog):
    with (
        caplog.at_level(logging.INFO, logger="ssljax.report.progress"),
        report.Progress(total=100, first=20, terminal=False) as progress,
    ):
        progress.update(40, {"online/loss": 1.25, "images_per_second": 1234.0, "online/lr": 3.0})
    assert "step 40/100: online/loss 1.25, 1,234 images/s" in caplog.text


def test_time_left_leaves_compilation_out(caplog):
    now = 0.0
    with (
        caplog.at_level(logging.INFO, logger="ssljax.report.progress"),
        report.Progress(total=100, first=20, terminal=False, clock=lambda: now) as progress,
    ):
        now = 1000.0  # Compilation, and the first step.
        progress.update(21, {"online/loss": 1.0})
        now = 1010.0
        progress.update(26, {"online/loss": 1.0})
    first, second = caplog.messages
    assert first == "step 21/100: online/loss 1"
    # Five steps took ten seconds, and 74 are left.
    assert second == "step 26/100: online/loss 1, 2:28 left"


def test_where_nothing_else_is_written_a_line_comes_by_time(caplog):
    now = 0.0
    progress = report.Progress(total=100, terminal=False, clock=lambda: now)
    progress.doing = "compiling"

    def after(seconds):
        nonlocal now
        now = float(seconds)
        caplog.clear()
        progress.tick()
        return caplog.messages

    with caplog.at_level(logging.INFO, logger="ssljax.report.progress"):
        assert after(5) == []
        assert after(15) == ["step 0/100: compiling"]
        assert after(30) == []
        assert after(46) == ["step 0/100: compiling"]
        progress.update(1, {"online/loss": 1.0}, show=False)
        assert after(47) == []
        progress.update(2, {"online/loss": 0.5}, show=False)
        assert after(80) == ["step 2/100: online/loss 0.5, 55:32 left"]
        progress.update(3, {"online/loss": 0.5}, show=True)
        now = 100.0
        assert after(105) == []


def test_a_table_of_scores_in_per_cent():
    table = report.score_table(
        {
            "raw pixels": {"knn20": 0.9, "labels_10": 0.5, "labels_10_std": 0.01},
            "trained network": {"knn20": 0.955},
        }
    )
    assert table.splitlines() == [
        "| network         | knn20 |  labels_10 |",
        "| --------------- | ----: | ---------: |",
        "| raw pixels      |  90.0 | 50.0 ± 1.0 |",
        "| trained network |  95.5 |            |",
    ]


def test_levels_in_decibels_are_no_shares():
    table = report.score_table({"chance": {"psnr": 21.25, "ssim": 0.5}})
    assert table.splitlines()[-1] == "| chance  | 21.2 | 50.0 |"
