"""BiGAN on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """The authors' perceptrons at half their width, and a deep and thin convolutional encoder.

    python -m ssljax.main --config bigan/fashion_mnist --workdir DIR

    Codes have 20 dimensions, and the encoder's features are centred before their layer: in so few
    steps the codes would all go the same way, and saturate. Takes 9 minutes on one busy core;
    benchmarks/RESULTS.md has its scores.
    """
    config = base_config("bigan")
    fashion_mnist.inference_on_cpu(config)
    config.batch_size = 128
    config.steps = 3000
    config.method.update(latent_dim=20, center_features=True)
    config.model.generator.width = 0.5
    config.model.discriminator.width = 0.5
    config.optimizer.update(
        learning_rate=1e-3,
        schedule="exponential",
        hold=0.5,
        end_factor=0.05,
        b1=0.5,
        weight_decay=2.5e-5,
    )
    return config
