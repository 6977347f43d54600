"""Reads and decodes records, and keeps count of the corrupt ones."""

import logging
import threading
from collections.abc import Sequence

import numpy as np

from ssljax.data.decode import CorruptImage, Resize, UnknownScale, decode, has_alpha
from ssljax.data.sources.base import Record, Source
from ssljax.errors import UserError

_NAMES_SHOWN = 10

_log = logging.getLogger(__name__)


class Reader:
    """Decodes the records of a source to one size, from any number of threads.

    A corrupt image is reported once and counted once. When there are more of them than allowed,
    the run ends with a `UserError` that names them.
    """

    def __init__(
        self, source: Source, *, image_size: int, channels: int, resize: Resize, max_corrupt: int
    ) -> None:
        """Keeps the settings.

        Args:
          source: Where the records are.
          image_size: Height and width of the results, in pixels.
          channels: 1 or 3.
          resize: See `ssljax.data.decode.decode`.
          max_corrupt: How many different images may be corrupt.
        """
        self.source = source
        self.image_shape = (image_size, image_size, channels)
        self._resize = resize
        self._max_corrupt = max_corrupt
        self._corrupt: dict[int, str] = {}
        self._met_alpha = False
        self._lock = threading.Lock()

    @property
    def corrupt(self) -> list[str]:
        """The names of the corrupt images found so far."""
        return list(self._corrupt.values())

    def read(self, index: int, record: Record | None = None) -> np.ndarray | None:
        """Decodes one image.

        Args:
          index: The place of the record in the source.
          record: The record, when it was read already.

        Returns:
          The pixels (H, W, C), or None when the image is corrupt.

        Raises:
          UserError: Too many images are corrupt, or this one has the wrong size or a scale that is
            not known.
        """
        if index in self._corrupt:
            return None
        size, _, channels = self.image_shape
        image = (record or self.source.read(index)).image
        if not self._met_alpha and has_alpha(image):
            self._met_alpha = True
            _log.info(
                "%s has an alpha channel: such channels are dropped, and the colours beneath used"
                " as they are stored.",
                self.source.describe(index),
            )
        try:
            return decode(image, channels=channels, image_size=size, resize=self._resize)
        except CorruptImage as error:
            self._report(index, error)
            return None
        except UnknownScale as error:
            raise UserError(f"{self.source.describe(index)} {error}.") from error
        except ValueError as error:
            raise UserError(
                f"{self.source.describe(index)} {error}: set config.data.resize to 'short_side'"
                " or 'exact', or config.data.image_size to the size of the images."
            ) from error

    def read_or_next(self, index: int, record: Record) -> tuple[np.ndarray, int | None]:
        """Decodes one image, or the first sound one after it.

        Args:
          index: The place of the record in the source.
          record: The record.

        Returns:
          The pixels (H, W, C), and the label that belongs to them.

        Raises:
          UserError: Too many images are corrupt, or one has the wrong size.
        """
        size = len(self.source)
        for place in range(index, index + size):
            if place != index:
                record = self.source.read(place % size)
            image = self.read(place % size, record)
            if image is not None:
                return image, record.label
        raise UserError(
            f"{self.source.name}/{self.source.split} holds no image that can be decoded: choose"
            " another set in config.data.name."
        )

    def _report(self, index: int, error: CorruptImage) -> None:
        name = self.source.describe(index)
        with self._lock:
            if index in self._corrupt:
                return
            if len(self._corrupt) == self._max_corrupt:
                raise UserError(_too_many([*self.corrupt, name], self._max_corrupt)) from error
            self._corrupt[index] = name
        _log.warning("%s is corrupt and left out: %s.", name, error)


def _too_many(names: Sequence[str], allowed: int) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return (
        f"{len(names)} corrupt images, but config.data.max_corrupt allows {allowed} ({shown}"
        f"{more}): repair or remove them, or raise config.data.max_corrupt."
    )
