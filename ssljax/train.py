"""The training loop. It never asks which method runs."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import pathlib
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from ssljax import config as configs
from ssljax import mesh, parent, report, same_data
from ssljax.checkpoint import Checkpoints
from ssljax.evaluate import Evaluator
from ssljax.experiment import Experiment, Feed
from ssljax.methods.contract import Phase, TrainState
from ssljax.state import loops

_log = logging.getLogger(__name__)


class DivergedError(Exception):
    """A loss is no longer a finite number."""


def train(config: ConfigDict, workdir: pathlib.Path) -> bool:
    """Trains, or goes on training, and evaluates at the end.

    Args:
      config: The resolved and checked config.
      workdir: Where checkpoints, metrics and scores are written, and from where the run resumes.

    Returns:
      True if the run is finished, False if it was asked to terminate and has saved its state.

    Raises:
      UserError: for a mistake in the input.
      DivergedError: if a loss becomes NaN or infinite; the checkpoints stay as they were.
    """
    config = parent.resolve(config, workdir)
    recorded = parent.recorded(workdir)
    experiment = Experiment(config, recorded)
    _log.info("Training set: %s.", experiment.source.summary())
    experiment.trace()
    configs.record(config, workdir)
    parent.record(experiment.task, same_data.check(experiment, recorded), workdir)
    checkpoints = Checkpoints(
        workdir / "checkpoints", config.checkpoint.keep, config.checkpoint.best
    )
    with contextlib.closing(checkpoints):
        state = checkpoints.restore(experiment.abstract_state)
        if state is None:
            state = experiment.start()
        start = int(state.step)
        if start:
            _log.info("Going on from step %d of %d.", start, experiment.task.total_steps)
        evaluator = Evaluator(experiment)
        evaluator.check()
        writer = report.MetricWriter(
            workdir,
            start_step=start,
            tensorboard=config.log.tensorboard,
            wandb_project=config.log.wandb,
            enabled=jax.process_index() == 0,
        )
        watch = report.CollapseWatch(enabled=jax.process_index() == 0)
        with contextlib.closing(writer):
            with _Termination() as termination:
                loop = _Loop(experiment, checkpoints, writer, evaluator, watch)
                state = loop.run(state, termination)
                checkpoints.wait()
            # From here on all is saved, and SIGTERM ends the process at once.
            if int(state.step) < experiment.task.total_steps:
                _log.info("Terminated: the state of step %d is saved.", int(state.step))
                return False
            if start < int(state.step):
                evaluator.draw(state, writer)
            if config.evals.final:
                # A run that was already finished has its scores among the metrics.
                evaluator.report(state, workdir, writer if start < int(state.step) else None)
            watch.remind()
    return True


class _Loop:
    """The loop over train steps, with what it tells and saves on the way."""

    def __init__(
        self,
        experiment: Experiment,
        checkpoints: Checkpoints,
        writer: report.MetricWriter,
        evaluator: Evaluator,
        watch: report.CollapseWatch,
    ) -> None:
        self._experiment = experiment
        self._checkpoints = checkpoints
        self._writer = writer
        self._evaluator = evaluator
        self._watch = watch

    def run(self, state: TrainState, termination: _Termination) -> TrainState:
        """Runs from the state's step to the last, or until termination is asked for."""
        experiment, config = self._experiment, self._experiment.config
        total = experiment.task.total_steps
        first = int(state.step)
        if first >= total:
            return state
        feed = experiment.feed()
        images = experiment.task.batch_size * experiment.batches_per_step
        throughput = report.Throughput(images)
        progress = report.Progress(total, first, enabled=jax.process_index() == 0)
        late: tuple[int, Any] | None = None
        step_function, phase = None, -1
        with (
            contextlib.closing(feed.batches(first)) as batches,
            progress,
            jax.transfer_guard("disallow"),
        ):
            for step in range(first, total):
                batch = next(batches)
                phase_now, phase_start = phase_at(experiment.method.phases, step)
                if step_function is None or phase_now != phase:
                    phase = phase_now
                    if step == phase_start and experiment.method.phases:
                        state = self._enter(phase, state)
                    step_function = self._compile(phase, state, feed, batch)
                    rounds = config.optimizer.accumulate if loops() else 1
                    throughput.flops_per_step = report.flops(step_function, rounds)
                state, metrics = step_function(state, feed.constants, batch)
                if late is not None:
                    self._tell(*late, throughput, progress)
                late = (step, metrics)
                throughput.step(batches.wait_s)
                done = step + 1
                evaluate = config.evals.every and done % config.evals.every == 0 and done < total
                save = done % config.checkpoint.every == 0 or done == total
                stop = termination.asked(done)
                if evaluate or save or stop:
                    # What is saved or scored is known to be finite: its metrics are read first.
                    self._tell(*late, throughput, progress)
                    late = None
                    with jax.transfer_guard("allow"):
                        scores = self._evaluate(state, done) if evaluate else None
                        if save or stop:
                            self._checkpoints.save(done, state, scores)
                    throughput.restart()
                if stop:
                    break
        return state

    def _enter(self, phase: int, state: TrainState) -> TrainState:
        enter = jax.jit(
            lambda state: self._experiment.method.enter_phase(phase, state),
            donate_argnums=0,
            out_shardings=self._experiment.shardings,
        )
        return enter(state)

    def _compile(self, phase: int, state: TrainState, feed: Feed, batch: Any) -> Any:
        return compile_step(self._experiment, feed, phase).lower(
            state, feed.constants, batch
        ).compile()  # fmt: skip

    def _tell(self, step: int, metrics: Any, throughput: Any, progress: Any) -> None:
        """Reads a step's metrics, stops at a loss that is not finite, and logs when it is time."""
        values = {name: float(x) for name, x in jax.device_get(metrics).items()}
        for name, value in values.items():
            if name.endswith("/loss") and not math.isfinite(value):
                saved = self._checkpoints.steps()
                raise DivergedError(
                    f"{name} is {value} at step {step}; "
                    + (f"the last good checkpoint is that of step {saved[-1]}"
                       if saved else "no checkpoint was saved before")
                    + "; try a lower config.optimizer.learning_rate or config.optimizer.clip_norm."
                )  # fmt: skip
        done = step + 1
        if done % self._experiment.config.log.every == 0 or done == progress.total:
            values |= throughput.read()
            self._writer.write(done, values)
            progress.update(done, values)
            self._watch.update(done, values)

    def _evaluate(self, state: TrainState, step: int) -> Mapping[str, float]:
        scores = self._evaluator.scores(state, self._experiment.config.evals.during)
        self._writer.write(step, {f"eval/{name}": value for name, value in scores.items()})
        self._evaluator.draw(state, self._writer)
        return scores


