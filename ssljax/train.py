"""The training loop. It never asks which method runs."""

from __future__ import annotations

import contextlib
import logging
import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
from jax.experimental import multihost_utils
from ml_collections import ConfigDict

from ssljax import mesh, paths, report
from ssljax.errors import StoppedError, UserError, brief
from ssljax.evaluate import Evaluator
from ssljax.methods.contract import TrainState, phase_at
from ssljax.run import hosts, lock, pretrained, same_data, signals
from ssljax.run import workdir as workdirs
from ssljax.run.checkpoint import Checkpoints
from ssljax.run.experiment import Experiment
from ssljax.run.feeds import Stream
from ssljax.run.step import has_fast_control_flow

_log = logging.getLogger(__name__)


class DivergedError(StoppedError):
    """A loss, or the state itself, is no longer finite."""


def train(config: ConfigDict, workdir: paths.Path) -> signal.Signals | None:
    """Trains, or resumes training, and evaluates at the end.

    Args:
      config: The resolved and checked config.
      workdir: Where checkpoints, metrics and scores are written, and from where the run resumes.

    Returns:
      None if the run is finished, else the signal that stopped it after its state was saved.

    Raises:
      UserError: For a mistake in the input.
      DivergedError: If a loss or the state becomes NaN or infinite; the checkpoints stay as they
        were.
      StoppedError: If a checkpoint cannot be written, or another process has taken the workdir.
      MissingScores: If some of the final scores could not be computed; the others are written.
    """
    config = pretrained.resolve(config, workdir)
    workdirs.check_resumed(config, workdir)  # Before the config is examined any further.
    recorded = pretrained.recorded(workdir)
    experiment = Experiment(config, recorded)
    experiment.trace()
    made_of = same_data.check(experiment, recorded)
    evaluator = Evaluator(experiment)
    evaluator.check()
    first_process = jax.process_index() == 0
    with contextlib.ExitStack() as stack:
        workdirs.prepare(workdir)
        held = stack.enter_context(_alone(workdir))
        if config.log.report:
            stack.enter_context(_shown(workdir, held))
        checkpoints = stack.enter_context(
            contextlib.closing(
                Checkpoints(workdir / "checkpoints", config.checkpoint.keep, config.checkpoint.best)
            )
        )
        total = experiment.task.total_steps
        saved = checkpoints.steps()
        progress = stack.enter_context(
            report.Progress(total, saved[-1] if saved else 0, enabled=first_process)
        )
        progress.doing = "making the state"
        state = checkpoints.restore(experiment.abstract_state)
        if state is None:
            state = experiment.start()
        start = int(state.step)
        if start > total:
            raise UserError(
                f"The run in {workdir} has done {start} steps, and config.steps or config.epochs "
                f"asks for {total}: ask for at least {start}, or use another --workdir."
            )
        workdirs.record(config, workdir, start)
        pretrained.record(experiment.task, made_of, workdir)
        if first_process:
            before = total if recorded is None else recorded.task.get("total_steps", total)
            if before != total:
                _log.warning(
                    "From step %d on all schedules are those of a run of %d steps, not of %d: one "
                    "that decays to the end, such as cosine, jumps back up if the run is longer.",
                    start,
                    total,
                    before,
                )
            _log.info("%s", describe(experiment))
            others = pretrained.other_inputs(config)
            if others:
                _log.warning(
                    "The network of %s was trained on images prepared in another way: %s.",
                    config.init.workdir,
                    "; ".join(others),
                )
        if start:
            _log.info("Going on from step %d of %d.", start, total)
        writer = stack.enter_context(
            contextlib.closing(
                report.MetricWriter(
                    workdir,
                    start_step=start,
                    tensorboard=config.log.tensorboard,
                    wandb_project=config.log.wandb,
                    enabled=first_process,
                    check=(lambda: None) if held is None else held.check,
                )
            )
        )
        watch = report.CollapseWatch(enabled=first_process)
        with signals.Stop(agreed=jax.process_count() > 1) as stop:
            loop = _Loop(experiment, checkpoints, writer, evaluator, watch, progress, held)
            state = loop.run(state, stop)
            checkpoints.wait()
        # From here on all is saved, and a signal ends the process at once.
        done = int(state.step)
        if done < total or (stop.asked and jax.process_count() == 1):
            asked = stop.asked or signal.SIGTERM  # Another process was asked.
            what = "Interrupted" if asked == signal.SIGINT else "Terminated"
            _log.info("%s: the state of step %d is saved.", what, done)
            return asked
        progress.end_of_training()
        if held is not None:
            held.check()
        if config.evals.final:
            evaluator.report(state, workdir, writer)
        watch.remind()
    return None


