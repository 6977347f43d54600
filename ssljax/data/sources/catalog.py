"""From the name of a data set to its source."""

import os

from ssljax.data.fields import NO_PARTS, Parts
from ssljax.data.sources.base import Source
from ssljax.data.sources.clips import ClipFolder
from ssljax.data.sources.digits import prepare_digits
from ssljax.data.sources.folder import FolderSource
from ssljax.data.sources.tfds import TfdsSource, open_builder
from ssljax.data.sources.tfds_clips import TfdsClips
from ssljax.errors import UserError


def open_source(
    name: str,
    split: str,
    data_dir: str | os.PathLike[str] | None = None,
    image_key: str | None = None,
    label_key: str | None = None,
    parts: Parts = NO_PARTS,
) -> Source:
    """Opens one split of a data set.

    Args:
      name: "digits" (comes with scikit-learn), "folder" (the images in `data_dir`), or any data
        set that TFDS has prepared.
      split: For instance "train", "test" or "train[:90%]".
      data_dir: The directory of TFDS data sets, or of the images; by default the one that the
        environment names in TFDS_DATA_DIR, or else a default one.
      image_key: The feature that holds the image, or the video of which clips are cut, where it
        cannot be guessed; "scan/image" where it is nested.
      label_key: The feature that holds the class, likewise.
      parts: What is read beside the two.

    Returns:
      The source.

    Raises:
      UserError: There is no such data set, split or feature, or it is not prepared.
    """
    if name == "folder":
        if data_dir is None:
            raise UserError(
                "The data set 'folder' needs a directory: name the one with the images in"
                " config.data.dir."
            )
        if parts.frames:
            return ClipFolder(data_dir, split, parts)
        return FolderSource(data_dir, split, parts)
    builder = prepare_digits(data_dir) if name == "digits" else open_builder(name, data_dir)
    if parts.frames:
        return TfdsClips(builder, split, parts, image_key=image_key, label_key=label_key)
    return TfdsSource(builder, split, image_key=image_key, label_key=label_key, parts=parts)
