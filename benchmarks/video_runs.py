"""Runs of methods that learn from videos, and the tables of what they have learnt.

The videos are those of the TFDS set `video_clips`: its last frames are held out of each, the others
are learnt from. Frames, optical flow, tracks and masks of what moves are made first, in the output
directory. SimCLR learns from the same frames as single images.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pathlib
import statistics
from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import plots, pretext_runs, runs
from ssljax import data
from ssljax.config import file as config_file
from ssljax.data.flow_files import decode_flow
from ssljax.methods.contract import Task
from ssljax.methods.video.motion_segmentation import MotionSegmentationTask, intersection_over_union
from ssljax.tools import motion_masks, motion_voting, prepare_video

DATASET = "video_clips"
_PREPARED = (
    *("--image_key", "frame", "--clip_key", "clip", "--time_key", "time"),
    *("--side", "128", "--holdout", "0.2", "--gap", "8"),
    # The videos are short, and little moves in them: by the paper's rules there would be 14 tracks.
    *("--track_length", "15", "--track_every", "1", "--track_box", "0.375"),
    *("--track_moving", "0.3", "--track_least", "0.05", "--track_kept", "0.25"),
)
_LEAST = 0.02
"""Share of a frame that must move for its mask to be kept; the paper's 10 % leaves few frames."""


class Trial(NamedTuple):
    """A run.

    Attributes:
      config: Name of its config.
      folder: What it learns from, below the directory of the family.
      changes: Further arguments.
    """

    config: str
    folder: str
    changes: tuple[str, ...] = ()


_THIN = (
    "--config.model.encoder.name=small",
    "--config.model.encoder.widths=(16,32,64)",
    "--config.model.encoder.convs_per_stage=2",
    "--config.evals.stages=('stage1','stage2','stage3')",
)
_STEPS = "--config.steps={}".format
TRIALS = {
    "motion_segmentation": Trial("motion_segmentation/frames:cpu", "masks", (_STEPS(300),)),
    "tracking": Trial("tracking/folder:cpu", "videos/tracks"),
    "shuffle_and_learn": Trial("shuffle_and_learn/folder:cpu", "videos/frames", (_STEPS(600),)),
    "sorting": Trial("shuffle_and_learn/folder:sorting_cpu", "videos/frames", (_STEPS(600),)),
    "video_colorization": Trial(
        "video_colorization/frames:cpu",
        "videos/frames",
        (_STEPS(400), "--config.data.motion=0.5", "--config.data.hop=2"),
    ),
    "simclr": Trial(
        "simclr/folder",
        "videos/frames",
        (
            *_THIN,
            _STEPS(300),
            "--config.data.image_size=96",
            "--config.data.cache=device",
            "--config.method.view.size=64",
            "--config.batch_size=64",
            "--config.optimizer.name=adamw",
            "--config.optimizer.learning_rate=2e-3",
            "--config.optimizer.scaling=none",
            "--config.optimizer.warmup_epochs=1.0",
        ),
    ),
}
"""`sorting` is the other form of `shuffle_and_learn`."""
_FOLLOWED = {"video_colorization": ("stage3", "tracker"), "tracking": ("stage3",)}
_FOLLOWED["simclr"] = _FOLLOWED["tracking"]
"""Whose features, or whose own way, labels follow through videos."""
_NO_TASK = ("simclr",)
_ELSEWHERE = "tiny_imagenet_100"
_BATCH = 64
"""Images that an evaluation sees at once; the questions about them depend on it."""
_EVALUATED = (
    "--config.evals.stages=('stage1','stage2','stage3')",
    f"--config.evals.batch_size={_BATCH}",
    "--config.evals.knn.neighbors=((20,0.07),)",
    f"--config.evals.transfer.sets=(('{_ELSEWHERE}','train[:5%]','validation'),)",
    "--config.evals.transfer.probes=('linear',)",
    "--config.evals.linear.holdout=True",
    "--config.evals.linear.epochs=10",
)


def home(asked: argparse.Namespace) -> pathlib.Path:
    """Where everything of the family is."""
    found: pathlib.Path = asked.out / "video"
    return found


def prepare(asked: argparse.Namespace) -> None:
    """Makes frames, flow, tracks and masks, unless they are there.

    Raises:
      ValueError: If one of the programs fails.
    """
    videos, masks = home(asked) / "videos", home(asked) / "masks"
    source = ("--dataset", DATASET, "--data_dir", asked.data_dir, "--out", str(videos))
    if prepare_video.main([*source, *_PREPARED]):
        raise ValueError(f"{DATASET} could not be prepared in {videos}.")
    made = [str(videos), "--out", str(masks), f"--least={_LEAST}"]
    if not (masks / motion_masks.RECORD).exists() and motion_masks.main(made):
        raise ValueError(f"No masks could be made of {videos}.")


