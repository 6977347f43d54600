"""Fine-tuning of SimCLR v2 on ImageNet with 1 % of the labels."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config
from ssljax.optimizers import NORMS_AND_BIASES
from ssljax.recipes import imagenet


def get_config() -> ConfigDict:
    """The paper's setting: batch 1024, LARS, 60 epochs, no warm-up and no weight decay.

        python -m ssljax.main --config finetune/imagenet --workdir DIR \
            --config.init.workdir=PRETRAINED

    PRETRAINED is the workdir of a run of `simclr/imagenet` with a head of three layers.
    The labelled images are the list that the field shares, which TFDS has as
    `imagenet2012_subset/1pct`; for 10 % add `--config.data.name=imagenet2012_subset/10pct
    --config.epochs=30`. With all labels the paper starts from the features: `imagenet2012`, and
    `--config.method.from_layer=0`. It reports 57.9 % top-1 with 1 % and 68.4 % with 10 % of the
    labels for a ResNet-50; this config has not been run to its end.
    """
    config = base_config("finetune")
    config.batch_size = 1024
    config.epochs = 60.0
    imagenet.data(config, "imagenet2012_subset/1pct")
    config.model.encoder.update(
        name="resnet50", stem="imagenet", zero_init_residual=True, dtype="bfloat16"
    )
    config.optimizer.update(
        name="lars",
        learning_rate=0.005,  # 0.16 at this batch; the paper takes 0.002 for larger networks.
        scaling="sqrt",
        weight_decay=0.0,
        exclude=(NORMS_AND_BIASES, r"^classifier/"),
    )
    config.evals.update(final=("classifier",), test_split="validation", baselines=False)
    return config
