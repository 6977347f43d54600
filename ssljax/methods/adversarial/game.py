"""What the adversarial methods share: two networks, two players, and who sees what in which pass.

In one train step the discriminator is updated once or several times, each time on fresh real and
generated images, and then the generator once, against the updated discriminator. A player's pass
leaves the other network's batch statistics and spectral vectors alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, losses, metrics, models, optimizers
from ssljax.methods.adversarial.networks import Networks
from ssljax.methods.contract import Aux, Batch, Loss, Method, Player, Task, TrainState, Turn
from ssljax.ops.averages import moving_average

PyTree = Any
Images = Float[Array, "batch height width channels"]
Outputs = dict[str, Array]
"""Named outputs of a discriminator; see `models.build_discriminator`."""

_HEADS = ("logits", "class_logits", "rotation", "reconstruction")
_PRIORS: dict[str, Callable[..., Array]] = {
    "normal": jax.random.normal,
    "uniform": lambda key, shape: jax.random.uniform(key, shape, minval=-1.0, maxval=1.0),
}


class Adversarial(Method):
    """Two players, "discriminator" and "generator", which own the networks of these roles.

    A subclass adds its config, and its losses, penalties and updates where they differ. It may have
    more `roles`, or `more_networks`, of which a player owns those that `owned` gives it; the others
    are frozen.

    Args:
      config: The whole resolved config.
      task: What is known of data and length.
      loss: A key of `losses.GAN_LOSSES`; None if the subclass defines the losses of both players.
      conditional: Whether both networks receive the classes of their images: the generator in its
        norms, the discriminator by projection.
      **heads: Attributes of the discriminator that are not in the config, such as `num_rotations`.

    Attributes:
      owned: Roles of the networks of each player.
      networks: All networks.
      averages: Decay of the moving average of each network that is evaluated by its average. The
        memory holds, by network, "params" and the other collections.
    """

    roles: ClassVar[Mapping[str, models.Role]] = {
        "generator": models.GENERATOR,
        "discriminator": models.DISCRIMINATOR,
    }
    evaluated = "discriminator"
    owned: Mapping[str, tuple[str, ...]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator",),
    }

    def __init__(
        self,
        config: ConfigDict,
        task: Task,
        loss: str | None = None,
        conditional: bool = False,
        **heads: Any,
    ) -> None:
        method = config.method
        _check("prior", method.prior, _PRIORS)
        if loss is not None:
            _check("loss", loss, losses.GAN_LOSSES)
            self.game = losses.GAN_LOSSES[loss]
        if conditional and task.num_classes is None:
            raise ValueError("A conditional method needs a data set with labels.")
        self.image_shape, self.latent_dim = task.image_shape, method.latent_dim
        self.num_classes = task.num_classes if conditional else None
        self.loss_name = loss
        self.prior = _PRIORS[method.prior]
        self.generator_batch = method.get("generator_batch", 1)
        self.averages = {"generator": method.get("ema_decay", 0.0)}
        side, _, channels = task.image_shape
        labels: dict[str, Any] = {"num_classes": self.num_classes} if conditional else {}
        projection = {"conditional": "projection"} if conditional else {}
        given: dict[str, dict[str, Any]] = {
            "generator": {"image_size": side, "image_channels": channels, **labels},
            "discriminator": {**labels, **projection, **heads},
        }
        by_role = {
            role: kind.from_config(config.model[role], **given.get(role, {}))
            for role, kind in self.roles.items()
        }
        self.networks = Networks(by_role=by_role | self.more_networks(), owned=self.owned)
        steps = method.get("discriminator_steps", 1)
        self.players = (
            _player("discriminator", self.discriminator_loss, config, task, steps),
            _player("generator", self.generator_loss, config, task),
        )

    @staticmethod
    def default_config() -> ConfigDict:
        """The keys that all adversarial methods have."""
        return ConfigDict(
            dict(
                latent_dim=128,
                prior="normal",  # Of the latent vectors; or "uniform", from -1 to 1.
                discriminator_steps=1,  # Each on fresh data.
                generator_batch=1,  # Images of the generator's update, as a multiple of the batch.
                ema_decay=0.0,  # A train step, of the generator that is evaluated; 0: no average.
            )
        )

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the networks, and their averages where they start."""
        params, variables, frozen = self.networks.init(key, self.inputs)
        start = TrainState(0, params, variables, {}, frozen, key)
        averages = {}
        for role in self.averages:
            own, collections = self.networks.weights(start, role)
            averages[role] = {"params": own, **collections}
        return params, variables, frozen | jax.tree.map(jnp.copy, averages)

    def more_networks(self) -> dict[str, nn.Module]:
        """Networks beside those of `roles` or in their place, which no config describes."""
        return {}

    def inputs(self, role: str) -> tuple[Any, ...]:
        """What the network of a role is called with; one row is enough."""
        if role == "generator":
            latents = self.latents(jax.random.key(0), 1)
            return latents["noise"], False, latents.get("label")
        return jnp.zeros((1, *self.image_shape)), False

    def views(self, key: PRNGKeyArray, batch: Batch) -> PyTree:
        """Scales the real images to [-1, 1]; with their classes if they are read."""
        views = {"image": augment.to_tanh_range(batch["images"]["image"])}
        return views if self.num_classes is None else views | {"label": batch["images"]["label"]}

    def latents(self, key: PRNGKeyArray, count: int) -> PyTree:
        """Draws "noise" (count, latent_dim) and, for a conditional method, "label" (count,)."""
        return self._draw(augment.example_keys(key, count))

    def _draw(self, keys: Key[Array, " count"]) -> dict[str, Array]:
        """The latents of these keys: each row depends on its own key alone."""
        noise = jax.vmap(lambda key: self.prior(key, (self.latent_dim,)))
        drawn = {"noise": noise(augment.fold_keys(keys, 0))}
        if (classes := self.num_classes) is not None:
            label = jax.vmap(lambda key: jax.random.randint(key, (), 0, classes))
            drawn["label"] = label(augment.fold_keys(keys, 1))
        return drawn

    def sample_fakes(
        self,
        params: PyTree,
        variables: Mapping[str, PyTree],
        views: PyTree,
        key: PRNGKeyArray,
        each: int = 1,
        update_spectral: bool = False,
    ) -> tuple[Images, dict[str, Array], dict[str, PyTree]]:
        """One pass of the generator in training mode, on fresh latents.

        Args:
          params: The generator's parameters.
          variables: Its other collections.
          views: The real images, for their number.
          key: Of the latents.
          each: Images that are made for each real one.
          update_spectral: Whether the spectral vectors are updated, as in the generator's own
            update.

        Returns:
          The images, their latents, and the collections that the pass changed.
        """
        latents = self._draw(keys_beside(key, views["image"], each))
        images, changed = self.networks.run(
            "generator",
            (params, variables),
            latents["noise"],
            latents.get("label"),
            update_spectral,
        )
        return images, latents, changed

    def discriminate(
        self,
        params: PyTree,
        variables: Mapping[str, PyTree],
        images: Images,
        labels: Array | None = None,
        update_spectral: bool = False,
        dropout: PRNGKeyArray | None = None,
    ) -> tuple[Outputs, dict[str, PyTree]]:
        """One pass of the discriminator in training mode, with statistics of these images alone.

        Args:
          params: The discriminator's parameters.
          variables: Its other collections.
          images: Real or generated ones, never both.
          labels: Their classes, for a conditional discriminator.
          update_spectral: Whether the spectral vectors are updated: in one pass of each of the
            discriminator's updates.
          dropout: Key of what is dropped, for a discriminator that has dropout.

        Returns:
          The outputs, and the collections that the pass changed.
        """
        return self.networks.run(
            "discriminator", (params, variables), images, labels, update_spectral, dropout
        )

    def penalties(
        self, critic: Callable[[Array], Array], real: Images, fake: Images, key: PRNGKeyArray
    ) -> dict[str, Array]:
        """What is added to the discriminator's loss, by its name in the log.

        Args:
          critic: The discriminator's logits as a function of images.
          real: Real images.
          fake: Generated images, as many.
          key: For what is drawn.
        """
        return {}

    def discriminator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Tells real from generated images, which are passed separately.

        Running statistics, which evaluations alone read, are those of the real images.
        """
        fake_key, penalty_key = jax.random.split(turn.key)
        frozen = self.networks.weights(turn.state, "generator")
        fake, latents, _ = self.sample_fakes(*frozen, turn.views, fake_key)
        own, labels = turn.state.variables["discriminator"], turn.views.get("label")
        real_outputs, variables = self.discriminate(
            params, own, turn.views["image"], labels, update_spectral=True
        )
        updated = own | variables
        fake_outputs, _ = self.discriminate(params, updated, fake, latents.get("label"))

        def critic(images: Array) -> Array:
            return self.discriminate(params, updated, images, labels)[0]["logits"]

        terms = self.penalties(critic, turn.views["image"], fake, penalty_key)
        loss = self.game.discriminator(real_outputs["logits"], fake_outputs["logits"]) + sum(
            terms.values()
        )
        return loss, Aux(
            variables=variables,
            metrics=terms
            | self.scores(real_outputs["logits"], fake_outputs["logits"])
            | {"collapsed": metrics.generator_collapsed(fake, turn.views["image"])},
            carry={"features": real_outputs["features"]},
        )

    def generator_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """Makes images that the discriminator, as it is after its own updates, takes for real."""
        own = turn.state.variables["generator"]
        fake, latents, variables = self.sample_fakes(
            params, own, turn.views, turn.key, self.generator_batch, update_spectral=True
        )
        frozen = self.networks.weights(turn.state, "discriminator")
        outputs, _ = self.discriminate(*frozen, fake, latents.get("label"))
        return self.game.generator(outputs["logits"]), Aux(variables=variables)

    def scores(self, real: Float[Array, "real"], fake: Float[Array, "fake"]) -> dict[str, Array]:
        """How well the discriminator tells the two apart, by its logits."""
        if self.loss_name == "wasserstein":
            return {"wasserstein": jnp.mean(real) - jnp.mean(fake)}
        middle = 0.5 if self.loss_name == "least_squares" else 0.0
        return {
            "accuracy_real": jnp.mean((real > middle).astype(jnp.float32)),
            "accuracy_fake": jnp.mean((fake < middle).astype(jnp.float32)),
        }

    def after_step(self, state: TrainState, carried: Mapping[str, PyTree]) -> TrainState:
        """Moves the averages by one step."""
        moved = {
            role: _follow(state.memory[role], *self.networks.weights(state, role), decay)
            for role, decay in self.averages.items()
        }
        return state.replace(memory=state.memory | moved)

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """The discriminator's activations, layer by layer, for the whole images."""
        # Its logits tell real from generated images and are not scores of classes.
        outputs = self.all_outputs(state, images)
        return {name: x for name, x in outputs.items() if name not in _HEADS}

    def all_outputs(self, state: TrainState, images: Array) -> Outputs:
        """All outputs of the discriminator for raw images, in evaluation mode."""
        params, variables = self.trained_weights(state)
        outputs: Any = self.networks.by_role["discriminator"].apply(
            {"params": params, **variables}, augment.to_tanh_range(images), False
        )
        return outputs

    def generate(self, state: TrainState, latents: PyTree) -> Float[Array, "count h w channels"]:
        """Makes images by the averaged generator, with its running statistics."""
        network = state.memory["generator"]
        images: Any = self.networks.by_role["generator"].apply(
            network, latents["noise"], False, latents.get("label")
        )
        return images

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """The discriminator."""
        return self.networks.weights(state, "discriminator")


