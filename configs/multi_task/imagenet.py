"""Several pretext tasks over one ResNet-101 on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """Relative patches, colorization, exemplars and motion segmentation, with harmonised inputs.

        python -m ssljax.main --config multi_task/imagenet --workdir DIR \
            --config.method.frames.dir=MASKS

    MASKS are frames of videos with masks of what moves, as `ssljax.tools.motion_masks` makes them;
    `--config.method.tasks=context_prediction,colorization,exemplar` does without. The tasks, the
    ResNet-101 that ends with its third stage, RMSProp and grey inputs with noise are the paper's.
    Each task has workers of its own there, and a quarter of every batch here; masks are told by
    convolutions, at 56x56 places; its blocks begin with a norm, ours end with one. Its
    lasso, by which each task chooses among the blocks' outputs, is not built. The noise is added to
    whatever a task shows, so that it is far less beside patches, which are scaled to an RMS of 50,
    than beside normalised images. Learning rate, batch, length and noise are ours. This config has
    not been run to its end.
    """
    config = base_config("multi_task")
    imagenet.pretraining(config, batch_size=384, epochs=100.0, eval_every=33360, save_every=3336)
    config.data.update(crop="device", image_size=512)  # Each task cuts its own parts.
    config.method.update(harmonize=True, noise=0.01)
    config.method.context_prediction.update(grids=1, reduction="mean")
    config.method.exemplar.update(form="triplet", crops=2)
    config.method.exemplar.view.size = 224
    config.method.motion_segmentation.head_dim = 256
    config.method.motion_segmentation.view.size = 224
    config.method.frames.name = "folder"
    config.model.encoder.update(name="resnet101", stem="imagenet", stages=3, dtype="bfloat16")
    config.optimizer.update(name="rmsprop", learning_rate=1e-3, weight_decay=0.0)
    config.evals.stages = ("stage3",)
    return config
