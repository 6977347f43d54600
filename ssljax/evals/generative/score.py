"""A score of a generator, with everything that gives the number its meaning."""

from __future__ import annotations

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Score:
    """One figure and what it was measured with.

    Attributes:
      metric: `"fid"`, `"kid"`, `"is"`, `"precision"`, `"recall"`, `"class_kl"` or
        `"classes_hit"`.
      value: The figure.
      count: Number of generated images.
      reference_count: Number of real images; 0 for the Inception score, which uses none.
      dataset: Where the real images are from, such as `"cifar10"`.
      split: Which of them, such as `"train"`.
      resizer: How images are brought to the extractor's size.
      extractor: Name of the extractor.
      spread: Standard deviation over the parts or subsets of the set, where the metric has them.
    """

    metric: str
    value: float
    count: int
    reference_count: int
    dataset: str
    split: str
    resizer: str
    extractor: str
    spread: float | None = None

    @property
    def name(self) -> str:
        """Everything but the value in one word, for a metric writer or a file.

        Such as `fid_simclr-cifar10-step900_n10000_cifar10-train-50000_none`: metric, extractor,
        generated images, real images, resizer.
        """
        reference = [self.dataset, self.split]
        if self.reference_count:
            reference.append(str(self.reference_count))
        parts = (
            self.metric,
            self.extractor,
            f"n{self.count}",
            "-".join(_plain(part) for part in reference),
            self.resizer,
        )
        return "_".join(_plain(part) for part in parts)


def _plain(text: str) -> str:
    """The text with a hyphen for what file systems and metric writers may not take."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-")
