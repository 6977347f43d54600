"""Whole runs: the same anywhere, stopped anywhere, exported for the accelerators."""

import json
import os
import signal
import socket
import time

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import runs

from ssljax import config as configs
from ssljax import main
from ssljax.experiment import Experiment
from ssljax.methods import TABLE
from ssljax.methods.contract import Aux, Method, Phase, Player
from ssljax.train import compile_step


def _losses(workdir) -> list[float]:
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["online/loss"] for line in lines]


def _experiment(workdir, **changes) -> Experiment:
    config = main.parse(runs.arguments(workdir, **changes)).config
    configs.check(config)
    return Experiment(config)


def test_one_device_eight_devices_and_two_processes_give_the_same_losses(tmp_path):
    steps = dict(steps=20, data__cache="none")
    finished = []
    for name, devices, changes in (
        ("one", 1, {}),
        ("eight", 8, {}),
        ("fsdp", 8, {"mesh__fsdp": 4, "data__cache": "device"}),
    ):
        command = runs.arguments(tmp_path / name, **(steps | changes))
        runs.finish(runs.start(command, devices))
        finished.append(_losses(tmp_path / name))
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = runs.arguments(tmp_path / "two", **steps)
    both = [
        runs.start(
            command,
            devices=4,
            JAX_COORDINATOR_ADDRESS=address,
            JAX_NUM_PROCESSES="2",
            JAX_PROCESS_ID=str(process),
        )
        for process in range(2)
    ]
    for process in both:
        runs.finish(process)
    finished.append(_losses(tmp_path / "two"))
    assert [len(losses) for losses in finished] == [20] * 4
    for losses in finished[1:]:
        np.testing.assert_allclose(losses, finished[0], rtol=1e-4)


