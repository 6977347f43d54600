"""Methods that learn from videos: what moves, in which order, and what belongs together."""

from ssljax.methods.contract import Method
from ssljax.methods.video.shuffle_and_learn import ShuffleAndLearn
from ssljax.methods.video.tracking import Tracking

REGISTRY: dict[str, type[Method]] = {
    "shuffle_and_learn": ShuffleAndLearn,
    "tracking": Tracking,
}
