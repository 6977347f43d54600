"""Video: what the frames of a clip tell of one another."""

from ssljax.methods.contract import Method
from ssljax.methods.video.video_colorization import VideoColorization

REGISTRY: dict[str, type[Method]] = {
    "video_colorization": VideoColorization,
}
