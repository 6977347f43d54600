"""Time as the teacher: what videos tell of single images."""

from ssljax.methods.contract import Method
from ssljax.methods.video.motion_segmentation import MotionSegmentation

REGISTRY: dict[str, type[Method]] = {
    "motion_segmentation": MotionSegmentation,
}
