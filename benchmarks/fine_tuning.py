"""What is a pretext task worth with few labels? Fine-tuning against training from scratch.

    python -m benchmarks.fine_tuning --data_dir DIR [--methods rotation] [--labels 10,100,1000]

A network that has learnt a pretext task, and the same network untrained, learn to classify from a
number of labelled images of each class: all of the network learns, for as many steps in both cases,
by `configs/finetune`. Where a task has the encoder in another form than others, such as without
norms, or gives it something else than images, such as tiles or one channel of them, the untrained
network has that form too, and a curve of its own. Each seed draws labelled images of its own, the
same for all. Writes a plot and a table of test accuracy at the last step. Runs of the tasks are
those of `benchmarks.evidence --family pretext`, trained here if they are not there yet.

Reference: Gidaris et al., Unsupervised Representation Learning by Predicting Image Rotations, 2018,
section 3.2, for the comparison over numbers of labels; there they are each class's first images.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence

from benchmarks import plots, pretext_runs, runs
from ssljax import methods
from ssljax.methods.pretext_task import PretextTask

SCRATCH = "from scratch"


def has_own_form(method: str) -> bool:
    """Whether a method's encoder, or what it is given of an image, is not the plain one."""
    task_type = getattr(methods.REGISTRY[method], "task_type", None)
    return task_type is None or any(
        getattr(task_type, name) is not getattr(PretextTask, name)
        for name in ("encoder_options", "features", "wrap")
    )


def starts_for(names: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """What networks start from: for each start a method, if any, and whether it is untrained."""
    starts = {}
    for name in names:
        scratch = (f"{name} {SCRATCH}", name) if has_own_form(name) else (SCRATCH, "")
        starts[scratch[0]] = (scratch[1], True)
    return starts | {name: (name, False) for name in names}


def main() -> None:
    """Runs what is missing, and writes plot and table."""
    parser = pretext_runs.parser(__doc__, "runs/fine_tuning")
    parser.add_argument("--methods", default="rotation", help="pretext tasks, with commas")
    parser.add_argument(
        "--labels", default="10,30,100,300,1000", help="labels a class, with commas"
    )
    parser.add_argument("--seeds", type=int, default=1, help="runs of each, from seed 0")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, with a share of cores")
    asked = parser.parse_args()
    starts = starts_for(asked.methods.split(","))
    numbers = [float(number) for number in asked.labels.split(",")]

    def tune(start: str, labels: float, seed: int, cores: Collection[int] | None = None) -> float:
        method, untrained = starts[start]
        init = []
        if method:
            init = [
                f"--config.init.workdir={pretext_runs.workdir(asked, method, 0)}",
                f"--config.method.from_scratch={untrained}",
            ]
        result = runs.run(
            f"finetune/{asked.config}",
            asked.out / f"{start.replace(' ', '_')}_{labels:g}_{seed}",
            *pretext_runs.data_changes(asked),
            f"--config.data.labels={labels}",
            f"--config.data.labels_seed={seed}",
            f"--config.seed={seed}",
            *init,
            cores=cores,
        )
        accuracy: float = result["scores"]["trained network"]["classifier"]
        return accuracy

    for method in asked.methods.split(","):
        pretext_runs.train(asked, method, seed=0)
    trials = [
        (start, labels, seed)
        for start in starts
        for labels in numbers
        for seed in range(asked.seeds)
    ]
    made = runs.side_by_side([functools.partial(tune, *trial) for trial in trials], asked.jobs)
    found: dict[str, dict[float | str, list[float]]] = {
        start: {labels: [] for labels in numbers} for start in starts
    }
    for (start, labels, _), accuracy in zip(trials, made, strict=True):
        found[start][labels].append(accuracy)
    asked.out.mkdir(parents=True, exist_ok=True)
    plots.curves(
        found, asked.out / "fine_tuning.png", "labelled images of a class", "accuracy", log=True
    )
    text = (
        f"{pretext_runs.data_of(asked)}, {asked.seeds} draw(s) of labels, "
        f"{runs.circumstances(asked.jobs)}: test accuracy by labels a class, per cent.\n\n"
        f"{plots.table(found, 'starts from')}\n"
    )
    (asked.out / "fine_tuning.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
