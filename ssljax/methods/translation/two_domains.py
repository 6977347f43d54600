"""What the methods share that translate between two sets of images which are not paired.

There are two players over four networks: the generators, one towards each domain, and the
discriminators, one for each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from ml_collections import ConfigDict

from ssljax import augment, metrics
from ssljax.methods import passes
from ssljax.methods.adversarial.networks import Networks, Weights
from ssljax.methods.contract import Aux, Batch, Feed, Loss, Method, Player, Task, TrainState, Turn
from ssljax.ops.known_mappings import KNOWN_MAPPINGS

PyTree = Any
Images = Float[Array, "batch height width channels"]

OTHER = {"A": "B", "B": "A"}
"""The domains, each with the other one. Roles are `to_<domain>` and `of_<domain>`."""


class TwoDomains(Method):
    """Two feeds "A" and "B" of images, and a translation each way.

    Domain A is `config.data`, domain B what `config.method.domain_b` changes of it. Both have the
    same number of channels. With `method.domain_b.rule` B's images are changed by a known rule, see
    `ssljax.ops.known_mappings`, so that translations of A have a truth to be compared with; no
    image of A is seen beside its own truth unless the two domains are of the same records.

    Evaluations score images of `config.data`, so the features are those of the discriminator of
    domain A: that of B has seen none such.

    A subclass has the roles "generator" and "discriminator", and both losses.

    Args:
      config: The whole resolved config.
      task: What is known of data and length.

    Attributes:
      view: How the inputs are made.
      networks: Of the roles "to_A", "to_B", "of_A" and "of_B".
    """

    evaluated = "discriminator of A"

    def __init__(self, config: ConfigDict, task: Task) -> None:
        self.rule = known_rule(config.method.domain_b.rule, "method.domain_b.rule")
        self.view = pixel_view(config)
        self.channels = task.image_shape[2]
        by_role = {}
        for domain in OTHER:
            by_role[f"to_{domain}"] = self.roles["generator"].from_config(
                config.model.generator, image_channels=self.channels
            )
            by_role[f"of_{domain}"] = self.roles["discriminator"].from_config(
                config.model.discriminator
            )
        owned = {"generators": ("to_A", "to_B"), "discriminators": ("of_A", "of_B")}
        self.networks = Networks(by_role=by_role, owned=owned)
        self.players = (
            player("generators", self.generators_loss, config, task),
            player("discriminators", self.discriminators_loss, config, task),
        )

    @staticmethod
    def default_config() -> ConfigDict:
        """The keys that these methods have in common."""
        return ConfigDict(
            dict(
                # What differs from config.data; empty: the same.
                domain_b=dict(name="", dir="", split="trainB", rule="none"),
            )
        )

    @classmethod
    def feeds(cls, config: ConfigDict) -> Mapping[str, Feed]:
        """Both domains, each in an order of its own."""
        return {"A": Feed(), "B": Feed(data="method.domain_b")}

    def init(self, key: PRNGKeyArray) -> tuple[dict[str, PyTree], dict[str, PyTree], PyTree]:
        """Makes the four networks."""
        images = jnp.zeros((1, self.view.size, self.view.size, self.channels))
        params, variables, _ = self.networks.init(key, lambda role: (images, False))
        return params, variables, {}

    def views(self, key: PRNGKeyArray, batch: Batch) -> dict[str, Images]:
        """A view of each image of both domains, in the range of the networks."""
        raw = {"A": batch["A"]["image"], "B": self.rule(batch["B"]["image"])}
        return {
            domain: self.to_range(
                augment.augment_view(self.view, jax.random.fold_in(key, number), images)
            )
            for number, (domain, images) in enumerate(raw.items())
        }

    def to_range(self, images: Images) -> Images:
        """Brings [0, 1] to the range of the networks: [-1, 1] here."""
        return augment.tanh_range(images)

    def from_range(self, images: Images) -> Images:
        """Brings the range of the networks to [-1, 1]."""
        return images

    def generators_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The loss of both generators."""
        raise TypeError(f"{type(self).__name__} does not define generators_loss")

    def discriminators_loss(self, params: PyTree, turn: Turn) -> tuple[Array, Aux]:
        """The loss of both discriminators."""
        raise TypeError(f"{type(self).__name__} does not define discriminators_loss")

    def run(self, role: str, weights: Weights, images: Images) -> tuple[Any, dict[str, PyTree]]:
        """One pass of a network in training mode: its outputs, and the collections it changed."""
        return passes.forward(self.networks.by_role[role], *weights, images)

    def translate_all(
        self, params: PyTree, turn: Turn, back: bool = True
    ) -> tuple[dict[str, Images], dict[str, Images], dict[str, PyTree]]:
        """Translates both domains' views, and back.

        Running statistics, which evaluations alone read, are those of the real images' passes.

        Args:
          params: The generators'.
          turn: Whose views are translated.
          back: Whether the way back is wanted; nothing is returned of it otherwise.

        Returns:
          By domain: the translations into it; its own images, translated and translated back; and
          by role, the collections that the passes of real images changed.
        """
        own = turn.state.variables["generators"]
        fakes, again, changed = {}, {}, {}
        for domain, source in OTHER.items():
            role = f"to_{domain}"
            fakes[domain], changed[role] = self.run(
                role, (params[role], own[role]), turn.views[source]
            )
        for domain in OTHER if back else ():
            role = f"to_{domain}"
            again[domain], _ = self.run(role, (params[role], own[role]), fakes[OTHER[domain]])
        return fakes, again, changed

    def judge(
        self,
        params: PyTree,
        turn: Turn,
        fakes: Mapping[str, Images],
        loss: Callable[[Array, Array], Array],
        middle: float,
    ) -> tuple[Array, Aux]:
        """The loss of telling real from translated images, of both discriminators together.

        Args:
          params: The discriminators'.
          turn: Whose views are the real images.
          fakes: Translations into each domain.
          loss: Of a discriminator, by its logits for real images and for translations.
          middle: The logit between the two.

        Returns:
          The sum over the domains; statistics of the real images, how well they are told apart,
          and the features of domain A.
        """
        own = turn.state.variables["discriminators"]
        total, changed, scores, features = jnp.float32(0.0), {}, [], {}
        for domain in OTHER:
            role, fake = f"of_{domain}", jax.lax.stop_gradient(fakes[domain])
            weights = params[role], own[role]
            real_outputs, changed[role] = self.run(role, weights, turn.views[domain])
            fake_outputs, _ = self.run(role, weights, fake)
            total += loss(real_outputs["logits"], fake_outputs["logits"])
            scores.append(told_apart(real_outputs["logits"], fake_outputs["logits"], middle))
            features[domain] = real_outputs["features"]
        means = {name: (scores[0][name] + scores[1][name]) / 2 for name in scores[0]}
        return total, Aux(variables=changed, metrics=means, carry={"features": features["A"]})

    def health(self, fakes: Mapping[str, Images], turn: Turn) -> dict[str, Array]:
        """Whether one of the generators makes the same of all images; unknown of a single one."""
        verdicts = [collapse(fakes[domain], turn.views[domain]) for domain in OTHER]
        return {name: jnp.maximum(x, verdicts[1][name]) for name, x in verdicts[0].items()}

    def features(self, state: TrainState, images: Array) -> dict[str, Array]:
        """The activations of domain A's discriminator, layer by layer, for the whole images."""
        params, variables = self.trained_weights(state)
        outputs: Any = self.networks.by_role["of_A"].apply(
            {"params": params, **variables}, self.whole(images), False
        )
        return {name: x for name, x in outputs.items() if name != "logits"}

    def whole(self, images: Array) -> Images:
        """Raw images as the networks take them, resized to the size of the views."""
        return self.to_range(resized(self.view, images))

    def translations(self) -> tuple[str, ...]:
        """Both ways."""
        return "A to B", "B to A"

    def translate(self, state: TrainState, images: Array, way: str) -> Images:
        """Makes the translation of each image in [-1, 1], in evaluation mode.

        Args:
          state: Training state.
          images: Uint8, of the domain that `way` begins with; those of B have been changed by the
            rule already. They are translated at the size of the views, and given the size they had.
          way: One of `translations`.

        Raises:
          ValueError: If there is no such way, or the images are not bytes.
        """
        if way not in self.translations():
            raise ValueError(
                f"There is no translation {way!r}; there are {', '.join(self.translations())}."
            )
        role = f"to_{way[-1]}"
        params, variables = self.networks.weights(state, role)
        made: Any = self.networks.by_role[role].apply(
            {"params": params, **variables}, self.whole(images), False
        )
        return augment.resize(self.from_range(made), (images.shape[1], images.shape[2]))

    def trained_weights(self, state: TrainState) -> tuple[PyTree, dict[str, PyTree]]:
        """The discriminator of domain A."""
        return self.networks.weights(state, "of_A")


