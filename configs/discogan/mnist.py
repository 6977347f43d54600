"""DiscoGAN between digits and other digits that a known rule has changed, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """Thin networks on images of 32 pixels; no digit is seen in both domains.

        python -m ssljax.main --config discogan/mnist --workdir DIR

    `--config.method.starting_rate=0 --config.method.default_rate=0` leaves the way back out.
    """
    config = base_config("discogan")
    config.batch_size = 64
    config.steps = 1500
    config.data.update(name="mnist", split="train[:50%]", image_size=32, channels=1, cache="device")
    config.method.domain_b.update(split="train[50%:]", rule="inverted")
    config.method.view.size = 32
    config.method.curriculum_steps = 200
    config.model.generator.width = 0.25
    config.model.discriminator.width = 0.25
    config.optimizer.update(
        name="adam",
        learning_rate=1e-3,
        b1=0.5,
        schedule="constant",
        weight_decay=1e-5,
        exclude=(),
    )
    config.evals.update(final=("translation", "knn"), train_split="train[:20%]", stages=("block2",))
    return config
