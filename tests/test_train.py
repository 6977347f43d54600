"""Whole runs: the same anywhere, stopped anywhere, and told when something is wrong."""

import json
import os
import signal
import socket
import time
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import optax
import pytest
import runs
from ml_collections import ConfigDict

from ssljax import main, models
from ssljax.methods import REGISTRY
from ssljax.methods.contract import Aux, Method, Phase, Player
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.experiment import Experiment


def _losses(workdir) -> list[float]:
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    values = map(json.loads, lines)
    return [each["online/loss"] for each in values if "online/loss" in each]


def test_one_device_eight_devices_and_two_processes_give_the_same_losses(tmp_path):
    steps = dict(steps=20, data__cache="none", evals__final="('knn',)", evals__baselines=False)
    steps |= dict(evals__train_split="train[:200]", evals__knn__neighbors="((5, 0.1),)")
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
    accuracies = [
        json.loads((tmp_path / name / "scores.json").read_text())["scores"]["trained network"]
        for name in ("one", "eight", "fsdp", "two")
    ]
    for scores in accuracies[1:]:
        assert scores == pytest.approx(accuracies[0], abs=0.01)


MOCO = dict(
    config=runs.ROOT / "configs" / "moco" / "fashion_mnist.py",
    data__name="digits",
    model__encoder__convs_per_stage=1,
    method__queue_size=64,
    method__projector_dim=16,
    optimizer__learning_rate=1e-4,
)


def test_killed_a_run_ends_bit_for_bit_as_if_it_never_was(tmp_path):
    """With a queue and an average of the weights, which have a state of their own."""
    changes = dict(steps=300, checkpoint__every=7, log__every=10, **MOCO)
    whole = runs.arguments(tmp_path / "whole", **changes)
    runs.finish(runs.start(whole))
    killed = runs.arguments(tmp_path / "killed", **changes)
    rng = np.random.default_rng()
    for _ in range(2):
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
    # They are two programs, which round differently.
    on_host = _losses(tmp_path / "none")
    assert _losses(tmp_path / "device") == pytest.approx(on_host, rel=1e-6)


def test_another_seed_gives_another_run(tmp_path):
    for seed in (0, 1):
        assert main.main(runs.arguments(tmp_path / str(seed), seed=seed, steps=2)) == 0
    assert _losses(tmp_path / "0") != _losses(tmp_path / "1")
    assert not (tmp_path / "0" / "report.html").exists()  # `log.report` is off here.


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
    # The parameters are no longer finite one step before the loss is not.
    assert "online/param_norm is inf at step" in message
    assert "Traceback" not in message
    step = int(message.split("at step ")[1].split(";")[0])
    assert all(int(saved) <= step for saved in _saved(tmp_path / "lost"))


TOY = """
from ssljax.config.base import base_config


def get_config():
    config = base_config("toy")
    config.data.update(name="digits", channels=1, resize="exact", cache="device")
    return config
"""


