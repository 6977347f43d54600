"""The handwritten digits of scikit-learn as a TFDS data set that needs no download.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, 1998 (https://doi.org/10.24432/C50P49); scikit-learn carries its 1,797 test images.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds

from ssljax.data.sources.tfds import is_prepared
from ssljax.errors import UserError, is_uri

_TRAIN_ROWS = 1400


# TFDS builds this keyword from lazily loaded bases, which mypy cannot follow.
class Digits(
    tfds.core.GeneratorBasedBuilder,
    skip_registration=True,  # type: ignore[call-arg]
):
    """1,797 grey images of 8x8 pixels in 10 classes: 1,400 train, 397 test.

    The split is fixed: the first 1,400 rows in the file's order, and the last 397. The file is
    grouped by writer, so the test images are by other writers than the training images, except for
    one writer who may be on both sides of the border. Scores are lower than on a random split.
    """

    name = "digits"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(type(self).__doc__ or "").strip(),
            homepage="https://doi.org/10.24432/C50P49",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {
            "train": self._generate_examples(slice(None, _TRAIN_ROWS)),
            "test": self._generate_examples(slice(_TRAIN_ROWS, None)),
        }

    def _generate_examples(self, rows: slice) -> Iterator[tuple[int, dict[str, Any]]]:
        # Takes seconds to import, and is needed once.
        from sklearn.datasets import load_digits

        digits = load_digits()
        # The file counts ink in 0..16.
        pixels = np.rint(digits.images[rows] * (255 / 16)).astype(np.uint8)
        for row, (image, label) in enumerate(zip(pixels, digits.target[rows], strict=True)):
            encoded = cv2.imencode(".png", image)[1].tobytes()
            yield row, {"image": encoded, "label": int(label)}


def prepare_digits(data_dir: str | os.PathLike[str] | None = None) -> Digits:
    """Opens the digits, and writes them first where they are not there yet.

    Several processes may do so at the same time: each writes into a folder of its own, and the
    first to finish gives it the final name.

    Args:
      data_dir: The directory of TFDS data sets. By default the one that the environment names in
        TFDS_DATA_DIR, or else `ssljax` in the user's cache directory.

    Returns:
      The builder, prepared as array_record.

    Raises:
      UserError: The directory cannot be written.
    """
    root = os.fspath(data_dir or os.environ.get("TFDS_DATA_DIR") or _cache_directory())
    if is_uri(root):
        raise UserError(
            f"The data set digits is written to a disk, and {root} is in a bucket: leave"
            " config.data.dir out, and TFDS_DATA_DIR unset."
        )
    builder = Digits(data_dir=os.path.expanduser(root), file_format="array_record")
    if is_prepared(builder):
        return builder
    try:
        # TFDS announces downloads and draws progress bars; here is nothing to download.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            builder.download_and_prepare()
    except OSError as error:
        winner = Digits(data_dir=os.path.expanduser(root), file_format="array_record")
        if is_prepared(winner):
            return winner
        raise UserError(
            f"The data set digits cannot be written to {root} ({error.strerror or error}): name a"
            " directory that can be written in config.data.dir."
        ) from error
    return builder


def _cache_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ssljax"
