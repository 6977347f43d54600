"""BiGAN on MNIST."""

from ml_collections import ConfigDict

from ssljax.config.base import base_config


def get_config() -> ConfigDict:
    """The authors' perceptrons that know nothing of places: 400 epochs.

        python -m ssljax.main --config bigan/mnist --workdir DIR

    The authors report 97.35 % for the nearest neighbour in the layer before the encoder's output
    and 92.10 % in the output itself, the stage `linear`: on 10,000 images for validation that they
    have cut from the training set, where here all of it is trained on and the test set is scored;
    and by Euclidean distance, where neighbours here are those of the largest cosine. Their rate
    falls once an epoch, and here in every step.
    This config has not been run to its end.
    """
    config = base_config("bigan")
    config.batch_size = 128
    config.epochs = 400.0
    config.data.update(name="mnist", image_size=28, channels=1, cache="device")
    config.optimizer.update(
        name="adam",
        learning_rate=2e-4,
        schedule="exponential",
        hold=0.5,
        end_factor=0.01,
        b1=0.5,
        b2=0.999,
        weight_decay=2.5e-5,
        exclude=(),
    )
    config.evals.stages = ("features", "linear")
    config.evals.knn.neighbors = ((1, 0.07), (20, 0.07))
    return config
