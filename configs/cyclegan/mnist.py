"""CycleGAN between digits and other digits that a known rule has changed, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """Thin networks on images of 28 pixels; no digit is seen in both domains.

        python -m ssljax.main --config cyclegan/mnist --workdir DIR

    With seed 0 digits of the test split differ on average by 0.035, of values in [-1, 1], from what
    the rule makes of them once they are translated, and by 1.89 before.

    With `--config.method.domain_b.rule=turned` or, in three channels, `colored`, the rule is
    another one.
    """
    config = base_config("cyclegan")
    config.batch_size = 8
    config.steps = 500
    config.data.update(name="mnist", split="train[:50%]", image_size=28, channels=1, cache="device")
    config.method.domain_b.update(split="train[50%:]", rule="inverted")
    config.method.view.update(size=28, crop_scale=None, flip_p=0.0)
    config.model.generator.update(width=0.25, blocks=2)
    config.model.discriminator.update(width=0.25, layers=2)
    config.optimizer.update(
        name="adam", learning_rate=1e-3, b1=0.5, schedule="linear", hold=0.5, exclude=()
    )
    config.evals.update(final=("translation", "knn"), train_split="train[:20%]")
    return config
