"""Video colorization on a folder of videos, such as those of Kinetics."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """ResNet-18 of stride 8 with five 3-D convolutions, as in the paper.

        python -m ssljax.main --config video_colorization/kinetics --workdir DIR \
            --config.data.dir=VIDEOS

    VIDEOS/train and VIDEOS/test hold videos of 25 to 30 frames a second, of which every fifth is
    seen, for the paper's 6. It trains for 400,000 steps of 32 clips, from memory; the learning rate
    is that of the ports.
    """
    config = base_config("video_colorization")
    config.batch_size = 32
    config.steps = 400_000
    config.data.update(name="folder", frames=4, stride=5, max_corrupt=100)
    config.data.update(image_size=256, resize="exact")
    config.model.encoder.update(name="resnet18", dtype="bfloat16")
    config.optimizer.update(name="adam", learning_rate=1e-4, schedule="constant")
    config.evals.update(final=("pretext",), batch_size=8)
    return config
