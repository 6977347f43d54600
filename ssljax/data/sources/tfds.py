"""Data sets that TFDS has prepared, read at random places and without TensorFlow."""

import difflib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from ssljax import paths
from ssljax.data.decode import FloatPNG
from ssljax.data.fields import NO_PARTS, Field, Parts
from ssljax.data.sources.base import NO_LABEL, SPLIT_KEYS, Record, Source
from ssljax.data.sources.tfds_features import (
    find_feature,
    find_parts,
    get,
    single_features,
    skip_images,
)
from ssljax.errors import UserError, brief, is_uri


class TfdsSource(Source):
    """One split of a prepared TFDS data set.

    Images stay encoded (`SkipDecoding`) and are decoded by `ssljax.data.decode.decode`, which says
    how alpha, 16 bits and floats are converted.
    """

    def __init__(
        self,
        builder: tfds.core.DatasetBuilder,
        split: str,
        *,
        image_key: str | None = None,
        label_key: str | None = None,
        parts: Parts = NO_PARTS,
    ) -> None:
        """Opens the split.

        Args:
          builder: Of a prepared data set; see `open_builder`.
          split: A name or a part, as TFDS writes it: "train", "train[:90%]", "train+test".
          image_key: The feature that holds the image, a path such as "scan/image" where it is
            nested; by default "image", or else the only image.
          label_key: The feature that holds the class, likewise; by default "label", or else the
            only class label; of several none is taken.
          parts: What is read beside the two.

        Raises:
          UserError: There is no such split or feature, or the records cannot be read at random.
        """
        self.name = builder.info.name
        self.split = split
        features = dict(single_features(builder.info.features))
        image_key = find_feature(builder, tfds.features.Image, "image", "image_key", image_key)
        if image_key is None:
            raise UserError(
                f"{self.name} has no feature 'image', and not just one other of that type, among"
                f" {', '.join(sorted(features))}: name the one to use in config.data.image_key, or"
                " choose another data set."
            )
        label_key = find_feature(builder, tfds.features.ClassLabel, "label", "label_key", label_key)
        self._image_path = image_key
        self._label_path = label_key
        self._parts = find_parts(builder, parts)
        self._is_float = features[image_key].np_dtype == np.float32
        classes = features[label_key] if label_key else None
        self.num_classes = classes.num_classes if classes else None
        self.class_names = tuple(classes.names) if classes and self.num_classes else ()
        self._builder = builder
        self._records = open_split(builder, split, skip_images(builder.info.features))

    @property
    def fields(self) -> Mapping[str, Field]:
        """Image, class and what else was asked for."""
        return {**super().fields, **{name: field for name, (field, _) in self._parts.items()}}

    def __len__(self) -> int:
        return len(self._records)

    def read(self, index: int) -> Record:
        """Reads the record at `index`."""
        return self.read_many([index])[0]

    def read_many(self, indices: Sequence[int]) -> list[Record]:
        """Reads several records at once, which costs a third of one by one."""
        examples = self._records.__getitems__(list(indices))
        return [self._record(i, example) for i, example in zip(indices, examples, strict=True)]

    def describe(self, index: int) -> str:
        """Names a record by its place in the split."""
        return f"{self.name}/{self.split} #{index}"

    def contents(self) -> Any:
        """The shards of the split as TFDS has recorded them."""
        return shard_contents(self._builder, self.split)

    def _record(self, index: int, example: dict) -> Record:
        image = get(example, self._image_path)
        return {
            "image": FloatPNG(image) if self._is_float else image,
            "label": self._label(index, example),
            **{name: read(example) for name, (_, read) in self._parts.items()},
        }

    def _label(self, index: int, example: dict) -> int | None:
        if self._label_path is None:
            return None
        label = int(get(example, self._label_path))
        if label == NO_LABEL:
            return None
        if not 0 <= label < (self.num_classes or 0):
            raise UserError(
                f"{self.describe(index)} has the label {label}, and the feature"
                f" {self._label_path!r} has {self.num_classes} classes, numbered from 0:"
                " prepare the data set again, or name another feature in config.data.label_key."
            )
        return label


def shard_contents(builder: tfds.core.DatasetBuilder, split: str) -> list[Any]:
    """What TFDS has recorded of the files of a split: see `Source.contents`."""
    info = builder.info
    shards = [
        (os.path.basename(shard.filename), shard.skip, shard.take, shard.examples_in_shard)
        for shard in info.splits[split].file_instructions
    ]
    sizes = [
        (name, info.splits[name].num_bytes)
        for name in sorted(info.splits)
        if any(f"-{name}." in shard[0] for shard in shards)
    ]
    return [info.full_name, split, shards, sizes]


