"""Plain answers to the question that `motion_segmentation` is asked: what moves in a frame."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.video_sets import home
from ssljax import data
from ssljax.config import file as config_file
from ssljax.data.flow_files import decode_flow
from ssljax.methods.contract import Task
from ssljax.methods.video.motion_segmentation import MotionSegmentationTask, intersection_over_union
from ssljax.tools import motion_voting

CONFIG = "motion_segmentation/frames:cpu"
BATCH = 64
"""Images that an evaluation sees at once; the questions about them depend on it."""


def motion_floors(asked: argparse.Namespace, seed: int = 0) -> dict[str, float]:
    """Intersection over union of plain answers, about the questions that the network is asked.

    Args:
      asked: The command line.
      seed: Of the run whose questions they are.

    Returns:
      Of "everything"; of "one mask", the places that move in more than a share of the training
      frames; and of "thresholded flow", less the camera's motion, which sees the next frame as
      well. Share and threshold are those that are best on the training frames. Questions without
      a sure place are left out.
    """
    config = config_file.load(CONFIG)
    side = config.data.image_size
    task = Task((side, side, 3), config.batch_size, 1, 1.0)
    asking = MotionSegmentationTask(config.method, task, "float32")
    split = {name: _asked(asked, asking, config, name, seed) for name in ("train", "test")}
    answers = {"everything": lambda part, _: np.ones_like(part.moves, bool)}
    usual = np.sum(split["train"].moves == 1, axis=0) / np.maximum(
        np.sum(split["train"].moves >= 0, axis=0), 1
    )
    answers["one mask"] = lambda part, share: np.broadcast_to(usual > share, part.moves.shape)
    answers["thresholded flow"] = lambda part, share: part.flow > 5 * share
    shares = np.linspace(0.02, 0.98, 49)
    found = {}
    for name, answer in answers.items():

        def score(part: _Part, share: float, answer: Any = answer) -> float:
            return float(
                np.nanmean(
                    intersection_over_union(*map(jnp.asarray, (answer(part, share), part.moves)))
                )
            )

        best = max(shares, key=lambda share: score(split["train"], share))
        found[name] = score(split["test"], best)
    return found


class _Part(NamedTuple):
    """The questions about a split: what moves in each place, and how far flow says."""

    moves: np.ndarray
    flow: np.ndarray


def _asked(
    asked: argparse.Namespace, asking: MotionSegmentationTask, config: Any, split: str, seed: int
) -> _Part:
    source = data.open_source(
        "folder",
        split,
        data_dir=str(home(asked) / "masks"),
        parts=data.Parts(mask_classes=2),
    )
    frame = data.Frame(config.data.image_size, 3)
    moves, flow = [], []
    for start in range(0, len(source), BATCH):
        places = range(start, min(start + BATCH, len(source)))
        batch = data.load_all(
            data.Subset(source, np.array(places)),
            image_size=config.data.image_size,
            channels=3,
        )
        lengths = np.stack([_flow_of(asked, source.describe(place), frame) for place in places])
        key = jax.random.fold_in(jax.random.key(seed), start)
        for kind, mask in ((moves, batch["mask"]), (flow, lengths)):
            fields = {"image": jnp.asarray(batch["image"]), "mask": jnp.asarray(mask)}
            targets = asking.ask(key, fields).targets
            kind.append(np.asarray(targets["mask"]))
    return _Part(np.concatenate(moves), np.concatenate(flow) / _LEVELS)


_LEVELS = 100
"""Parts of a pixel in which the length of flow is counted, as masks are whole numbers."""


def _flow_of(asked: argparse.Namespace, file: str, frame: data.Frame) -> np.ndarray:
    """How far what is in a frame moves by itself, placed as the frame is."""
    split, _, video, name = pathlib.Path(file).parts[-4:]
    stored = home(asked) / "videos/flow" / split / video / f"{pathlib.Path(name).stem}.png"
    lengths = motion_voting.own_motion(decode_flow(stored.read_bytes()))
    whole = np.round(_LEVELS * lengths).astype(np.int32)
    return data.Mask(void=-1).decode(whole, frame, None)
