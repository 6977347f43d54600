"""DiscoGAN between drawings of shoes and photographs of others."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """The authors' settings for images of 64 pixels.

        python -m ssljax.main --config discogan/edges2shoes --workdir DIR --config.data.dir=IMAGES

    IMAGES holds the folders `trainA` of drawings and `trainB` of photographs, and `testA` and
    `testB` of others. The authors part the 49,825 pairs of the set into halves, the drawings of the
    one and the photographs of the other, and have no last step; 300,000 are our choice. They
    thicken the lines of a drawing by a 3x3 dilation at 256 pixels before they shrink it: IMAGES
    should hold such drawings. This config has not been run to its end.
    """
    config = base_config("discogan")
    config.batch_size = 64
    config.steps = 300_000
    config.data.update(name="folder", split="trainA", image_size=64, resize="exact")
    config.optimizer.update(
        name="adam",
        learning_rate=2e-4,
        b1=0.5,
        schedule="constant",
        weight_decay=1e-5,
        exclude=(),
    )
    config.evals.final = ("translation",)
    return config