def compile_step(experiment: Experiment, feed: Feed, phase: int = 0) -> Any:
    """The jitted train step of one phase: `(state, constants, batch) -> (state, metrics)`.

    The state is donated; the metrics are whole on every device.
    """
    step = experiment.step(phase)
    return jax.jit(
        lambda state, constants, batch: step(state, feed.unpack(constants, batch)),
        donate_argnums=0,
        out_shardings=(experiment.shardings, mesh.replicated(experiment.mesh)),
    )


def phase_at(phases: Sequence[Phase], step: int) -> tuple[int, int]:
    """The phase of a train step, and the step at which it begins: (0, 0) without phases."""
    starts = [0, *itertools.accumulate(phase.steps for phase in phases[:-1])]
    index = max(i for i, start in enumerate(starts) if start <= step)
    return index, starts[index]


class _Termination:
    """Notes SIGTERM, and lets all processes of a run agree on the step at which they stop."""

    def __init__(self) -> None:
        self._asked = False

    def __enter__(self) -> _Termination:
        def note(*_: Any) -> None:
            self._asked = True

        self._before = signal.signal(signal.SIGTERM, note)
        return self

    def __exit__(self, *_: Any) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def asked(self, step: int) -> bool:
        """Whether to stop after this many steps; the same answer in every process."""
        if jax.process_count() == 1:
            return self._asked
        return multihost_utils.reached_preemption_sync_point(step)