@contextlib.contextmanager
def _alone(workdir: paths.Path) -> Iterator[lock.Lock | None]:
    """Holds the workdir's lock in the first process, for all of them."""
    with contextlib.ExitStack() as stack:
        held: list[lock.Lock] = []
        path = workdir / "lock.json"
        hosts.on_first(lambda: held.append(stack.enter_context(lock.hold(path))), path)
        yield held[0] if held else None


@contextlib.contextmanager
def _shown(workdir: paths.Path, held: lock.Lock | None) -> Iterator[None]:
    """Writes the page of the run when its training ends, also where it stopped or diverged.

    A page that cannot be written is told in one sentence, and changes nothing else.
    """
    try:
        yield
    except StoppedError:
        _show(workdir, held)
        raise
    _show(workdir, held)


def _show(workdir: paths.Path, held: lock.Lock | None) -> None:
    if held is None:  # Another process does it.
        return
    try:
        held.check()
        from ssljax import page  # Its libraries take a second to load.

        _log.info("The run is shown in %s.", page.write([workdir]))
    except Exception as error:
        _log.warning(
            "report.html could not be written (%s): python -m ssljax.report %s does it later.",
            brief(error),
            workdir,
        )


def describe(experiment: Experiment) -> str:
    """Says in one line what a run learns from, with which network, and where."""
    source, config = experiment.source, experiment.config
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(experiment.abstract_state.params))
    devices, networks = jax.devices(), [network.name for network in config.model.values()]
    images = experiment.task.batch_size * experiment.batches_per_step
    return (
        f"{source.summary()}; {config.method.name}, "
        f"{' and '.join(networks) or 'network'}, {count:,} parameters; {len(devices)} "
        f"{devices[0].platform} device(s) in {jax.process_count()} process(es); "
        f"{experiment.task.total_steps:,} steps of {images:,} images"
    )


