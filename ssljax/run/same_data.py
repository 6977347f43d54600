"""Whether a run that is resumed finds the training set that it began with."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from ssljax import methods
from ssljax.errors import UserError
from ssljax.run.experiment import Experiment
from ssljax.run.pretrained import Recorded

_NAMES_SHOWN = 5

_log = logging.getLogger(__name__)


def check(experiment: Experiment, recorded: Recorded | None) -> list[dict[str, Any]]:
    """Compares the training set with the one that the run began with.

    Args:
      experiment: The run that begins or is resumed.
      recorded: What is known of it from before; None if it begins.

    Returns:
      What the training set was made of, at first and after each change, to be recorded.

    Raises:
      UserError: If the set has changed and `config.resume.accept` does not name "data", or the
        method cannot go on with another set.
    """
    now = experiment.fingerprint
    if recorded is None or not recorded.made_of:
        return [now]
    before = recorded.made_of[-1]
    changes = _changes(before, now)
    if not changes:
        return recorded.made_of
    told = f"The training set has changed since this run began: {'; '.join(changes)}"
    if "data" not in experiment.config.resume.accept:
        option = (*experiment.config.resume.accept, "data")
        raise UserError(
            f"{told}. Restore it, or choose another --workdir, or go on with the set as it is now, "
            f'for as many steps as planned, with --config.resume.accept="{option}".'
        )
    fed = methods.feeds(experiment.config)
    if any("index" in feed.fields for feed in fed.values()):
        raise UserError(
            f"{told}. The method {experiment.config.method.name} remembers each image by its place "
            "in the set and cannot go on with another: restore it, or choose another --workdir."
        )
    if jax.process_index() == 0:
        _log.warning(
            "%s. It goes on all the same, as config.resume.accept says, and its length and "
            "schedule stay those of the set before.",
            told,
        )
    return [*recorded.made_of, now]


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two fingerprints, in words."""
    changes = []
    if before["images"] != now["images"]:
        changes.append(f"it had {before['images']:,} images and has {now['images']:,}")
    for which, one, other in (("new", now, before), ("gone", before, now)):
        names = sorted(set(one["classes"]) - set(other["classes"]))
        if names:
            changes.append(f"{which} classes: {_shown(names)}")
    if not changes and before["classes"] != now["classes"]:
        changes.append("its classes are numbered differently")
    if not changes and before["digest"] != now["digest"]:
        changes.append("files have other names or sizes, or it was prepared again")
    return changes


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(repr, names[:_NAMES_SHOWN])) + more
