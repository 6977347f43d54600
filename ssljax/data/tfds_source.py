"""Data sets that TFDS has prepared, read at random places and without TensorFlow."""

import difflib
import os
from collections.abc import Sequence
from typing import Any

import tensorflow_datasets as tfds

from ssljax.data.sources import Record, Source
from ssljax.errors import UserError


class TfdsSource(Source):
    """One split of a prepared TFDS data set.

    Images stay encoded (`SkipDecoding`), because decoding is ours.
    """

    def __init__(
        self,
        builder: tfds.core.DatasetBuilder,
        split: str,
        *,
        image_key: str | None = None,
        label_key: str | None = None,
    ) -> None:
        """Opens the split.

        Args:
          builder: of a prepared data set; see `open_builder`.
          split: a name or a part, as TFDS writes it: "train", "train[:90%]", "train+test".
          image_key: the feature that holds the image; by default "image", or else the only image.
          label_key: the feature that holds the class; by default "label", or else the only class
            label; of several none is taken.

        Raises:
          UserError: there is no such split or feature, or the records cannot be read at random.
        """
        features = builder.info.features
        self.name = builder.info.name
        self.split = split
        self._image_key = _find_feature(
            builder, tfds.features.Image, "image", "image_key", image_key
        )
        if self._image_key is None:
            raise UserError(
                f"{self.name} has no feature 'image', and not just one other of that type, among"
                f" {', '.join(sorted(features))}: name the one to use in config.data.image_key, or"
                " choose another data set."
            )
        self._label_key = _find_feature(
            builder, tfds.features.ClassLabel, "label", "label_key", label_key
        )
        classes = features[self._label_key] if self._label_key else None
        self.num_classes = classes.num_classes if classes else None
        self.class_names = tuple(classes.names) if classes else ()
        # Masks and second views would be decoded only to be thrown away.
        skip = {
            key: tfds.decode.SkipDecoding()
            for key, feature in features.items()
            if isinstance(feature, tfds.features.Image)
        }
        self._records = _open_split(builder, split, skip)

    def __len__(self) -> int:
        return len(self._records)

    def read(self, index: int) -> Record:
        """Reads the record at `index`."""
        return self._record(self._records[index])

    def read_many(self, indices: Sequence[int]) -> list[Record]:
        """Reads several records at once, which costs a third of one by one."""
        return [self._record(example) for example in self._records.__getitems__(list(indices))]

    def describe(self, index: int) -> str:
        """Names a record by its place in the split."""
        return f"{self.name}/{self.split} #{index}"

    def _record(self, example: dict) -> Record:
        label = int(example[self._label_key]) if self._label_key else None
        return Record(example[self._image_key], label)


def open_builder(
    name: str, data_dir: str | os.PathLike[str] | None = None
) -> tfds.core.DatasetBuilder:
    """Finds a prepared data set.

    Args:
      name: as TFDS names it ("mnist", "cifar10:3.0.2", "name/config"), whether TFDS has code for
        it or not; or the path of the directory that holds its dataset_info.json.
      data_dir: the directory of TFDS data sets. By default the one that the environment names in
        TFDS_DATA_DIR, or else TFDS' own.

    Returns:
      Its builder.

    Raises:
      UserError: there is no such data set, or it is not prepared.
    """
    if os.path.isfile(os.path.join(name, "dataset_info.json")):
        return tfds.builder_from_directory(name)
    root = os.path.expanduser(
        os.fspath(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    )
    try:
        builder = tfds.builder(name, data_dir=root)
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(_unknown_name(name, root)) from error
    except (ValueError, AssertionError, ImportError) as error:
        raise UserError(
            f"TFDS cannot open the data set {name!r} in {root} ({_first_line(error)}): see"
            " https://www.tensorflow.org/datasets/catalog for its name, configs and versions."
        ) from error
    if not is_prepared(builder):
        raise UserError(_not_prepared(name, root, builder))
    return builder


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Whether the files of this very version are there; TFDS' own check warns when they are not."""
    return (builder.data_path / "dataset_info.json").exists()


def _open_split(builder: tfds.core.DatasetBuilder, split: str, decoders: dict) -> Any:
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
            f"The split {split!r} of {builder.info.name} cannot be read ({_first_line(error)}):"
            f" choose one of {splits} in config.data.split, or a part such as 'train[:90%]'."
        ) from error


def _find_feature(
    builder: tfds.core.DatasetBuilder, kind: type, default: str, key: str, chosen: str | None
) -> str | None:
    """The feature that was chosen, or else the default, or else the only one of its kind.

    Of several there is no first: TFDS reads them in another order in each process.
    """
    of_kind = sorted(k for k, v in builder.info.features.items() if isinstance(v, kind))
    if chosen is None:
        only = of_kind[0] if len(of_kind) == 1 else None
        return default if default in of_kind else only
    if chosen in of_kind:
        return chosen
    raise UserError(
        f"config.data.{key}={chosen!r} is not a feature of {builder.info.name} of the type"
        f" {kind.__name__}: choose one of {', '.join(of_kind) or 'none, it has no such feature'}."
    )


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


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")