class _Loop:
    """The loop over train steps, with what it reports and saves on the way."""

    def __init__(
        self,
        experiment: Experiment,
        checkpoints: Checkpoints,
        writer: report.MetricWriter,
        evaluator: Evaluator,
        watch: report.CollapseWatch,
        progress: report.Progress,
        held: lock.Lock | None,
    ) -> None:
        self._experiment = experiment
        self._checkpoints = checkpoints
        self._writer = writer
        self._evaluator = evaluator
        self._watch = watch
        self._progress = progress
        self._lock = held
        self._corrupt: Callable[[], int] = lambda: 0

    def run(self, state: TrainState, stop: signals.Stop) -> TrainState:
        """Runs from the state's step to the last, or until it is asked to stop."""
        experiment, config = self._experiment, self._experiment.config
        total = experiment.task.total_steps
        first = int(state.step)
        if first >= total:
            return state
        self._progress.doing = "opening the training images"
        stream = experiment.stream()
        self._corrupt = stream.corrupt
        images = experiment.task.batch_size * experiment.batches_per_step
        throughput = report.Throughput(images)
        late: tuple[int, Any] | None = None
        step_function, phase = None, -1
        with (
            contextlib.closing(stream.batches(first)) as batches,
            jax.transfer_guard("disallow"),
        ):
            for step in range(first, total):
                batch = next(batches)
                phase_now, phase_start = phase_at(experiment.method.phases, step)
                if step_function is None or phase_now != phase:
                    phase = phase_now
                    if step == phase_start and experiment.method.phases:
                        state = self._enter(phase, state)
                    step_function = self._compile(phase, state, stream, batch)
                    rounds = config.optimizer.accumulate if has_fast_control_flow() else 1
                    throughput.flops_per_step = report.flops(step_function, rounds)
                state, metrics = step_function(state, stream.constants, batch)
                if late is not None:
                    self._tell(*late, throughput)
                late = (step, metrics)
                throughput.step(batches.wait_s)
                done = step + 1
                due = self._evaluator.due(done) if done < total else ()
                save = done % config.checkpoint.every == 0 or done == total
                stops = _stops(stop, done)
                if due or save or stops:
                    # What is saved or scored is known to be finite: its metrics are read first.
                    self._tell(*late, throughput)
                    late = None
                    with jax.transfer_guard("allow"):
                        scores = self._evaluate(state, done, due) if due else None
                        if save or stops:
                            self._save(done, state, scores)
                    throughput.restart()
                if stops:
                    break
        return state

    def _enter(self, phase: int, state: TrainState) -> TrainState:
        enter = jax.jit(
            self._experiment.method_in(phase).enter_phase,
            donate_argnums=0,
            out_shardings=self._experiment.shardings,
        )
        return enter(state)

    def _compile(self, phase: int, state: TrainState, stream: Stream, batch: Any) -> Any:
        self._progress.doing = "compiling the train step"
        return compile_step(self._experiment, stream, phase).lower(
            state, stream.constants, batch
        ).compile()  # fmt: skip

    def _tell(self, step: int, metrics: Any, throughput: Any) -> None:
        """Reads a step's metrics, stops where they are not finite, and logs when it is time."""
        values = {name: float(x) for name, x in jax.device_get(metrics).items()}
        for name, value in values.items():
            if name.endswith(("/loss", "/param_norm")) and not math.isfinite(value):
                self._writer.write(step + 1, values)
                raise self._diverged(f"{name} is {value} at step {step}")
        done = step + 1
        due = done % self._experiment.config.log.every == 0 or done == self._progress.total
        if due:
            values |= throughput.read()
            if corrupt := self._corrupt():
                values["corrupt_images"] = float(corrupt)
            self._writer.write(done, values)
            self._watch.update(done, values)
        self._progress.update(done, values, show=due)

    def _save(self, step: int, state: TrainState, scores: Mapping[str, float] | None) -> None:
        if self._lock is not None:
            self._lock.check()
        self._writer.save()
        try:
            self._checkpoints.save(step, state, scores)
        except FloatingPointError as error:
            raise self._diverged(f"after step {step - 1} {error}") from error

    def _diverged(self, what: str) -> DivergedError:
        """Says what is not finite, and how to continue from the last sound checkpoint."""
        saved = self._checkpoints.steps()
        lower = "config.optimizer.learning_rate or set config.optimizer.clip_norm"
        if not saved:
            return DivergedError(f"{what}; no checkpoint was saved before; lower {lower}.")
        return DivergedError(
            f"{what}; the last sound checkpoint is that of step {saved[-1]}: to go on from it, "
            f"lower {lower}, and name the key that you change, as in "
            "--config.resume.accept=\"('optimizer.learning_rate',)\"."
        )

    def _evaluate(self, state: TrainState, step: int, due: Sequence[str]) -> Mapping[str, float]:
        self._progress.doing = "evaluating"
        scores = self._evaluator.score(state, due)
        if scores.values:
            self._writer.write(step, {f"eval/{name}": x for name, x in scores.values.items()})
        if scores.pictures or scores.notes:
            self._writer.write_pictures(step, scores.pictures)
            self._writer.write_notes(step, scores.notes)
        return scores.values


def compile_step(experiment: Experiment, stream: Stream, phase: int = 0) -> Any:
    """The jitted train step of one phase: `(state, constants, batch) -> (state, metrics)`.

    The state is donated; the metrics are whole on every device.
    """
    step = experiment.step(phase)
    return jax.jit(
        lambda state, constants, batch: step(state, stream.unpack(constants, batch)),
        donate_argnums=0,
        out_shardings=(experiment.shardings, mesh.replicated(experiment.mesh)),
    )


def _stops(stop: signals.Stop, step: int) -> bool:
    """Whether to stop after this many steps; the same answer in every process."""
    if jax.process_count() == 1:
        return stop.asked is not None
    return multihost_utils.reached_preemption_sync_point(step)
