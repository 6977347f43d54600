"""The methods, by the name that a config gives them. Each family has a registry of its own."""

from __future__ import annotations

from ml_collections import ConfigDict

from ssljax.methods import adversarial, joint_embedding, reconstruction, transfer
from ssljax.methods.contract import Method, Task
from ssljax.methods.probe import OnlineProbe

REGISTRY: dict[str, type[Method]] = {
    name: method
    for family in (joint_embedding, reconstruction, adversarial, transfer)
    for name, method in family.REGISTRY.items()
}


def default_config(name: str) -> ConfigDict:
    """The keys under `config.method` of a method, at the values of its paper."""
    config = REGISTRY[name].default_config()
    config.name = name
    config.online_probe = False  # A linear classifier that is learnt along with it, for the log.
    return config


def build(config: ConfigDict, task: Task) -> Method:
    """Builds the method that `config.method.name` names, with an online probe if it asks for one.

    Raises:
      ValueError: If the config does not fit together.
    """
    method = REGISTRY[config.method.name](config, task)
    return OnlineProbe(method, task) if config.method.online_probe else method