class Toy(Method):
    """Plain descent on the square of one number."""

    roles: ClassVar = {"encoder": models.ENCODER}

    def __init__(self, config, task):
        self.players = (Player("online", self.loss, optax.sgd(0.1)),)

    @staticmethod
    def default_config():
        return ConfigDict({"view": {"size": 8}})

    def init(self, key):
        return {"online": jnp.ones(())}, {}, ()

    def views(self, key, batch):
        return ()

    def loss(self, params, turn):
        return params**2, Aux()


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The command line of a run of a toy method."""
    file = tmp_path / "toy.py"
    file.write_text(TOY)

    def arguments(method, **changes):
        monkeypatch.setitem(REGISTRY, "toy", method)
        return runs.arguments(tmp_path / "run", file, **changes)

    return arguments


class Phased(Toy):
    """Counts in its memory in which phase each step ran, and how often a phase was entered."""

    phases = (Phase("a", 2), Phase("b", 3), Phase("c", 1))

    def __init__(self, config, task):
        super().__init__(config, task)
        self._phase = task.phase

    def init(self, key):
        return {"online": jnp.ones(())}, {}, {"steps": jnp.zeros(3), "entered": jnp.zeros(3)}

    def after_step(self, state, carried):
        steps = state.memory["steps"].at[self._phase].add(1.0)
        return state.replace(memory=state.memory | {"steps": steps})

    def enter_phase(self, state):
        entered = state.memory["entered"].at[self._phase].add(1.0)
        return state.replace(memory=state.memory | {"entered": entered})


def test_phases_change_the_graph_at_their_steps_also_across_a_restart(tmp_path, toy):
    command = toy(Phased, steps=7, checkpoint__every=1)
    assert main.main(command) == 0
    experiment = Experiment(main.parse(command).config)
    assert experiment.init().memory["steps"].tolist() == [0, 0, 0]
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    final = checkpoints.restore(experiment.abstract_state)
    checkpoints.close()
    # Steps 0-1, 2-4, and the last phase runs to the end: 5 and 6.
    assert final.memory["steps"].tolist() == [2, 3, 2]
    assert final.memory["entered"].tolist() == [1, 1, 1]
    # A state is scored by the graph that it was trained with last.
    found = [experiment.method_at(step)._phase for step in range(8)]
    assert found == [0, 0, 0, 1, 1, 1, 2, 2]


class Breaking(Toy):
    """Its memory is no longer finite after the fourth step, which no metric says."""

    def init(self, key):
        return {"online": jnp.ones(())}, {}, {"total": jnp.ones(())}

    def after_step(self, state, carried):
        total = jnp.where(state.step >= 3, jnp.inf, state.memory["total"])
        return state.replace(memory={"total": total})


def test_a_state_that_breaks_silently_is_not_saved_and_the_advice_leads_on(tmp_path, toy, capsys):
    changes = dict(steps=6, checkpoint__every=1, optimizer__learning_rate=0.5)
    command = toy(Breaking, **changes)
    for _ in range(2):  # The second time it begins where the first one was sound.
        assert main.main(command) == 1
        told = capsys.readouterr().err.splitlines()[-1]
        assert told.startswith("ssljax: after step 3 memory/total is not finite")
        assert "the last sound checkpoint is that of step 3" in told
        assert _saved(tmp_path / "run") == ["2", "3"]
    option = told.split("as in ")[1].rstrip(".").replace('"', "")
    lower = toy(Toy, **changes | {"optimizer__learning_rate": 0.1})
    assert main.main(lower) == 2
    assert "optimizer.learning_rate was 0.5 and is 0.1" in capsys.readouterr().err
    lower = toy(Mended, **changes | {"optimizer__learning_rate": 0.1})
    assert main.main([*lower, option]) == 0
    assert _saved(tmp_path / "run") == ["5", "6"]
    change = json.loads((tmp_path / "run" / "changes.jsonl").read_text())
    assert (change["step"], change["key"], change["before"], change["now"]) == (
        3, "optimizer.learning_rate", 0.5, 0.1,
    )  # fmt: skip


class Mended(Breaking):
    def after_step(self, state, carried):
        return state


def test_a_finished_run_is_extended_by_an_explicit_option_alone(tmp_path, toy, capsys):
    assert main.main(toy(Toy, steps=2)) == 0
    longer = toy(Toy, steps=5)
    assert main.main(longer) == 2
    told = capsys.readouterr().err
    assert "steps was 2 and is 5" in told
    option = told.split("ones by ")[1].rstrip(".\n").replace('"', "")
    assert main.main([*longer, option]) == 0
    assert "schedules are those of a run of 5 steps" in capsys.readouterr().err
    assert _saved(tmp_path / "run")[-1] == "5"
    assert len(_losses(tmp_path / "run")) == 5
    # Shorter than what is done already makes no sense.
    assert main.main([*toy(Toy, steps=3), option]) == 2
    assert "has done 5 steps" in capsys.readouterr().err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 5


def test_a_run_says_at_the_start_what_it_learns_from(toy, capsys):
    assert main.main(toy(Toy, steps=1)) == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("I digits/train: 1,400 images, 10 classes; toy")
    assert "1 parameters; 8 cpu device(s) in 1 process(es)" in first


class Collapsing(Toy):
    """Says that it has collapsed after the third step."""

    def loss(self, params, turn):
        collapsed = (turn.state.step >= 2).astype(jnp.float32)
        metrics = {"collapsed": collapsed, "embedding_std": 0.25 * (1 - collapsed)}
        return params**2, Aux(metrics=metrics)


def test_a_collapse_is_told_once_and_again_at_the_end(toy, capsys):
    assert main.main(toy(Collapsing, steps=7)) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "collapsed" in line]
    assert lines == [
        "W step 4: online has collapsed (embedding_std 0)",
        "W At the end, step 7, online is still collapsed (embedding_std 0)",
    ]


class SlowCopy(Toy):
    """Has two stages to evaluate."""

    evaluated = "slow copy of the encoder"

    def features(self, state, images):
        pixels = images.astype(jnp.float32) / 255
        return {"features": pixels, "rows": jnp.mean(pixels, axis=2)}


def test_the_table_says_which_network_was_read_and_at_which_stage(tmp_path, toy, capsys):
    command = toy(SlowCopy, evals__final="('knn',)", evals__stages="rows")
    assert main.main(command) == 0
    said = "Read: slow copy of the encoder, stage rows, at step 6. Scored on digits, in per cent."
    caption, empty, *table = (tmp_path / "run" / "scores.md").read_text().splitlines()
    assert (caption, empty) == (said, "")
    assert [row.split("|")[1].strip() for row in table[2:]] == [
        "raw pixels", "random network", "trained network",
    ]  # fmt: skip
    assert said in capsys.readouterr().out