def keys_beside(key: PRNGKeyArray, images: Images, each: int = 1) -> Key[Array, " count"]:
    """Keys for the draws that go with the real images, on the devices of those images.

    Args:
      key: Key of this draw.
      images: The real images.
      each: Draws for each of them.

    Returns:
      One key per draw; key i depends on `key` and i alone.
    """
    batch = images.shape[0]
    rows = jnp.arange(batch, dtype=jnp.uint32)
    # Nothing else ties the draws to the batch: every device would make all of the images. A product
    # of 0 and a float stays in the compiled program, for it could be NaN.
    rows = rows + (0.0 * images.reshape(batch, -1)[:, 0]).astype(rows.dtype)
    draws = each * rows[:, None] + jnp.arange(each, dtype=jnp.uint32)[None]
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, draws.reshape(-1))


def _check(key: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise ValueError(f"method.{key} is {name!r}; it must be one of {', '.join(known)}.")


def _player(name: str, loss: Loss, config: ConfigDict, task: Task, updates: int = 1) -> Player:
    """A player with the optimizer of the config."""
    optimizer = optimizers.build(
        config.optimizer.to_dict(),
        total_steps=task.total_steps,
        steps_per_epoch=task.steps_per_epoch,
        batch_size=task.batch_size,
    )
    return Player(name, loss, optimizer.tx, optimizer.schedule, updates)


def _follow(
    average: Mapping[str, PyTree], params: PyTree, variables: Mapping[str, PyTree], decay: float
) -> PyTree:
    """One step of the moving average of a network.

    Batch statistics are averaged like the weights that they belong to; spectral vectors, of length
    1, are taken as they are.
    """
    now = {"params": params, **variables}
    return {
        name: tree if name == "spectral" else moving_average(average[name], tree, decay)
        for name, tree in now.items()
    }
