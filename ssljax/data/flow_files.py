"""Optical flow as files: 16-bit PNG, as the KITTI benchmark stores it.

Red is the displacement to the right and green that downwards, both as 64 x pixels + 32768; blue is
1 where the flow is known.
"""

import cv2
import numpy as np
from jaxtyping import Float32

from ssljax.data.decode import CorruptImage

_SCALE, _ZERO = 64.0, 2**15
_LIMITS = 0, 2**16 - 1


def encode_flow(flow: Float32[np.ndarray, "height width 2"]) -> bytes:
    """Encodes flow, to within 1/128 pixel and up to 512 pixels.

    Args:
      flow: In each place, by how many pixels what is seen there moves to the right, and downwards,
        from this frame to the next.

    Returns:
      The PNG file.

    Reference:
      Menze and Geiger, Object Scene Flow for Autonomous Vehicles, 2015; development kit.
    """
    levels = np.clip(np.rint(_SCALE * flow + _ZERO), *_LIMITS).astype(np.uint16)
    known = np.ones((*flow.shape[:2], 1), np.uint16)
    # OpenCV's order is blue, green, red.
    stored = np.concatenate([known, levels[..., 1:], levels[..., :1]], axis=2)
    return cv2.imencode(".png", stored)[1].tobytes()


def decode_flow(data: bytes) -> Float32[np.ndarray, "height width 2"]:
    """Decodes what `encode_flow` has encoded: to the right, and downwards, in pixels.

    Args:
      data: The PNG file; where it says that nothing is known there is no motion.

    Raises:
      CorruptImage: It is no such file.

    Examples:
      >>> flow = np.full((2, 3, 2), [1.5, -0.25], np.float32)
      >>> decode_flow(encode_flow(flow))[0, 0].tolist()
      [1.5, -0.25]
    """
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16 or stored.shape[2:] != (3,):
        raise CorruptImage("it is no flow in a PNG of three channels of 16 bits")
    flow = (stored[..., :0:-1].astype(np.float32) - _ZERO) / np.float32(_SCALE)
    return np.where(stored[..., :1] > 0, flow, np.float32(0))
