"""Reads and decodes records, and keeps count of the corrupt ones."""

import logging
import threading
from collections.abc import Sequence

import numpy as np

from ssljax.data.crops import HostCrops
from ssljax.data.decode import CorruptImage, Misfit, has_alpha
from ssljax.data.fields import Frame, decode_record, empty_batch
from ssljax.data.sources.base import Record, Source
from ssljax.errors import UserError

_NAMES_SHOWN = 10

_log = logging.getLogger(__name__)


class Reader:
    """Decodes the records of a source to one size, from any number of threads.

    A corrupt image, and a video with clips that cannot be read, is reported once and counted once.
    When there are more of them than allowed, the run ends with a `UserError` that names them.
    """

    def __init__(
        self,
        source: Source,
        frame: Frame,
        max_corrupt: int,
        crops: HostCrops | None = None,
        *,
        in_config: bool = True,
    ) -> None:
        """Keeps the settings.

        Args:
          source: Where the records are.
          frame: What the images are brought to.
          max_corrupt: How many different records may be corrupt.
          crops: What is cut from the images, in place of the images.
          in_config: Whether the user has a config, whose keys messages may name.
        """
        self.source = source
        self._fields = dict(source.fields)
        self._crops = crops
        if crops is not None:
            del self._fields["image"]
        self._frame = frame
        self._max_corrupt = max_corrupt
        self._in_config = in_config
        self._corrupt: dict[int, str] = {}
        self._met_alpha = False
        self._lock = threading.Lock()

    @property
    def corrupt(self) -> list[str]:
        """The names of the corrupt images found so far."""
        return list(dict.fromkeys(self._corrupt.values()))

    def empty(self, *rows: int) -> dict[str, np.ndarray]:
        """Arrays for so many records, filled with what stands for none: see `empty_batch`."""
        cut = {} if self._crops is None else self._crops.fields(self._frame)
        return empty_batch(self._fields, self._frame, *rows) | {
            name: np.zeros((*rows, *shape), np.uint8) for name, shape in cut.items()
        }

    def read(
        self, index: int, record: Record, batch: int = 0, row: int = 0
    ) -> dict[str, np.ndarray] | None:
        """Decodes one record.

        Args:
          index: Its place in the source.
          record: What was read there.
          batch: For which batch of the run, where crops are drawn.
          row: For which place in the global batch, likewise.

        Returns:
          An array for each field, or None when a picture is corrupt.

        Raises:
          UserError: Too many records are corrupt, or this one does not fit the config.
        """
        if index in self._corrupt:
            return None
        if not self._met_alpha and "image" in record and has_alpha(record["image"]):
            self._tell_alpha(index)
        try:
            decoded = decode_record(self._fields, record, self._frame)
            if self._crops is not None:
                decoded |= self._crops.cut(record["image"], self._frame, batch, row)
            return decoded
        except CorruptImage as error:
            self._report(index, error)
            return None
        except Misfit as error:
            setting = error.setting if self._in_config else ""
            raise UserError(f"{self.source.describe(index)} {error}{setting}.") from error
        except ValueError as error:
            raise UserError(
                f"{self.source.describe(index)} {error}: set config.data.resize to 'short_side',"
                " 'pad' or 'exact', or config.data.image_size to the size of the images."
            ) from error

    def read_or_next(
        self, index: int, record: Record, batch: int, row: int
    ) -> dict[str, np.ndarray]:
        """Decodes one record, or the first sound one after it.

        Args:
          index: The place of the record in the source.
          record: The record.
          batch: As for `read`.
          row: Likewise.

        Returns:
          An array for each field.

        Raises:
          UserError: Too many records are corrupt, or one does not fit the config.
        """
        size = len(self.source)
        for place in range(index, index + size):
            if place % size in self._corrupt:
                continue
            if place != index:
                record = self.source.read(place % size)
            decoded = self.read(place % size, record, batch, row)
            if decoded is not None:
                return decoded
        raise UserError(
            f"{self.source.name}/{self.source.split} holds no image that can be decoded: choose"
            " another set in config.data.name."
        )

    def _tell_alpha(self, index: int) -> None:
        self._met_alpha = True
        if self._frame.channels in (1, 3):
            _log.info(
                "%s has an alpha channel: such channels are dropped, and the colours beneath used"
                " as they are stored.",
                self.source.describe(index),
            )

    def _report(self, index: int, error: CorruptImage) -> None:
        name = self.source.holder(index)
        with self._lock:
            if index in self._corrupt:
                return
            known = self.corrupt
            if name not in known and len(known) == self._max_corrupt:
                if self._in_config:
                    raise UserError(_too_many([*known, name], self._max_corrupt)) from error
                raise UserError(
                    f"{name} is corrupt ({error}): repair it or leave it out."
                ) from error
            self._corrupt[index] = name
        if name not in known:
            _log.warning("%s is corrupt and left out: %s.", name, error)


def _too_many(names: Sequence[str], allowed: int) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    images, them = ("image", "it") if len(names) == 1 else ("images", "them")
    return (
        f"{len(names)} corrupt {images}, but config.data.max_corrupt allows {allowed} ({shown}"
        f"{more}): repair or remove {them}, or raise config.data.max_corrupt."
    )
