"""Non-linear probe: a perceptron with hidden layers on the maps of a frozen network."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, UInt8
from ml_collections import ConfigDict

from ssljax import augment
from ssljax.evals import features, labels, streamed
from ssljax.evals.contract import Evaluation, Run, Scores
from ssljax.methods.contract import TrainState
from ssljax.metrics.minibatches import Read
from ssljax.metrics.mlp import MlpSettings, streamed_mlp_probes

_FLIP, _SHIFT = 0, 1


class Mlp(Evaluation):
    """Accuracy "mlp": see `ssljax.metrics.mlp`, after the last epoch.

    The images are shifted and mirrored anew in every epoch, as RotNet's authors do it, so that they
    pass through the network once an epoch, and no features are kept.
    """

    name = "mlp"

    @staticmethod
    def default_config() -> ConfigDict:
        """RotNet's for the maps of its second block on CIFAR-10, each of 192 values of 8x8 places.

        Of a map that large every value is a feature; of a larger one a grid is kept, as
        `evals.pool` has it.
        """
        return ConfigDict(
            dict(
                **MlpSettings()._asdict(),
                stages=(),  # Empty: those of `config.evals.stages`.
                pool_values=12288,
                crop_padding=4,  # Pixels by which an image is shifted at most.
                flip_p=0.5,
            )
        )

    def stages(self, run: Run) -> tuple[str, ...]:
        """Its own."""
        return _layers(run).stages

    def check(self, run: Run) -> tuple[str, ...]:
        """Raises a `UserError` if there is no such stage, or no label to learn from or to score."""
        features.check(run, self.name, keeps=False, layers=_layers(run))
        labels.count(run, features.train_scan(run), self.name, lambda n: n.sum() >= 2)
        return features.names(run, (self.name,), _layers(run))

    def score(self, run: Run, state: TrainState | None) -> Scores:
        """Scores the features of every stage."""
        config, layers = run.config.mlp, _layers(run)
        sets, outputs = streamed.open_sets(run), features.outputs(run, state, layers)

        def train(epoch: int) -> Read:
            def altered(images: Array, index: Array) -> dict[str, Array]:
                key = jax.random.fold_in(jax.random.key(0), epoch)
                return outputs(_altered(key, images, index, config.crop_padding, config.flip_p))

            return streamed.reader(run, altered, sets.train, ("image", "index"))

        accuracies = streamed_mlp_probes(
            train,
            sets.train.labels,
            streamed.reader(run, outputs, sets.test),
            sets.test.labels,
            sets.num_classes,
            features.dims(run, state, layers),
            settings=MlpSettings(**{name: config[name] for name in MlpSettings._fields}),
        )
        found = {stage: {self.name: accuracy} for stage, accuracy in accuracies.items()}
        return Scores(features.by_stage(run, found, layers))


def _layers(run: Run) -> features.Layers:
    return features.own_layers(run, "mlp")


@functools.partial(jax.jit, static_argnames=("padding", "flip_p"))
def _altered(
    key: PRNGKeyArray,
    images: UInt8[Array, "batch height width channels"],
    index: Int[Array, "batch"],
    padding: int,
    flip_p: float,
) -> UInt8[Array, "batch height width channels"]:
    """Shifts and mirrors images, by their places in the split."""
    keys = jax.vmap(lambda place: jax.random.fold_in(key, place))(index)
    pixels = images.astype(jnp.float32)
    pixels = augment.random_crop_with_padding(augment.fold_keys(keys, _SHIFT), pixels, padding)
    pixels = augment.random_flip(augment.fold_keys(keys, _FLIP), pixels, flip_p)
    return jnp.round(pixels).astype(jnp.uint8)
