"""The methods, by the name that a config gives them. Each family has a registry of its own."""

from __future__ import annotations

import dataclasses

from ml_collections import ConfigDict

from ssljax.methods import (
    adversarial,
    joint_embedding,
    pretext,
    probe,
    reconstruction,
    transfer,
    translation,
    video,
)
from ssljax.methods.contract import Feed, Method, Task, phase_at

REGISTRY: dict[str, type[Method]] = {
    name: method
    for family in (
        joint_embedding,
        pretext,
        reconstruction,
        adversarial,
        transfer,
        translation,
        video,
    )
    for name, method in family.REGISTRY.items()
}


def default_config(name: str) -> ConfigDict:
    """The keys under `config.method` of a method, at the values of its paper."""
    config = REGISTRY[name].default_config()
    config.name = name
    config.online_probe = False  # A linear classifier that is learnt along with it, for the log.
    return config


def default_model(name: str) -> ConfigDict:
    """The keys under `config.model` of a method: a section for each of its roles."""
    return ConfigDict({role: dict(kind.options) for role, kind in REGISTRY[name].roles.items()})


def feeds(config: ConfigDict) -> dict[str, Feed]:
    """What the method of a config is fed, and the labels that its online probe reads."""
    found = dict(REGISTRY[config.method.name].feeds(config))
    if config.method.online_probe:
        name, feed = next(iter(found.items()))
        fields = tuple(dict.fromkeys((*feed.fields, "label")))
        found[name] = dataclasses.replace(feed, fields=fields)
    return found


def build(config: ConfigDict, task: Task) -> Method:
    """Builds the method that `config.method.name` names, with an online probe if it asks for one.

    Raises:
      ValueError: If the config does not fit together.
    """
    method = REGISTRY[config.method.name](config, task)
    if config.method.online_probe:
        feed = next(iter(feeds(config)))
        method.players = (*method.players, probe.player(method, task, feed))
    return method


def build_at(config: ConfigDict, task: Task, step: int) -> Method:
    """Builds the method by whose graph a state of so many steps was trained.

    A phase that begins after its last step is still to be entered.

    Args:
      config: The whole resolved config.
      task: What is known of data and length.
      step: The number of finished train steps.
    """
    method = build(config, task)
    phase, _ = phase_at(method.phases, max(0, step - 1))
    return method if phase == task.phase else build(config, dataclasses.replace(task, phase=phase))
