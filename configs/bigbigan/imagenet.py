"""BigBiGAN on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The paper's ResNet-50 at 256 pixels, whose codes become images of 128.

        python -m ssljax.main --config bigbigan/imagenet --workdir DIR

    Batch, sizes and views are those of the authors' notebook and paper. From memory are Adam's
    values (a rate of 2e-4 and ten times that for the encoder, decays of 0 and 0.999, no weight
    decay), the two updates of the discriminator a step, the moving average's 0.9999, the length,
    and what the networks' docstrings say. Generator and discriminator have one rate here, while
    BigGAN's may differ. The encoder is the library's ResNet-50, which normalises after its
    convolutions and not before. This config has not been run to its end.
    """
    config = base_config("bigbigan")
    imagenet.pretraining(config, batch_size=2048, epochs=0.0, eval_every=50_000, save_every=5000)
    config.steps = 500_000
    config.model.encoder.update(name="resnet50", stem="imagenet", dtype="bfloat16")
    config.model.generator.dtype = "bfloat16"
    config.model.discriminator.dtype = "bfloat16"
    config.optimizer.update(
        name="adam", learning_rate=2e-4, schedule="constant", b1=0.0, b2=0.999, exclude=()
    )
    config.evals.stages = ("features", "crelu")
    return config
