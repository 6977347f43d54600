"""Time as the teacher: what moves in videos, in which order, and what belongs together."""

from ssljax.methods.contract import Method
from ssljax.methods.video.motion_segmentation import MotionSegmentation
from ssljax.methods.video.shuffle_and_learn import ShuffleAndLearn
from ssljax.methods.video.tracking import Tracking
from ssljax.methods.video.video_colorization import VideoColorization

REGISTRY: dict[str, type[Method]] = {
    "motion_segmentation": MotionSegmentation,
    "shuffle_and_learn": ShuffleAndLearn,
    "tracking": Tracking,
    "video_colorization": VideoColorization,
}
