"""pix2pix from labels of facades to photographs."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """The authors' settings for images of 256 pixels, one at a time: one device is enough.

        python -m ssljax.main --config pix2pix/facades --workdir DIR --config.data.dir=IMAGES

    IMAGES holds the folders `train`, of the 400 images that the authors publish, and `test`. In
    each image a photograph stands left of its labels. 200 epochs; the rate falls in the second
    half, step by step where the authors have steps of an epoch. This config has not been run to its
    end.
    """
    config = base_config("pix2pix")
    config.batch_size = 1
    config.epochs = 200.0
    config.data.update(name="folder", image_size=2 * 286, resize="exact")
    config.method.direction = "B to A"
    config.optimizer.update(
        name="adam", learning_rate=2e-4, b1=0.5, schedule="linear", hold=0.5, exclude=()
    )
    config.evals.update(final=("translation",), batch_size=32)
    return config
