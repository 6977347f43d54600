"""SimMIM on Fashion-MNIST, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import fashion_mnist


def get_config() -> ConfigDict:
    """A thin vision transformer on the 60,000 grey images of Fashion-MNIST, in patches of 4x4.

    python -m ssljax.main --config simmim/fashion_mnist --workdir DIR

    As in the paper, a seventh of the view's side is hidden at a time, and the middle of the network
    knows most of what is shown: probes read its second block of four. benchmarks/RESULTS.md has its
    scores.
    """
    config = base_config("simmim")
    config.batch_size = 32
    config.epochs = 2.0
    fashion_mnist.data(config)
    config.method.mask_size = 4
    config.method.view.update(size=28, crop_scale=(0.5, 1.0), mean=(0.286,), std=(0.353,))
    # The class token has no loss of its own.
    config.model.encoder.update(name="vit_mini", patch_size=4, pool="mean", initializer="xavier")
    config.optimizer.update(
        name="adamw", learning_rate=3e-3, warmup_epochs=0.5, weight_decay=0.05, b2=0.95
    )
    config.evals.stages = ("block2",)
    return config
