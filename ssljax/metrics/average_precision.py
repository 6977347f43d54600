"""Average precision: how well scores rank the images of a class before all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Real

Rule = Literal["area", "eleven_points", "steps"]
"""What is averaged: see `average_precision`."""


def average_precision(
    scores: Real[np.ndarray, "rows"], positive: Bool[np.ndarray, "rows"], rule: Rule = "area"
) -> float:
    """Averages the precision over the recall, from the highest score to the lowest.

    Rows of one score come together, so that equal scores for all rows have the share of positives,
    whatever the order of the rows. The official code of Pascal VOC sorts such rows as it happens.

    Args:
      scores: Of each row, higher where a positive is likelier.
      positive: Which rows are positive.
      rule: "area", the area under the precision at this recall or a higher one, as Pascal VOC has
        it since 2010; "eleven_points", the mean of that precision at recalls 0, 0.1, ..., 1, as it
        had it in 2007; "steps", the area under the precision itself, as scikit-learn has it.

    Returns:
      A number in [0, 1].

    Raises:
      ValueError: If no row is positive, or a score is not finite.

    Reference:
      Everingham et al., The Pascal Visual Object Classes (VOC) Challenge, 2010, section 4.2;
      Everingham et al., The Pascal Visual Object Classes Challenge: A Retrospective, 2015.
    """
    if not positive.any():
        raise ValueError("There are no positives: their average precision is not defined.")
    if not np.isfinite(scores).all():
        raise ValueError("Scores are not finite: a ranking by them would mean nothing.")
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    found = np.cumsum(positive[order])[last]
    precision, recalled = found / (last + 1), np.diff(found, prepend=0) / positive.sum()
    if rule == "steps":
        return float(np.sum(precision * recalled))
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    if rule == "area":
        return float(np.sum(highest * recalled))
    # In whole numbers: 0.1 is no float, and 3 of 10 are recalled at 0.3.
    tenths = 10 * found
    places = [np.argmax(tenths >= k * positive.sum()) for k in range(11)]
    return float(np.mean(highest[places]))


def mean_average_precision(
    scores: Float[np.ndarray, "rows classes"],
    labels: Int[np.ndarray, "rows classes"],
    rule: Rule = "area",
    names: Sequence[str] = (),
) -> float:
    """The mean over classes of the average precision of each, of the rows where it is known.

    Args:
      scores: Of each row and class.
      labels: 1 where the row has the class, 0 where it has not; -1 where that is not known, or the
        row is left out of that class, as Pascal VOC's "difficult" objects are.
      rule: See `average_precision`.
      names: Of the classes, for messages.

    Raises:
      ValueError: If a label is another number, no row has one of the classes, or as
        `average_precision` does.
    """
    check_multi_labels(labels)
    values = []
    for number in range(labels.shape[1]):
        known = labels[:, number] >= 0
        try:
            values.append(
                average_precision(scores[known, number], labels[known, number] == 1, rule)
            )
        except ValueError as error:
            name = names[number] if names else number
            raise ValueError(f"Of the class {name!r}: {error}") from error
    return float(np.mean(values))


def check_multi_labels(labels: Int[np.ndarray, "rows classes"]) -> None:
    """Raises a ValueError unless all labels are 1 (has it), 0 (has not) or -1 (not known)."""
    if labels.size and not (labels.min() >= -1 and labels.max() <= 1):
        wrong = labels.min() if labels.min() < -1 else labels.max()
        raise ValueError(f"A label is {wrong}; it must be 1, 0 or, where it is not known, -1.")
