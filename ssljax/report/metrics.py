"""Metrics and pictures of a run: JSON lines, PNG files, TensorBoard, and Weights & Biases."""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from ssljax.errors import UserError
from ssljax.report.pictures import Picture, save_pictures


class MetricWriter:
    """Writes scalars by step to `metrics.jsonl` and to TensorBoard files in `tensorboard/`.

    Pictures go to `pictures/` and to TensorBoard.

    A run that resumes at an earlier step than its last line cuts the lines from that step on, so
    that no step stands twice.

    Args:
      workdir: The run's directory.
      start_step: Finished steps as the run begins; later lines of a former attempt are cut.
      tensorboard: Whether to write TensorBoard files.
      wandb_project: Project of Weights & Biases to send the scalars to; empty for none.
      enabled: False makes a writer that writes nothing, for all processes but the first.

    Raises:
      UserError: if Weights & Biases is asked for and not installed.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        start_step: int = 0,
        tensorboard: bool = True,
        wandb_project: str = "",
        enabled: bool = True,
    ) -> None:
        self._lines: Any = None
        self._tensorboard: Any = None
        self._wandb: Any = None
        self._pictures = workdir / "pictures"
        if not enabled:
            return
        workdir.mkdir(parents=True, exist_ok=True)
        if wandb_project:
            self._wandb = _start_wandb(wandb_project, workdir)
        path = workdir / "metrics.jsonl"
        if path.exists():
            lines = path.read_text(errors="replace").splitlines()
            kept = [line for line in lines if _is_before(line, start_step)]
            # Written beside and renamed: a kill in between loses nothing.
            rewritten = path.with_suffix(".tmp")
            rewritten.write_text("".join(line + "\n" for line in kept))
            rewritten.replace(path)
        self._lines = path.open("a")
        if tensorboard:
            # Its `SummaryWriter` writes in a thread, whose death on a full disk nobody learns of.
            (workdir / "tensorboard").mkdir(exist_ok=True)
            self._tensorboard = EventsWriter(str(workdir / "tensorboard" / "events"))
            start = SessionLog(status=SessionLog.START)
            self._tensorboard.write_event(Event(step=start_step + 1, session_log=start))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes one line.

        Args:
          step: Finished train steps.
          scalars: Values by name; one that is not finite is written as null.
        """
        finite = {name: float(x) if math.isfinite(x) else None for name, x in scalars.items()}
        if self._lines is not None:
            self._lines.write(json.dumps({"step": step, **finite}) + "\n")
            self._lines.flush()
        if self._tensorboard is not None:
            self._write_summary(
                step, [Summary.Value(tag=name, simple_value=x) for name, x in scalars.items()]
            )
        if self._wandb is not None:
            self._wandb.log(dict(scalars), step=step)

    def write_pictures(self, step: int, pictures: Mapping[str, Picture]) -> None:
        """Writes pictures as `pictures/<name>_<step>.png`.

        Args:
          step: Finished train steps.
          pictures: By name.
        """
        if self._lines is None:
            return
        for name, png in save_pictures(self._pictures, step, pictures).items():
            if self._tensorboard is not None:
                height, width, channels = pictures[name].shape
                image = Summary.Image(
                    height=height, width=width, colorspace=channels, encoded_image_string=png
                )
                self._write_summary(step, [Summary.Value(tag=f"pictures/{name}", image=image)])

    def _write_summary(self, step: int, values: Sequence[Summary.Value]) -> None:
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._tensorboard.write_event(event)
        self._tensorboard.flush()

    def close(self) -> None:
        """Closes the files, all of them also where one cannot be written."""
        with contextlib.ExitStack() as stack:
            for file in (self._lines, self._tensorboard):
                if file is not None:
                    stack.callback(file.close)
            if self._wandb is not None:
                stack.callback(self._wandb.finish)


def _is_before(line: str, start_step: int) -> bool:
    """Whether a line is whole, and of a step that will not be written again."""
    try:
        return json.loads(line)["step"] <= start_step
    except (json.JSONDecodeError, KeyError, TypeError):
        return False


def _start_wandb(project: str, workdir: pathlib.Path) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise UserError(
            f"config.log.wandb={project!r} needs Weights & Biases: pip install 'ssljax[wandb]'."
        ) from error
    run = workdir.absolute().name
    return wandb.init(project=project, dir=str(workdir), name=run, id=run, resume="allow")
