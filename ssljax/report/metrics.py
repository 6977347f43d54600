"""Metrics and pictures of a run: JSON lines, PNG files, TensorBoard, and Weights & Biases."""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from ssljax import paths
from ssljax.errors import StoppedError, UserError, is_refused, refusal
from ssljax.report.pictures import Picture, save_notes, save_pictures

_LONGEST_UNSAVED_S = 60.0
"""Seconds after which what is bound for a bucket is copied there, if no checkpoint is saved."""


class MetricWriter:
    """Writes scalars by step to `metrics.jsonl` and to TensorBoard files in `tensorboard/`.

    Pictures go to `pictures/` and to TensorBoard.

    A run that resumes at an earlier step than its last line cuts the lines from that step on, so
    that no step stands twice.

    Nothing in a bucket can be appended to: there both files grow on the disk and are copied whole,
    once a minute and with `save`.

    Args:
      workdir: The run's directory.
      start_step: Finished steps as the run begins; later lines of a former attempt are cut.
      tensorboard: Whether to write TensorBoard files.
      wandb_project: Project of Weights & Biases to send the scalars to; empty for none.
      enabled: False makes a writer that writes nothing, for all processes but the first.
      check: Called before anything is written; raises if this process may not write any more.

    Raises:
      UserError: If Weights & Biases is asked for and not installed.
    """

    def __init__(
        self,
        workdir: paths.Path,
        start_step: int = 0,
        tensorboard: bool = True,
        wandb_project: str = "",
        enabled: bool = True,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._lines: Any = None
        self._tensorboard: Any = None
        self._wandb: Any = None
        self._workdir, self._pictures = workdir, workdir / "pictures"
        self._check, self._saved = check, time.monotonic()
        self._copied: tempfile.TemporaryDirectory[str] | None = None
        if not enabled:
            return
        paths.make_directory(workdir)
        if paths.is_remote(workdir):
            self._copied = tempfile.TemporaryDirectory(prefix="ssljax-metrics-")
        local = pathlib.Path(self._copied.name if self._copied else workdir)
        if wandb_project:
            self._wandb = _start_wandb(wandb_project, local, workdir.name)
        path = workdir / "metrics.jsonl"
        kept = []
        if path.exists():
            lines = paths.read(path).decode(errors="replace").splitlines()
            kept = [line for line in lines if _is_before(line, start_step)]
        paths.write(local / path.name, "".join(line + "\n" for line in kept))
        self._lines = (local / path.name).open("a")
        if tensorboard:
            # Its `SummaryWriter` writes in a thread, which dies unnoticed on a full disk.
            (local / "tensorboard").mkdir(exist_ok=True)
            self._tensorboard = EventsWriter(str(local / "tensorboard" / "events"))
            start = SessionLog(status=SessionLog.START)
            self._tensorboard.write_event(Event(step=start_step + 1, session_log=start))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes one line.

        Args:
          step: Finished train steps.
          scalars: Values by name; one that is not finite is written as null.
        """
        self._check()
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
        if time.monotonic() - self._saved > _LONGEST_UNSAVED_S:
            self.save()

    def save(self) -> None:
        """Copies to a bucket what is bound for it; on a disk all is there already.

        Raises:
          StoppedError: If the store refuses it.
        """
        self._saved = time.monotonic()
        if self._copied is None:
            return
        self._check()
        local = pathlib.Path(self._copied.name)
        for file in (local / "metrics.jsonl", *(local / "tensorboard").glob("*")):
            target = self._workdir / str(file.relative_to(local))
            try:
                paths.upload(file, target)
            except Exception as error:
                if not is_refused(error):
                    raise
                raise StoppedError(refusal(error, target)) from error

    def write_pictures(self, step: int, pictures: Mapping[str, Picture]) -> None:
        """Writes pictures as `pictures/<name>_<step>.png`.

        Args:
          step: Finished train steps.
          pictures: By name.
        """
        if self._lines is None:
            return
        self._check()
        for name, png in save_pictures(self._pictures, step, pictures).items():
            if self._tensorboard is not None:
                height, width, channels = pictures[name].shape
                image = Summary.Image(
                    height=height, width=width, colorspace=channels, encoded_image_string=png
                )
                self._write_summary(step, [Summary.Value(tag=f"pictures/{name}", image=image)])

    def write_notes(self, step: int, notes: Mapping[str, Any]) -> None:
        """Writes what belongs to pictures and is none as `pictures/<name>_<step>.json`.

        Args:
          step: Finished train steps.
          notes: By name, what JSON can hold.
        """
        if self._lines is None or not notes:
            return
        self._check()
        save_notes(self._pictures, step, notes)

    def _write_summary(self, step: int, values: Sequence[Summary.Value]) -> None:
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._tensorboard.write_event(event)
        self._tensorboard.flush()

    def close(self) -> None:
        """Closes the files, all of them also where one cannot be written."""
        with contextlib.ExitStack() as stack:
            if self._copied is not None:
                stack.callback(self._copied.cleanup)
                stack.callback(self.save)
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


def _start_wandb(project: str, directory: pathlib.Path, run: str) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise UserError(
            f"config.log.wandb={project!r} needs Weights & Biases: pip install 'ssljax[wandb]'."
        ) from error
    return wandb.init(project=project, dir=str(directory), name=run, id=run, resume="allow")