def open_builder(
    name: str, data_dir: str | os.PathLike[str] | None = None
) -> tfds.core.DatasetBuilder:
    """Finds a prepared data set.

    Args:
      name: As TFDS names it ("mnist", "cifar10:3.0.2", "name/config"), whether TFDS has code for
        it or not; or the path of the directory that holds its dataset_info.json.
      data_dir: The directory of TFDS data sets. By default the one that the environment names in
        TFDS_DATA_DIR, or else TFDS' own. From a bucket the data set is copied to this machine's
        disk once, see `paths.local_copy`.

    Returns:
      Its builder.

    Raises:
      UserError: There is no such data set, or it is not prepared.
    """
    if is_uri(name):
        if not (paths.resolve(name) / "dataset_info.json").exists():
            raise UserError(f"{name} holds no dataset_info.json: correct config.data.name.")
        return tfds.builder_from_directory(paths.local_copy(paths.resolve(name)))
    if os.path.isfile(os.path.join(name, "dataset_info.json")):
        return tfds.builder_from_directory(name)
    root = os.path.expanduser(
        os.fspath(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    )
    if is_uri(root):
        paths.resolve(root)  # Says what is missing for reading it.
    try:
        builder = tfds.builder(name, data_dir=root)
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(_unknown_name(name, root)) from error
    except (ValueError, AssertionError, ImportError) as error:
        raise UserError(
            f"TFDS cannot open the data set {name!r} in {root} ({brief(error)}): see"
            " https://www.tensorflow.org/datasets/catalog for its name, configs and versions."
        ) from error
    if not is_prepared(builder):
        raise UserError(_not_prepared(name, root, builder))
    if is_uri(root):
        return tfds.builder_from_directory(paths.local_copy(builder.data_path))
    return builder


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether the files of this very version are there; TFDS' own check warns when they are not."""
    return (builder.data_path / "dataset_info.json").exists()


def open_split(builder: tfds.core.DatasetBuilder, split: str, decoders: Any) -> Any:
    """Opens the records of a split.

    Args:
      builder: Of a prepared data set.
      split: A name or a part, as TFDS writes it.
      decoders: As TFDS takes them.

    Raises:
      UserError: There is no such split, or the records cannot be read at random.
    """
    try:
        return builder.as_data_source(split=split, decoders=decoders)
    except NotImplementedError as error:
        raise UserError(
            f"{builder.data_path} is prepared as {builder.info.file_format.value}, which cannot be"
            " read at random places: prepare it again with file_format='array_record', or, in an"
            " environment that holds TensorFlow, run `tfds convert_format"
            f" --dataset_version_dir={builder.data_path} --out_file_format=array_record`."
        ) from error
    except ValueError as error:
        splits = ", ".join(f"{k} ({v.num_examples})" for k, v in builder.info.splits.items())
        raise UserError(
            f"The split {split!r} of {builder.info.name} cannot be read ({brief(error)}):"
            f" choose one of {splits}, or a part such as 'train[:90%]', in {SPLIT_KEYS}."
        ) from error


def _not_prepared(name: str, root: str, builder: tfds.core.DatasetBuilder) -> str:
    versions = sorted(p.parent.name for p in builder.data_path.parent.glob("*/dataset_info.json"))
    hint = f" (version {versions[-1]} is: name it '{name}:{versions[-1]}')" if versions else ""
    return (
        f"The data set {name} is not prepared in {root}{hint}: once, in an environment that may"
        " hold TensorFlow, run `pip install 'ssljax[prepare]'` and `python -c \"import"
        f" tensorflow_datasets as tfds; tfds.builder('{name}', data_dir='{root}',"
        " file_format='array_record').download_and_prepare()\"`."
    )


def _unknown_name(name: str, root: str) -> str:
    prepared = _prepared_names(root)
    known = [*prepared, *tfds.list_builders(with_community_datasets=False), "digits", "folder"]
    near = difflib.get_close_matches(name, dict.fromkeys(known), n=5)
    return (
        f"There is no data set {name!r}: {root} holds {', '.join(prepared) or 'none'}"
        + (f", and names near it are {', '.join(near)}" if near else "")
        + "; correct config.data.name or config.data.dir."
    )


def _prepared_names(root: str) -> list[str]:
    path = tfds.core.Path(root)
    if not path.is_dir():
        return []
    return sorted(
        folder.name
        for folder in path.iterdir()
        if any(folder.glob("*/dataset_info.json")) or any(folder.glob("*/*/dataset_info.json"))
    )