def test_killed_three_times_a_run_ends_bit_for_bit_as_if_it_never_was(tmp_path):
    changes = dict(steps=300, checkpoint__every=7, log__every=10)
    whole = runs.arguments(tmp_path / "whole", **changes)
    runs.finish(runs.start(whole))
    killed = runs.arguments(tmp_path / "killed", **changes)
    rng = np.random.default_rng()
    for _ in range(3):
        process = runs.start(killed)
        before = _saved(tmp_path / "killed")
        while process.poll() is None and _saved(tmp_path / "killed") == before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.communicate()
    runs.finish(runs.start(killed))
    wanted = runs.final_state(whole, tmp_path / "whole")
    found = runs.final_state(killed, tmp_path / "killed")
    assert all(np.array_equal(a, b) for a, b in zip(wanted, found, strict=True))
    steps = [
        json.loads(line)["step"]
        for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(set(steps))


def _saved(workdir) -> list[str]:
    directory = workdir / "checkpoints"
    return (
        sorted(name for name in os.listdir(directory) if name.isdigit())
        if directory.exists()
        else []
    )


def test_terminated_it_saves_and_goes_on_where_it_stopped(tmp_path):
    command = runs.arguments(tmp_path, steps=100_000, checkpoint__every=100_000)
    process = runs.start(command)
    while not (tmp_path / "metrics.jsonl").exists() or not _losses(tmp_path):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output = runs.finish(process, status=143)
    assert time.monotonic() - asked < 30
    (step,) = _saved(tmp_path)
    assert f"the state of step {step} is saved" in output
    assert len(_losses(tmp_path)) == int(step)


def test_a_set_on_the_devices_gives_the_same_run_as_one_on_the_host(tmp_path):
    for cache in ("none", "device"):
        assert main.main(runs.arguments(tmp_path / cache, data__cache=cache)) == 0
    assert _losses(tmp_path / "none") == _losses(tmp_path / "device")


def test_another_seed_gives_another_run(tmp_path):
    for seed in (0, 1):
        assert main.main(runs.arguments(tmp_path / str(seed), seed=seed, steps=2)) == 0
    assert _losses(tmp_path / "0") != _losses(tmp_path / "1")


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_the_step_exports_for_accelerators_that_are_not_here(tmp_path, platform):
    experiment = _experiment(tmp_path, model__dtype="bfloat16")
    feed = experiment.feed()
    batch = next(iter(feed.batches(0)))
    exported = jax.export.export(compile_step(experiment, feed), platforms=[platform])(
        experiment.abstract_state, feed.constants, batch
    )
    assert exported.platforms == (platform,)
    assert exported.nr_devices == 8


def test_no_images_travel_between_devices(tmp_path):
    """Only gradients, statistics and embeddings may cross: nothing as large as the views."""
    experiment = _experiment(
        tmp_path,
        batch_size=512,
        data__image_size=16,
        method__view__size=16,
        method__projector_dim=16,
    )
    feed = experiment.feed()
    batch = next(iter(feed.batches(0)))
    text = (
        compile_step(experiment, feed)
        .lower(experiment.abstract_state, feed.constants, batch)
        .compile()
        .as_text()
    )
    sizes = _collective_sizes(text)
    assert sizes, "no collective at all: the batch is not sharded"
    embeddings = 2 * 512 * 16
    assert max(sizes) <= embeddings
    assert embeddings < 512 * 16 * 16  # one view of all images


def _collective_sizes(hlo: str) -> list[int]:
    """Elements of the result of every collective of a compiled program."""
    import re

    kinds = "all-reduce|all-gather|collective-permute|all-to-all|reduce-scatter"
    sizes = []
    for line in hlo.splitlines():
        found = re.search(rf"= (.*?) (?:{kinds})(?:-start)?\(", line)
        if found:
            for shape in re.findall(r"\w+\[([\d,]*)\]", found.group(1)):
                sizes.append(int(np.prod([int(n) for n in shape.split(",") if n])))
    return sizes


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(tmp_path, capsys):
    changes = dict(steps=40, checkpoint__every=2, optimizer__name="sgd")
    command = runs.arguments(tmp_path, optimizer__learning_rate=0.0, **changes | {"steps": 4})
    assert main.main(command) == 0
    diverging = runs.arguments(
        tmp_path / "lost",
        optimizer__learning_rate=1e30,
        optimizer__scaling="none",
        **changes | {"checkpoint__every": 1},
    )
    assert main.main(diverging) == 1
    message = capsys.readouterr().err
    assert "online/loss is nan at step" in message
    assert "Traceback" not in message
    step = int(message.split("at step ")[1].split(";")[0])
    assert all(int(saved) <= step for saved in _saved(tmp_path / "lost"))


class Phased(Method):
    """Counts in its memory in which phase each step ran, and how often a phase was entered."""

    phases = (Phase("a", 2), Phase("b", 3), Phase("c", 1))

    def __init__(self, config, task, phase=0):
        self._args, self._phase = (config, task), phase
        self.players = (Player("online", self.loss, optax.sgd(0.1)),)

    def init(self, key):
        return {"online": jnp.ones(())}, {}, {"steps": jnp.zeros(3), "entered": jnp.zeros(3)}

    def views(self, key, batch):
        return ()

    def loss(self, params, state, views, key, carried):
        return params**2, Aux()

    def after_step(self, state, carried):
        steps = state.memory["steps"].at[self._phase].add(1.0)
        return state.replace(memory=state.memory | {"steps": steps})

    def in_phase(self, phase):
        return Phased(*self._args, phase)

    def enter_phase(self, phase, state):
        entered = state.memory["entered"].at[phase].add(1.0)
        return state.replace(memory=state.memory | {"entered": entered})


def test_phases_change_the_graph_at_their_steps_also_across_a_restart(tmp_path, monkeypatch):
    monkeypatch.setitem(TABLE, "simclr", Phased)
    config = tmp_path / "phased.py"
    config.write_text(runs.DIGITS.read_text().replace('base_config("simclr")', 'base()').replace(
        "def get_config", """def base():
    from ssljax.methods.simclr import SimCLR
    config = base_config("simclr")
    with config.unlocked():
        config.method = SimCLR.default_config()
        config.method.name = "simclr"
        config.method.online_probe = False
    return config


def get_config"""))  # fmt: skip
    command = runs.arguments(tmp_path / "run", config=config, steps=7, checkpoint__every=1)
    assert main.main(command) == 0
    parsed = main.parse(command).config
    state = Experiment(parsed).init()
    assert state.memory["steps"].tolist() == [0, 0, 0]
    from ssljax.checkpoint import Checkpoints

    experiment = Experiment(parsed)
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    final = checkpoints.restore(experiment.abstract_state)
    checkpoints.close()
    # Steps 0-1, 2-4, and the last phase runs to the end: 5 and 6.
    assert final.memory["steps"].tolist() == [2, 3, 2]
    assert final.memory["entered"].tolist() == [1, 1, 1]
