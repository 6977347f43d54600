"""Runs of methods that learn from videos, and the tables of what they have learnt.

They learn from what `benchmarks.video_sets` makes; SimCLR learns from the same frames as single
images.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Collection
from typing import Any, NamedTuple

import cv2
import numpy as np

from benchmarks import plots, pretext_runs, runs
from benchmarks.video_floors import BATCH, CONFIG, motion_floors
from benchmarks.video_sets import DATASET, PICTURED, home
from ssljax.tools import motion_masks


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
_CACHED = "--config.data.cache=device"
_ORDERS = (_STEPS(600), _CACHED)
TRIALS = {
    "motion_segmentation": Trial(CONFIG, "masks", (_STEPS(300),)),
    "tracking": Trial("tracking/folder:cpu", "videos/tracks", (_CACHED,)),
    "shuffle_and_learn": Trial("shuffle_and_learn/folder:cpu", "videos/frames", _ORDERS),
    "sorting": Trial("shuffle_and_learn/folder:sorting_cpu", "videos/frames", _ORDERS),
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
            _CACHED,
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
_CROPS, _ELSEWHERE = "folder", "tiny_imagenet_100"
"""What the sets of windows of frames, and of other images, are called in the scores."""
_EVALUATED = (
    "--config.evals.stages=('stage1','stage2','stage3')",
    f"--config.evals.batch_size={BATCH}",
    "--config.evals.knn.neighbors=((20,0.07),)",
    "--config.evals.transfer.probes=('knn','linear')",
    "--config.evals.linear.holdout=True",
    "--config.evals.linear.epochs=10",
)


def train(
    asked: argparse.Namespace, name: str, seed: int, cores: Collection[int] | None = None
) -> dict[str, Any]:
    """Trains a trial, scores its own task, and probes what it has learnt.

    Returns:
      What `runs.run` does: the scores of the task; "knn20" and "linear" of windows of held-out
      frames, by the video that they are of, and of Tiny ImageNet; and, of some, J and F of the
      masks that follow its features. Raw pixels are alike for all, and are probed by the first.
    """
    trial = TRIALS[name]
    final = [*(() if name in _NO_TASK else ("pretext",)), "transfer"]
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
    images = (_ELSEWHERE, "train[:10%]", "validation", *filter(None, [str(asked.data_dir)]))
    sets = (_CROPS, "train", "test", str(home(asked) / "crops")), images
    return runs.run(
        trial.config,
        home(asked) / f"{name}_{seed}",
        *_learns(asked, name, seed),
        *_EVALUATED,
        f"--config.evals.transfer.sets={sets}",
        f"--config.evals.transfer.pixels={name == next(iter(TRIALS))}",
        *follow,
        f"--config.evals.final={tuple(final)}",
        cores=cores,
    )


def _learns(asked: argparse.Namespace, name: str, seed: int) -> list[str]:
    """The arguments that say what a trial learns."""
    trial = TRIALS[name]
    own = f"--config.seed={seed}", f"--config.data.dir={home(asked) / trial.folder}"
    return [*own, *trial.changes]


def table(results: dict[str, list[dict]]) -> str:
    """Lays the results out as Markdown, in per cent.

    Args:
      results: By trial, what `train` gives for each seed.

    Returns:
      Own scores and probes, a row a trial, trained / random network, each at its best stage by
      held-out images of train; and labels that follow features through videos.
    """
    columns = _COLUMNS
    lines = [
        f"| method | own score (a guess) | {' | '.join(columns)} | seeds | minutes |",
        "|---|---|" + "---:|" * (len(columns) + 2),
    ]
    if pixels := next(iter(results.values()))[0]["scores"].get("raw pixels"):
        beside = [plots.cell([pixels[f"{of}/stage1/{probe}"]]) for of, probe in columns.values()]
        lines.append(f"| raw pixels | | {' | '.join(beside)} | | |")
    for name, made in results.items():
        cells = []
        for of, probe in columns.values():
            both, stages = [], []
            for network in ("trained network", "random network"):
                found = [run["scores"][network] for run in made]
                best = [_best_stage(scores, of) for scores in found]
                values = [x[f"{of}/{s}/{probe}"] for x, s in zip(found, best, strict=True)]
                both.append(plots.cell(values))
                stages.append(", ".join(dict.fromkeys(x.removeprefix("stage") for x in best)))
            cells.append(f"**{both[0]}** / {both[1]} ({' / '.join(stages)})")
        minutes = statistics.mean(run["seconds"] for run in made) / 60
        row = [name, _own_scores(made), *cells, str(len(made))]
        lines.append(f"| {' | '.join(row)} | {minutes:.1f} |")
    return "\n".join([*lines, "", _propagation_table(results)])


_COLUMNS = {
    "kNN, grey windows of frames to videos (stages)": (_CROPS, "knn20"),
    "kNN, Tiny ImageNet 100 (stages)": (_ELSEWHERE, "knn20"),
    "linear, Tiny ImageNet 100 (stages)": (_ELSEWHERE, "linear"),
}
"""Set and probe."""


def _best_stage(scores: dict[str, float], of: str) -> str:
    """The stage whose linear probe of a set is best on held-out images of its train."""
    own = {
        name.removeprefix(f"{of}/"): value
        for name, value in scores.items()
        if name.startswith(f"{of}/")
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
            lambda name, value: f"{name} {100 * value:.1f}",
            motion_floors(asked).items(),
        )
        text += f"\nMasks of what moves, intersection over union: {', '.join(floors)}.\n"
    if all(name in results for name in _STRIP):
        followed_strip(asked)
    return text


_STRIP = {
    "video_colorization": ("--config.evals.propagation.stages=('tracker',)",),
    "tracking": (
        "--config.evals.propagation.stages=('stage3',)",
        "--config.evals.propagation.short_side=240",
    ),
}
"""By whose features masks are followed in pictures, and how."""


def followed_strip(asked: argparse.Namespace, seed: int = 0) -> None:
    """Writes `followed.jpg`: the first mask of some clips, as it is taken through them.

    The rows of a clip are the first mask in every frame, what the random networks of `_STRIP` say,
    and what the trained ones do.
    """
    said: dict[str, list[list[np.ndarray]]] = {"random": [], "trained": []}
    for name, how in _STRIP.items():
        workdir = home(asked) / f"{name}_{seed}"
        runs.evaluate(
            TRIALS[name].config,
            workdir,
            "followed",
            *_learns(asked, name, seed),
            "--config.evals.final=('propagation',)",
            f"--config.evals.propagation.dir={home(asked) / 'first_masks'}",
            *how,
        )
        for network, rows in said.items():
            (file,) = workdir.glob(f"scores-*-pictures/propagation_{network}_*.png")
            picture = cv2.imread(str(file))
            assert picture is not None
            # Two rows a clip: the masks that are stored, and what is said.
            rows.append(np.array_split(picture, 2 * len(PICTURED)))
    shown = []
    for clip in range(len(PICTURED)):
        shown.append(said["random"][0][2 * clip])
        shown += [rows[2 * clip + 1] for network in said.values() for rows in network]
    cv2.imwrite(str(home(asked) / "followed.jpg"), np.concatenate(shown))
