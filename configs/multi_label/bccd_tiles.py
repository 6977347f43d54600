"""Kinds of blood cells in tiles of photographs, on a CPU."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """A thin network learns which of three kinds of cells each tile shows.

        python -m benchmarks.blood_tiles --data_dir DIR
        python -m ssljax.main --config multi_label/bccd_tiles --workdir WORKDIR \
            --config.data.dir=DIR --config.init.workdir=PRETRAINED

    The first command cuts the tiles out of the TFDS data set `bccd` in DIR. A kind of which a tile
    shows less than half of a cell teaches nothing there and is not scored. PRETRAINED is the
    workdir of a run with the same encoder; without it the network starts untrained.
    `--config.method.train_encoder=false` trains the classifier alone. Takes a minute on one core;
    benchmarks/RESULTS.md has its scores.
    """
    config = base_config("multi_label")
    config.batch_size = 64
    config.steps = 300
    config.data.update(
        name="bccd_tiles",
        split="train+validation",
        image_size=32,
        multi_label_key="labels_no_difficult",
        doubtful_key="labels",
        cache="device",
    )
    config.method.view.update(size=32, crop_scale=(0.8, 1.0), mean=(0.5,) * 3, std=(0.25,) * 3)
    config.model.encoder.update(name="small", widths=(16, 32, 64), convs_per_stage=2)
    config.optimizer.update(
        name="adamw", learning_rate=2e-3, warmup_steps=30, weight_decay=1e-4, clip_norm=1.0
    )
    config.evals.update(final=("multi_label",), train_split="train+validation", test_split="test")
    return config
