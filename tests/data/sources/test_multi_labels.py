"""Several classes of a record, as Pascal VOC has them in TFDS: those that are sure, and others."""

import types

import numpy as np
import pytest
import tagged

from ssljax.data import (
    ArraySource,
    Classes,
    Frame,
    MultiLabel,
    Parts,
    label_names,
    load_all,
    open_source,
    read_multi_labels,
)
from ssljax.errors import UserError

_FRAME = Frame(4, 1)


def opened(**parts):
    return open_source(tagged.NAME, "test", tagged.folder(8), parts=Parts(**parts))


def test_the_doubtful_are_marked_and_nothing_else():
    expected = tagged.truth("test", 20)
    source = opened(**tagged.KEYS)
    assert label_names(source) == tagged.CLASSES
    np.testing.assert_array_equal(read_multi_labels(source), expected)
    arrays = load_all(source, image_size=9, channels=3)
    np.testing.assert_array_equal(arrays["multi_label"], expected)
    # Without the other feature they count as absent.
    plain = read_multi_labels(opened(multi_label_key="labels_no_difficult"))
    np.testing.assert_array_equal(plain, np.maximum(expected, 0))
    for image, labels in zip(arrays["image"], expected, strict=True):
        bright = image.reshape(3, -1).mean(axis=1) > 128
        np.testing.assert_array_equal(bright, labels != 0)


def test_a_class_may_be_sure_and_doubtful_at_once():
    field = MultiLabel(4, ("a", "b", "c", "d"))
    assert field.decode(Classes([1], [0, 1, 1]), _FRAME).tolist() == [-1, 1, 0, 0]


def test_what_is_out_of_range_or_not_there_is_told():
    with pytest.raises(UserError, match="doubtful_key='label' is not a feature"):
        opened(multi_label_key="labels", doubtful_key="label")
    assert label_names(ArraySource(np.zeros((2, 4, 4), np.uint8))) == ()

    class Wrong(ArraySource):
        fields = types.MappingProxyType({"multi_label": MultiLabel(3)})

        def read(self, index):
            return {"multi_label": [0, 3]}

    source = Wrong(np.zeros((2, 4, 4), np.uint8))
    assert label_names(source) == ("0", "1", "2")
    with pytest.raises(UserError, match="array/train #0 has the class 3, and there are 3 classes"):
        read_multi_labels(source)
