"""The sets of images that a method translates between, as evaluations read them."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from ssljax import data, methods
from ssljax.errors import UserError
from ssljax.evals import gallery, translating
from ssljax.evals.contract import Run, leave_out
from ssljax.methods.contract import Feed
from ssljax.methods.protocols import TranslatesPairs
from ssljax.ops.known_mappings import KNOWN_MAPPINGS
from ssljax.run import feeds

NO_RULE = "none"
TESTS = ("test_a", "test_b")
"""Keys of `config.evals.translation` that name the splits of the first and the second feed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Domain:
    """One of the two sets.

    Attributes:
      dataset: Its name, as scores call it: with the rule, such as "mnist-inverted".
      split: The split that is scored.
      test: Passes over images of that split, before the rule.
      training: The set that the method is trained on, likewise.
      rule: What makes the domain's images of those that are read.
      rule_name: Its name; "none" if it is none of `KNOWN_MAPPINGS`.
      records: The name and the place of the data set that is read.
    """

    dataset: str
    split: str
    test: data.Scan
    training: data.Source
    rule: gallery.Rule
    rule_name: str
    records: tuple[str, str]

    def images(self) -> gallery.Ruled:
        """Passes over the images of the split that is scored, after the rule."""
        return gallery.Ruled(self.test, self.rule)


class Ends(NamedTuple):
    """Where a translation begins and where it leads.

    Attributes:
      source: The images that are translated.
      target: Those that should be made.
      are_paired: Whether the target's rule makes the right translation of what the source's rule
        makes an image of.
    """

    source: Domain
    target: Domain
    are_paired: bool


def between(run: Run, way: str) -> Ends:
    """The two ends of a translation.

    Args:
      run: The run. Its method names translations by its feeds, "A to B", or has a feed of pairs.
      way: One of the translations.

    Raises:
      UserError: If there is no such set or split.
    """
    return run.once(_between, way)


def image_shape(run: Run, domain: Domain) -> tuple[int, int, int]:
    """(height, width, channels) of a domain's images."""
    images = jax.ShapeDtypeStruct((run.mesh.size, *run.experiment.task.image_shape), np.uint8)
    _, height, width, channels = jax.eval_shape(domain.rule, images).shape
    return height, width, channels


def _between(run: Run, way: str) -> Ends:
    found, method = run.once(_domains), run.experiment.method
    if isinstance(method, TranslatesPairs):
        (pairs,) = found.values()
        rule_name = run.experiment.config.method.get("rule", NO_RULE)
        given, wanted = (
            dataclasses.replace(
                pairs,
                dataset=_called(pairs.dataset, rule_name if name == "B" else NO_RULE),
                rule=functools.partial(_half, method, half),
            )
            for half, name in enumerate(translating.ends(way))
        )
        return Ends(given, wanted, True)
    source, target = translating.ends(way)
    if not {source, target} <= set(found):
        raise UserError(
            f"The translation {way!r} is not between two feeds of the method "
            f"{run.experiment.config.method.name}, so there is nothing that it could be compared "
            f"with: {leave_out('translation')}."
        )
    rules = {found[name].rule_name for name in (source, target)}
    same = found[source].records == found[target].records
    return Ends(found[source], found[target], same and len(rules) == 2 and NO_RULE in rules)


def _called(name: str, rule_name: str) -> str:
    """The name of a data set whose images a rule has changed."""
    return name if rule_name == NO_RULE else f"{name}-{rule_name}"


def _half(method: TranslatesPairs, half: int, images: Array) -> Array:
    return method.halves(images)[half]


def _domains(run: Run) -> dict[str, Domain]:
    fed = {
        name: feed
        for name, feed in methods.feeds(run.experiment.config).items()
        if "image" in feed.fields
    }
    return {
        name: _domain(run, name, feed, key)
        for (name, feed), key in zip(fed.items(), TESTS, strict=False)
    }


def _domain(run: Run, name: str, feed: Feed, key: str) -> Domain:
    config, own = run.experiment.config, feeds.own_keys(run.experiment.config, feed)
    rule_name = own.get("rule", NO_RULE)
    trained, split = own.get("split", config.data.split), run.config.translation[key]
    whence = f"which config.evals.translation.{key} names"
    if not split:
        split = trained.replace("train", "test")
        whence = (
            f"which stands for {trained}, as config.evals.translation.{key} is empty and may name "
            "another split"
        )
    if split == trained and not run.config.translation[key]:
        raise UserError(
            f"{name} is trained on the split {trained!r}, whose name does not say which one is for "
            f"tests: name that in config.evals.translation.{key}, or {leave_out('translation')}."
        )
    keys = run.keys(split, feed)
    try:
        source = feeds.open_source(keys)
    except UserError as error:
        raise UserError(f"Of {split}, {whence}: {error}") from error
    return Domain(
        dataset=_called(keys.name, rule_name),
        split=split,
        test=gallery.drawn(run, source, run.config.translation.count),
        training=run.experiment.sources.fed[name],
        rule=KNOWN_MAPPINGS[rule_name],
        rule_name=rule_name,
        records=(keys.name, keys.dir),
    )
