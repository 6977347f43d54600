"""Of which classes each record of a source is, where it may be of several."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int32

from ssljax.data.decode import Misfit
from ssljax.data.fields import Frame, MultiLabel
from ssljax.data.pipeline import default_threads
from ssljax.data.sources.base import Source
from ssljax.errors import UserError

FIELD = "multi_label"
_NO_FRAME = Frame(size=1, channels=1)
_RECORDS_PER_TASK = 256


def label_names(source: Source) -> tuple[str, ...]:
    """Names of the classes of which a record may have several; empty where it has no such field."""
    field = source.fields.get(FIELD)
    if not isinstance(field, MultiLabel):
        return ()
    return field.names or tuple(map(str, range(field.classes)))


def read_multi_labels(
    source: Source, threads: int | None = None
) -> Int32[np.ndarray, "records classes"]:
    """Reads the classes of every record; no image is decoded.

    Args:
      source: Records with the field "multi_label".
      threads: How many threads read. By default one for each CPU, at most 16.

    Returns:
      1 where the record has the class, 0 where it has not, -1 where that is not known.

    Raises:
      UserError: A class is out of range.
    """
    field = source.fields[FIELD]
    labels = np.zeros((len(source), *field.shape(_NO_FRAME)), np.int32)

    def fill(start: int) -> None:
        places = range(start, min(start + _RECORDS_PER_TASK, len(source)))
        for place, record in zip(places, source.read_many(places), strict=True):
            try:
                labels[place] = field.decode(record[FIELD], _NO_FRAME, None)
            except Misfit as error:
                raise UserError(f"{source.describe(place)} {error}.") from error

    with ThreadPoolExecutor(threads or default_threads()) as pool:
        list(pool.map(fill, range(0, len(source), _RECORDS_PER_TASK)))
    return labels
