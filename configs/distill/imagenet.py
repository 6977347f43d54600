"""Distillation of SimCLR v2 on ImageNet."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.optimizers import NORMS_AND_BIASES
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The paper's setting: pretraining's batch 4096, LARS and weight decay, 400 epochs, no label.

        python -m ssljax.main --config distill/imagenet --workdir DIR \
            --config.init.workdir=TEACHER

    TEACHER is the workdir of a run of `finetune/imagenet`, or of this config: the paper
    first distils a network into itself (`--config.method.temperature=0.1`) and that into smaller
    ones. It reports 73.9 % top-1 with 1 % of the labels for a ResNet-50 taught by a ResNet-152 of
    three times the width; this config has not been run to its end.
    """
    config = base_config("distill")
    config.batch_size = 4096
    config.epochs = 400.0
    imagenet.data(config)
    config.model.encoder.update(
        name="resnet50", stem="imagenet", zero_init_residual=True, dtype="bfloat16"
    )
    config.optimizer.update(
        name="lars",
        learning_rate=0.1,  # 6.4 at this batch.
        scaling="sqrt",
        warmup_epochs=20.0,  # 5 % of the epochs.
        weight_decay=1e-4,
        exclude=(NORMS_AND_BIASES, r"^classifier/"),
    )
    config.evals.update(final=("classifier",), test_split="validation", baselines=False)
    return config