def train(
    asked: argparse.Namespace, name: str, seed: int, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Trains a trial, scores its own task, and probes what it has learnt.

    Returns:
      What `runs.run` does: the scores of the task; "knn20" of the held-out images of its own data
      among those that it has learnt from, by the video that they are of; "linear" of Tiny ImageNet;
      and, of some, J and F of the masks that follow its features.
    """
    trial = TRIALS[name]
    final = [*(() if name in _NO_TASK else ("pretext",)), "knn", "transfer"]
    follow: tuple[str, ...] = ()
    if name in _FOLLOWED:
        final.append("propagation")
        follow = (
            "--config.evals.propagation.name=davis2",
            f"--config.evals.propagation.dir={asked.data_dir}",
            "--config.evals.propagation.split=train",
            f"--config.evals.propagation.stages={_FOLLOWED[name]}",
            "--config.evals.propagation.short_side=240",
        )
    if asked.data_dir:  # Where sets are looked for that are not the run's own.
        os.environ["TFDS_DATA_DIR"] = str(asked.data_dir)
    return runs.run(
        trial.config,
        home(asked) / f"{name}_{seed}",
        f"--config.seed={seed}",
        f"--config.data.dir={home(asked) / trial.folder}",
        *trial.changes,
        *_EVALUATED,
        *follow,
        f"--config.evals.final={tuple(final)}",
        cores=cores,
    )


def table(results: dict[str, list[dict]]) -> str:
    """Lays the results out as Markdown, in per cent.

    Args:
      results: By trial, what `train` gives for each seed.

    Returns:
      Own scores and probes, a row a trial, trained / random network; and labels that follow
      features through videos.
    """
    pixels = next(iter(results.values()))[0]["scores"]["raw pixels"]
    beside = [plots.cell([pixels[probe.format("stage1")]]) for probe in _COLUMNS.values()]
    lines = [
        f"| method | own score (a guess) | stage | {' | '.join(_COLUMNS)} | seeds | minutes |",
        "|---|---|---|---:|---:|---:|---:|",
        f"| raw pixels | | | {' | '.join(beside)} | | |",
    ]
    for name, made in results.items():
        stages, cells = [], []
        for network in ("trained network", "random network"):
            found = [run["scores"][network] for run in made]
            best = [_best_stage(scores) for scores in found]
            stages.append(", ".join(dict.fromkeys(best)))
            cells.append(
                [
                    plots.cell([x[probe.format(s)] for x, s in zip(found, best, strict=True)])
                    for probe in _COLUMNS.values()
                ]
            )
        both = [f"**{trained}** / {random}" for trained, random in zip(*cells, strict=True)]
        minutes = statistics.mean(run["seconds"] for run in made) / 60
        row = [name, _own_scores(made), " / ".join(stages), *both, str(len(made))]
        lines.append(f"| {' | '.join(row)} | {minutes:.1f} |")
    return "\n".join([*lines, "", _propagation_table(results)])


_COLUMNS = {
    "kNN, held-out images to videos": "{}/knn20",
    "linear, Tiny ImageNet 100": f"{_ELSEWHERE}/{{}}/linear",
}


def _best_stage(scores: dict[str, float]) -> str:
    """The stage whose linear probe is best on held-out images of train."""
    own = {
        name.removeprefix(f"{_ELSEWHERE}/"): value
        for name, value in scores.items()
        if name.startswith(_ELSEWHERE)
    }
    return pretext_runs.best_stage(own)


def _own_scores(made: list[dict]) -> str:
    if "chance" not in made[0]["scores"]:
        return ""
    return pretext_runs.own_scores(made)


def _propagation_table(results: dict[str, list[dict]]) -> str:
    """J and F of labels that follow features through the videos of DAVIS."""
    made = {name: [run["scores"] for run in results[name]] for name in results if name in _FOLLOWED}
    rows: dict[str, list[str]] = {}
    for name, found in made.items():
        for network, scores in found[0].items():
            keys = [key.rpartition("/") for key in scores]
            for stage in dict.fromkeys(stage for stage, _, key in keys if key == _FOLLOWING[0]):
                way = f"{name}, {stage or _FOLLOWED[name][0]}"
                told = {"trained network": f"**{way}**", "random network": f"{way}, random"}
                rows[told.get(network, network)] = [
                    plots.cell([run[network][f"{stage}/{score}".lstrip("/")] for run in found])
                    for score in _FOLLOWING
                ]
    if not rows:
        return ""
    lines = ["| labels follow | J and F | J | F |", "|---|---:|---:|---:|"]
    return "\n".join([*lines, *(f"| {way} | {' | '.join(row)} |" for way, row in rows.items())])


_FOLLOWING = ("j_and_f", "j_mean", "f_mean")


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
    config = config_file.load(TRIALS["motion_segmentation"].config)
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
        "folder", split, data_dir=str(home(asked) / "masks"), parts=data.Parts(mask_classes=2)
    )
    frame = data.Frame(config.data.image_size, 3)
    moves, flow = [], []
    for start in range(0, len(source), _BATCH):
        places = range(start, min(start + _BATCH, len(source)))
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


def told(asked: argparse.Namespace, results: dict[str, list[dict]]) -> str:
    """Everything that is written of the family, as Markdown."""
    counts = json.loads((home(asked) / "masks" / motion_masks.RECORD).read_text())["frames"]
    frames, tracks = (
        {
            split: sum(1 for _ in (home(asked) / "videos" / kind / split).rglob(f"*{name}"))
            for split in ("train", "test")
        }
        for kind, name in (("frames", ".jpg"), ("tracks", "0.jpg"))
    )
    text = (
        f"{DATASET}: {frames['train']} frames to train on and {frames['test']} to test on, "
        f"{tracks['train']} and {tracks['test']} tracks, {counts['train'].get('kept', 0)} and "
        f"{counts['test'].get('kept', 0)} masks. Trained / random network, per cent.\n\n"
        f"{table(results)}\n"
    )
    if "motion_segmentation" in results:
        floors = itertools.starmap(
            lambda name, value: f"{name} {100 * value:.1f}", motion_floors(asked).items()
        )
        text += f"\nMasks of what moves, intersection over union: {', '.join(floors)}.\n"
    return text