def player(name: str, loss: Loss, config: ConfigDict, task: Task) -> Player:
    """A player that is always active, with the optimizer of the config."""
    return dataclasses.replace(passes.online_player(loss, config, task), name=name)


def known_rule(name: str, key: str) -> Callable[[Array], Array]:
    """One of the rules of `ssljax.ops.known_mappings`.

    Args:
      name: Of the rule.
      key: The key of the config that names it.

    Raises:
      ValueError: If there is no such rule.
    """
    if name not in KNOWN_MAPPINGS:
        raise ValueError(f"{key} is {name!r}; it must be one of {', '.join(KNOWN_MAPPINGS)}.")
    return KNOWN_MAPPINGS[name]


def told_apart(
    real: Float[Array, "real *places"], fake: Float[Array, "fake *places"], middle: float
) -> dict[str, Array]:
    """How well a discriminator tells the two apart, by its logits and where their middle is."""
    return {
        "accuracy_real": jnp.mean((real > middle).astype(jnp.float32)),
        "accuracy_fake": jnp.mean((fake < middle).astype(jnp.float32)),
    }


def collapse(fake: Images, real: Images) -> dict[str, Array]:
    """Whether all translations are the same, as "collapsed"; unknown of a single image."""
    return {} if len(fake) < 2 else {"collapsed": metrics.generator_collapsed(fake, real)}


def pixel_view(config: ConfigDict) -> augment.ViewPolicy:
    """Reads `config.method.view`, which gives images and must not normalise them.

    Raises:
      ValueError: If it does, or a value is impossible.
    """
    view = augment.view_from_config(config.method.view)
    if view.mean is not None:
        raise ValueError(
            "method.view.mean and method.view.std would change the range of images that are to be "
            "made again: set both to None."
        )
    return view


def resized(view: augment.ViewPolicy, images: Array) -> Images:
    """Whole raw images in [0, 1], squeezed to the size of the views."""
    return augment.resize(augment.to_float(images), (view.size, view.size), view.interpolation)
