"""Data: from a name to sharded uint8 batches, one direction, no way back.

`open_source` finds a set, `Loader` streams it shuffled and without end, `Scan` once and in order,
`load_all` reads it into memory, and `ssljax.data.device` brings batches to the mesh.
"""

from ssljax.data.boxes import Boxes, Things
from ssljax.data.crops import Crop, HostCrops, host_crops, is_crop
from ssljax.data.decode import CorruptImage, decode, open_image
from ssljax.data.device import DeviceCache, Prefetch, gather, put_on_devices, to_global
from ssljax.data.fields import (
    Classes,
    Clip,
    Field,
    Frame,
    Image,
    Label,
    Mask,
    MultiLabel,
    Parts,
)
from ssljax.data.fit import Placement, fit_boxes, fit_mask
from ssljax.data.flow_files import decode_flow, encode_flow
from ssljax.data.headers import stored_size
from ssljax.data.order import Order
from ssljax.data.pipeline import Loader, index_batches, load_all
from ssljax.data.scan import Scan
from ssljax.data.sources.base import NO_LABEL, ArraySource, Record, Source, fingerprint
from ssljax.data.sources.catalog import open_source
from ssljax.data.sources.classes import with_classes, with_labels
from ssljax.data.sources.clips import ClipFolder
from ssljax.data.sources.digits import prepare_digits
from ssljax.data.sources.files import ImageFiles
from ssljax.data.sources.folder import FolderSource
from ssljax.data.sources.given import GivenImages, open_images
from ssljax.data.sources.layout import folder_label
from ssljax.data.sources.masked_videos import (
    FrameKeys,
    MaskedVideo,
    has_single_object,
    mask_numbers,
    object_numbers,
    open_masked_videos,
)
from ssljax.data.sources.multi_labels import label_names, read_multi_labels
from ssljax.data.sources.subset import FewLabels, Subset, labelled_rows, read_labels
from ssljax.data.sources.tfds import TfdsSource, open_builder
from ssljax.data.sources.tfds_clips import TfdsClips

__all__ = [
    "NO_LABEL",
    "ArraySource",
    "Boxes",
    "Classes",
    "Clip",
    "ClipFolder",
    "CorruptImage",
    "Crop",
    "DeviceCache",
    "FewLabels",
    "Field",
    "FolderSource",
    "Frame",
    "FrameKeys",
    "GivenImages",
    "HostCrops",
    "Image",
    "ImageFiles",
    "Label",
    "Loader",
    "Mask",
    "MaskedVideo",
    "MultiLabel",
    "Order",
    "Parts",
    "Placement",
    "Prefetch",
    "Record",
    "Scan",
    "Source",
    "Subset",
    "TfdsClips",
    "TfdsSource",
    "Things",
    "decode",
    "decode_flow",
    "encode_flow",
    "fingerprint",
    "fit_boxes",
    "fit_mask",
    "folder_label",
    "gather",
    "has_single_object",
    "host_crops",
    "index_batches",
    "is_crop",
    "label_names",
    "labelled_rows",
    "load_all",
    "mask_numbers",
    "object_numbers",
    "open_builder",
    "open_image",
    "open_images",
    "open_masked_videos",
    "open_source",
    "prepare_digits",
    "put_on_devices",
    "read_labels",
    "read_multi_labels",
    "stored_size",
    "to_global",
    "with_classes",
    "with_labels",
]
