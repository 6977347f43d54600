"""Linear support vector machines of frozen features, one a class, as VOC07 is scored with."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from ssljax.metrics.average_precision import average_precision, check_multi_labels

if TYPE_CHECKING:
    from sklearn.svm import LinearSVC

COSTS = tuple(sorted((*(10.0**k for k in range(-7, 3)), *(0.5**k for k in range(4, 20)))))
"""The costs that the benchmark chooses from: powers of ten, and of a half."""
FOLDS = 3
_POSITIVE_WEIGHT = 2
_NORM_EPSILON = 1e-5


class SvmResult(NamedTuple):
    """What support vector machines say.

    Attributes:
      decisions: The distance of each test row to the plane of each class, higher for the class.
      costs: The cost of each class.
      folds: The average precision of that cost on held-out thirds of train; NaN where none was
        chosen.
    """

    decisions: Float[np.ndarray, "test classes"]
    costs: tuple[float, ...]
    folds: tuple[float, ...]


def linear_svms(
    train_x: Real[np.ndarray, "train dim"],
    train_labels: Int[np.ndarray, "train classes"],
    test_x: Real[np.ndarray, "test dim"],
    costs: Sequence[float] = COSTS,
    names: Sequence[str] = (),
) -> SvmResult:
    """Fits a machine to each class, against all else, at the cost that is best on thirds of train.

    Features are divided by their length. The machines have squared hinge losses, L2-regularised
    weights and intercepts, and positives weigh twice as much as negatives. Of each class the cost
    is chosen by the mean average precision ("steps") of three machines, each on two thirds of train
    and scored on the other, the classes in equal shares and in the rows' order; of equally good
    ones it is the lowest. A single cost is not chosen, and so takes no folds.

    A label of -1 is no positive here, as in the authors' code: what is "difficult" to see is left
    out of what is scored alone. A row of which no class is known is left out.

    Args:
      train_x: Features to learn from.
      train_labels: 1 where the row has the class, 0 where it has not, -1 where that is not known.
      test_x: Features to report on.
      costs: To choose from, above 0.
      names: Of the classes, for messages.

    Raises:
      ValueError: If a label is another number, a cost is not above 0, or a class has too few rows
        that have it, or that have it not, for its folds.

    Reference:
      Goyal et al., Scaling and Benchmarking Self-Supervised Visual Representation Learning, 2019,
      section 5.1; `tools/svm` of facebookresearch/fair_self_supervision_benchmark. There the dual
      problem is solved, in at most 2,000 passes; here the primal one where there are no fewer rows
      than features, to the same optimum.
    """
    check_multi_labels(train_labels)
    if not costs or min(costs) <= 0:
        raise ValueError(f"costs are {tuple(costs)}; there must be some, all above 0.")
    known = (train_labels >= 0).any(axis=1)
    train_x, test_x = unit_rows(train_x[known]), unit_rows(test_x)
    machines = []
    for number, labels in enumerate(train_labels[known].T):
        positive = labels == 1
        name = names[number] if names else number
        check_enough(int(positive.sum()), int((~positive).sum()), len(costs) > 1, name)
        machines.append(_chosen(train_x, positive, costs, test_x))
    return _together(machines)


def low_shot_svms(
    train_x: Real[np.ndarray, "train dim"],
    train_labels: Int[np.ndarray, "train classes"],
    test_x: Real[np.ndarray, "test dim"],
    shots: int,
    seed: int,
    costs: Sequence[float] = COSTS,
    names: Sequence[str] = (),
) -> SvmResult:
    """Fits a machine to each class from a few rows that surely have it, or surely not.

    The benchmark chooses the cost by its scores on test. Here it is chosen as in `linear_svms`, and
    with fewer shots than folds it is 1.

    Args:
      train_x: Features to learn from.
      train_labels: As in `linear_svms`; rows of -1 are not drawn.
      test_x: Features to report on.
      shots: Rows that have the class; of those that have it not (classes - 1) times as many, or all
        that there are.
      seed: Of the draw.
      costs: To choose from, above 0.
      names: Of the classes, for messages.

    Raises:
      ValueError: If a class has fewer rows, or as `linear_svms` does.

    Reference:
      Goyal et al., 2019, section 5.2; the negatives are as in `create_voc_low_shot_samples.py`.
    """
    check_multi_labels(train_labels)
    test_x, classes, machines = unit_rows(test_x), train_labels.shape[1], []
    for number, labels in enumerate(train_labels.T):
        rng = np.random.default_rng([seed, number])
        having, lacking = (rng.permutation(np.flatnonzero(labels == value)) for value in (1, 0))
        name = names[number] if names else number
        if min(len(having), len(lacking)) < shots:
            raise ValueError(
                f"{shots} shots are asked for, and of the class {name!r} {len(having)} images "
                f"surely have it and {len(lacking)} surely not: ask for fewer."
            )
        lacking = lacking[: max(1, classes - 1) * shots]
        rows = np.sort(np.concatenate([having[:shots], lacking]))
        choice = costs if shots >= FOLDS else (1.0,)
        machines.append(_chosen(unit_rows(train_x[rows]), labels[rows] == 1, choice, test_x))
    return _together(machines)


_Machine = tuple[Float[np.ndarray, "test"], float, float]
"""Decisions, cost, and the average precision that it was chosen by."""


def _chosen(
    x: Float[np.ndarray, "rows dim"],
    positive: Bool[np.ndarray, "rows"],
    costs: Sequence[float],
    test_x: Float[np.ndarray, "test dim"],
) -> _Machine:
    """The machine of the cost that is best on held-out thirds."""
    scores = dict.fromkeys(costs, float("nan"))
    if len(costs) > 1:
        scores = {cost: _held_out(x, positive, cost) for cost in sorted(costs)}
    best = max(scores, key=scores.__getitem__)
    return _fit(x, positive, best).decision_function(test_x), best, scores[best]


def _together(machines: Sequence[_Machine]) -> SvmResult:
    decisions, costs, folds = zip(*machines, strict=True)
    return SvmResult(np.stack(decisions, axis=1), costs, folds)


def check_enough(positives: int, negatives: int, chooses: bool, name: str | int) -> None:
    """Raises a ValueError if a class has too few rows to learn it from.

    Args:
      positives: Rows that have it.
      negatives: Rows that have it not.
      chooses: Whether a cost is chosen.
      name: Of the class.
    """
    least = FOLDS if chooses else 1
    if min(positives, negatives) < least:
        raise ValueError(
            f"The class {name!r} is in {positives} of {positives + negatives} images to learn from;"
            f" at least {least} must have it, and {least} not."
        )


def unit_rows(rows: Real[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows dim"]:
    """Divides rows by their lengths plus 1e-5, as the benchmark does."""
    wide = rows.astype(np.float64)
    return wide / (np.linalg.norm(wide, axis=1, keepdims=True) + _NORM_EPSILON)


def _held_out(
    x: Float[np.ndarray, "rows dim"], positive: Bool[np.ndarray, "rows"], cost: float
) -> float:
    """The mean average precision on thirds that a machine has not learnt from."""
    # Takes a second to import, and is needed by one evaluation.
    from sklearn.model_selection import StratifiedKFold

    found = [
        average_precision(
            _fit(x[seen], positive[seen], cost).decision_function(x[held]), positive[held], "steps"
        )
        for seen, held in StratifiedKFold(FOLDS).split(x, positive)
    ]
    return float(np.mean(found))


def _fit(
    x: Float[np.ndarray, "rows dim"], positive: Bool[np.ndarray, "rows"], cost: float
) -> LinearSVC:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    machine = LinearSVC(
        C=cost,
        class_weight={True: _POSITIVE_WEIGHT, False: 1},
        dual="auto",
        max_iter=2000,
        tol=1e-4,
        random_state=0,
    )
    with warnings.catch_warnings():
        # At high costs the benchmark's passes do not suffice either.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return machine.fit(x, positive)
