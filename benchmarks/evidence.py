"""Trains a family of methods on real images, and writes what each of them learnt as a table.

    python -m benchmarks.evidence --family joint --data_dir DIR [--methods simclr,byol] [--seeds 1]
        [--jobs 2]
    python -m benchmarks.evidence --family adversarial --data_dir DIR
    python -m benchmarks.evidence --family inference --data_dir DIR
    python -m benchmarks.evidence --family pretext --data_dir DIR [--data_name NAME]
    python -m benchmarks.evidence --family multi_task --data_dir DIR [--data_name NAME]
    python -m benchmarks.evidence --family translation --data_dir DIR
    python -m benchmarks.evidence --family segmentation --data_dir DIR
    python -m benchmarks.evidence --family multi_label --data_dir DIR
    python -m benchmarks.evidence --family transfer --data_dir DIR [--data_name NAME]
    python -m benchmarks.evidence --family detection --data_dir DIR
    python -m benchmarks.evidence --family video --data_dir DIR

Every run is the command line of its config, in a process of its own; a run that is already in the
output directory is not repeated. A method that is followed by the name of a variant, such as
`progan:from_the_start`, is that variant of its config. All scores are those of the last step. An
encoder stands beside the same network with random weights and the raw pixels; a generator beside
one with random weights and held-out real images. Generators of images of one size are compared by
the features of one encoder, which is trained first. An encoder that is a generator's inverse, of
`inference`, stands beside the same, and reconstructions beside those of random networks and the
share of the commonest class.

Every pretext task has the same encoder, images, batch and steps. Beside its own score, with that of
a guess, stand probes of the best layer of the trained and of the random network: for each, the one
whose linear probe is best on images of train that this probe did not learn from. The network that
has learnt from all labels knows those images' labels too: it is probed at its last layer.
`multi_task` compares the tasks over one encoder with each task alone, for as many steps in all.

A network that segments streets is scored by masks: linear heads on pixels and on frozen encoders,
several heads on one dilated encoder, and the same from scratch and from SimCLR, with all masks and
with few, for equally many steps. The dense CRF follows the best, as the validation split has it.

A translator stands beside the images as they were, and beside itself without cycles in the loss;
the translations of digits that a rule has changed are known, and compared with.

`multi_label` and `transfer` are described in `benchmarks.transfer_runs`.
`video` is described in `benchmarks.video_runs`.
A detector whose encoder has learnt without labels stands beside the same from a random one, with
encoders that learn on and with frozen ones.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Collection, Sequence
from typing import Any

from benchmarks import (
    detection_runs,
    plots,
    pretext_runs,
    runs,
    segmentation_crf,
    segmentation_runs,
    transfer_runs,
    translation_runs,
    video_runs,
    video_sets,
)
from ssljax.config import file as config_file

FAMILIES = {
    "joint": (
        "simclr", "moco", "moco_v3", "byol", "simsiam", "swav", "dino",
        "barlow_twins", "vicreg", "nnclr", "dcl", "deepcluster_v2", "mae",
        "simmim", "ijepa", "lejepa", "ibot", "dinov2",
    ),
    "adversarial": (
        "dcgan", "wgan", "wgan_gp", "sngan", "ebgan", "cgan", "sgan", "ssgan",
        "progan", "progan:from_the_start",
    ),
    "translation": translation_runs.TRIALS,
    "segmentation": segmentation_runs.TRIALS,
    "detection": tuple(detection_runs.TRIALS),
    "inference": ("bigan", "bigbigan"),
    "multi_label": transfer_runs.STARTS,
    "transfer": tuple(transfer_runs.SOURCES),
    "video": tuple(video_runs.TRIALS),
}  # fmt: skip
PRETEXT = ("pretext", "multi_task")
"""Families whose methods depend on the registries, or on a config."""
PROBES = {"kNN": "knn20", "linear": "linear", "10 labels a class": "labels_10"}
EXTRACTOR = "simclr"
"""Method of the encoder by whose features generators are compared."""


def table(results: dict[str, list[dict]]) -> str:
    """Lays the results out as Markdown.

    Args:
      results: By method, the contents of `scores.json` of each seed, with "seconds".

    Returns:
      A row a method, in per cent; each cell is trained / random network.
    """
    first = next(iter(results.values()))[0]["scores"]
    columns = [name for name in first["trained network"] if not name.endswith("_std")]
    pixels = [plots.cell([first["raw pixels"][column]]) for column in columns]
    lines = [
        "| method | " + " | ".join(columns) + " | kNN gain | seeds | minutes |",
        "|---|" + "---:|" * (len(columns) + 3),
        "| raw pixels | " + " | ".join(pixels) + " | | | |",
    ]
    for method, trials in results.items():
        cells = []
        for column in columns:
            trained = plots.cell([run["scores"]["trained network"][column] for run in trials])
            chance = plots.cell([run["scores"]["random network"][column] for run in trials])
            cells.append(f"**{trained}** / {chance}")
        gain = [
            run["scores"]["trained network"]["knn20"] - run["scores"]["random network"]["knn20"]
            for run in trials
        ]
        minutes = statistics.mean(run["seconds"] for run in trials) / 60
        cells += [f"+{plots.cell(gain)}", str(len(trials)), f"{minutes:.1f}"]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def generator_table(results: dict[str, list[dict]]) -> str:
    """Lays the results of generators out as Markdown.

    Args:
      results: By method, the contents of `scores.json` of each seed, with "seconds".

    Returns:
      A row a method; "way" is the share of the way from the random generator to the held-out real
      images that training has gone, by FID, in per cent.
    """
    first = next(iter(results.values()))[0]["scores"]
    names = [
        next(name for name in first["trained generator"] if name.startswith(metric))
        for metric in ("fid_", "kid_")
    ]
    floor = [first["held-out reals"][name] for name in names]
    lines = [
        "| method | FID random | FID trained | way | KID random | KID trained | seeds | minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        f"| held-out reals | | {floor[0]:.4f} | 100 | | {floor[1]:.4f} | | |",
    ]
    for method, trials in results.items():
        means = {
            (network, name): statistics.mean(run["scores"][network][name] for run in trials)
            for network in ("random generator", "trained generator")
            for name in names
        }
        random, trained = (means[f"{kind} generator", names[0]] for kind in ("random", "trained"))
        way = 100 * (random - trained) / (random - floor[0])
        kid = [means[f"{kind} generator", names[1]] for kind in ("random", "trained")]
        minutes = statistics.mean(run["seconds"] for run in trials) / 60
        lines.append(
            f"| {method} | {random:.2f} | **{trained:.3f}** | {way:.0f} | {kid[0]:.3f} | "
            f"**{kid[1]:.4f}** | {len(trials)} | {minutes:.1f} |"
        )
    return "\n".join([*lines, "", f"Scores: `{names[0]}`, `{names[1]}`."])


def inference_table(results: dict[str, list[dict]]) -> str:
    """Lays the results of encoders that are inverses of generators out as Markdown.

    Args:
      results: By method, the contents of `scores.json` of each seed, with "seconds".

    Returns:
      A row a method, in per cent but for decibels; each cell is trained / random network, with
      chance in brackets where there is one.
    """
    columns = PROBES | {"class agreement": "class_agreement", "PSNR": "reconstruction_psnr"}
    first = next(iter(results.values()))[0]["scores"]
    pixels, chance = first["raw pixels"], first["chance"]
    lines = [
        "| method | " + " | ".join(columns) + " | seeds | minutes |",
        "|---|" + "---:|" * (len(columns) + 2),
        "| raw pixels | "
        + " | ".join(plots.cell([pixels[x]]) if x in pixels else "" for x in columns.values())
        + " | | |",
    ]
    for method, trials in results.items():
        cells = []
        for column in columns.values():
            share = 0.01 if column.endswith("psnr") else 1.0  # A level in dB is no share.
            trained, random = (
                plots.cell([share * run["scores"][f"{network} network"][column] for run in trials])
                for network in ("trained", "random")
            )
            beside = f" ({plots.cell([chance[column]])})" if column in chance else ""
            cells.append(f"**{trained}** / {random}{beside}")
        minutes = statistics.mean(run["seconds"] for run in trials) / 60
        cells += [str(len(trials)), f"{minutes:.1f}"]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def pretext_table(results: dict[str, list[dict]]) -> str:
    """Lays the results of pretext tasks out as Markdown.

    Args:
      results: By method, the contents of `scores.json` of each seed, with "seconds", of several
        stages and with "linear_holdout" of each.

    Returns:
      A row a method, in per cent: its own scores (a "psnr" in dB), trained, random and a guess; the
      best stages of the trained and of the random network; and each probe there.
    """
    pixels = next(iter(results.values()))[0]["scores"]["raw pixels"]
    any_stage = pretext_runs.best_stage(pixels)  # Pixels have one stage, under every name.
    beside = [plots.cell([pixels[f"{any_stage}/{name}"]]) for name in PROBES.values()]
    lines = [
        "| method | own score (a guess) | stage | " + " | ".join(PROBES) + " | seeds | minutes |",
        "|---|---|---|" + "---:|" * (len(PROBES) + 2),
        "| raw pixels | | | " + " | ".join(beside) + " | | |",
    ]
    for method, trials in results.items():
        stages, cells = [], {name: [] for name in PROBES}
        for network in ("trained network", "random network"):
            found = [run["scores"][network] for run in trials]
            learnt = (method, network) == (pretext_runs.SUPERVISED, "trained network")
            choose = pretext_runs.last_stage if learnt else pretext_runs.best_stage
            best = [choose(scores) for scores in found]
            stages.append(", ".join(dict.fromkeys(best)))
            for name, probe in PROBES.items():
                values = [scores[f"{s}/{probe}"] for s, scores in zip(best, found, strict=True)]
                cells[name].append(plots.cell(values))
        both = [f"**{trained}** / {random}" for trained, random in cells.values()]
        minutes = statistics.mean(run["seconds"] for run in trials) / 60
        row = [method, pretext_runs.own_scores(trials), " / ".join(stages), *both]
        lines.append(f"| {' | '.join(row)} | {len(trials)} | {minutes:.1f} |")
    return "\n".join(lines)


def methods_of(family: str, config: str) -> tuple[str, ...]:
    """The methods of a family, by the config of each."""
    if family == "pretext":
        return (*pretext_runs.solvers(), pretext_runs.SUPERVISED)
    if family == "multi_task":
        return ("multi_task", *config_file.load(f"multi_task/{config}").method.tasks)
    return FAMILIES[family]


def config_of(method: str, config: str) -> str:
    """The config of a method, or of the variant of it that is named behind a colon."""
    name, colon, variant = method.partition(":")
    return f"{name}/{config}{colon}{variant}"


def side_of(method: str, config: str) -> int:
    """Side of the images, in pixels, that a method learns from."""
    return int(config_file.load(config_of(method, config)).data.image_size)


def main() -> None:
    """Runs what is missing and writes the table."""
    parser = pretext_runs.parser(__doc__, "runs/evidence")
    parser.set_defaults(config="")
    parser.add_argument(
        "--family", choices=[*FAMILIES, *PRETEXT], required=True, help="which methods"
    )
    parser.add_argument("--methods", default="", help="only these of the family, with commas")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each method, from seed 0")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, with a share of cores")
    asked = parser.parse_args()
    asked.config = asked.config or ("cifar10:cpu" if asked.family in PRETEXT else "fashion_mnist")
    asked.runs = asked.out
    extractors: dict[int, Any] = {}

    def changes_of(method: str) -> list[str]:
        if asked.family != "adversarial":
            return []
        return [
            f"--config.evals.generator.extractor={extractors[side_of(method, asked.config)]}",
            "--config.evals.final=('fid', 'kid', 'pictures')",
            "--config.evals.baselines=True",
        ]

    def run(method: str, seed: int, cores: Collection[int] | None = None) -> dict[str, Any]:
        if asked.family in PRETEXT:
            return pretext_runs.train(asked, method, seed, cores)
        if asked.family == "translation":
            return translation_runs.train(asked, method, seed, cores)
        if asked.family == "segmentation":
            return segmentation_runs.train(asked, method, seed, cores)
        if asked.family == "multi_label":
            return transfer_runs.tune(asked, method, seed, cores)
        if asked.family == "transfer":
            return transfer_runs.probe(asked, method, seed, cores)
        if asked.family == "detection":
            return detection_runs.train(asked, method, seed, cores)
        if asked.family == "video":
            return video_runs.train(asked, method, seed, cores)
        return runs.run(
            config_of(method, asked.config),
            asked.out / asked.config / f"{method}_{seed}",
            f"--config.seed={seed}",
            *pretext_runs.data_changes(asked),
            *changes_of(method),
            cores=cores,
        )

    def train_extractor(side: int, cores: Collection[int] | None = None) -> dict[str, Any]:
        return runs.run(
            config_of(EXTRACTOR, asked.config),
            extractors[side],
            f"--config.data.image_size={side}",
            f"--config.method.view.size={side}",
            *pretext_runs.data_changes(asked),
            cores=cores,
        )

    methods: Sequence[str] = methods_of(asked.family, asked.config)
    methods = asked.methods.split(",") if asked.methods else methods
    if asked.family == "adversarial":
        sides = sorted({side_of(method, asked.config) for method in methods})
        extractors = {side: asked.out / asked.config / f"{EXTRACTOR}_{side}" for side in sides}
        jobs = [functools.partial(train_extractor, side) for side in sides]
        runs.side_by_side(jobs, asked.jobs)
    if asked.family == "translation":
        translation_runs.make_encoders(asked, methods)
    if asked.family == "segmentation":
        segmentation_runs.make_encoders(asked, methods)
    if asked.family == "detection":
        detection_runs.make_encoders(asked, methods)
    if asked.family == "video":
        video_sets.prepare(asked)
    trials = [(method, seed) for method in methods for seed in range(asked.seeds)]
    waves = [
        [trial for trial in trials if (trial[0] in pretext_runs.STARTS_FROM) == second]
        for second in (False, True)  # What others start from is not made twice at a time.
    ]
    made = {
        trial: result
        for wave in waves
        for trial, result in zip(
            wave,
            runs.side_by_side([functools.partial(run, *trial) for trial in wave], asked.jobs),
            strict=True,
        )
    }
    results: dict[str, list[dict]] = {method: [] for method in methods}
    for trial in trials:
        results[trial[0]].append(made[trial])
    own_data = ("translation", "detection", "multi_label", "transfer", "segmentation", "video")
    data = "" if asked.family in own_data else f"{pretext_runs.data_of(asked)}, "
    text = f"{data}{runs.circumstances(asked.jobs)}; at the last step.\n\n"
    if asked.family == "adversarial":
        for side in extractors:  # Scores by different encoders do not compare.
            alike = {m: made for m, made in results.items() if side_of(m, asked.config) == side}
            text += f"Images of {side} pixels:\n\n{generator_table(alike)}\n\n"
    elif asked.family == "translation":
        text += f"Trained translator / images unchanged.\n\n{translation_runs.table(results)}\n"
    elif asked.family == "segmentation":
        text += f"CamVid, per cent.\n\n{segmentation_runs.table(results)}\n"
        if best := segmentation_runs.best(results):
            text += f"\n{segmentation_crf.refine(asked, best)}\n"
    elif asked.family == "multi_label":
        told = "Mean average precision on test tiles, per cent."
        text += f"{told}\n\n{transfer_runs.tuned_table(results)}\n"
    elif asked.family == "transfer":
        told = "Trained / random network / raw pixels, per cent."
        text += f"{told}\n\n{transfer_runs.elsewhere_table(results)}\n"
    elif asked.family == "detection":
        text += f"Per cent, of the test split.\n\n{detection_runs.table(results)}\n"
    elif asked.family == "video":
        text += video_runs.told(asked, results)
    elif asked.family == "inference":
        text += "Trained / random network, per cent and dB.\n\n" + inference_table(results) + "\n"
    elif asked.family in PRETEXT:
        note = f"{pretext_runs.NORMS}\n\n" if asked.family == "multi_task" else ""
        text += f"Trained / random network, per cent.\n\n{note}{pretext_table(results)}\n"
    else:
        text += "Trained / random network, per cent.\n\n" + table(results) + "\n"
    (asked.out / f"{asked.family}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
