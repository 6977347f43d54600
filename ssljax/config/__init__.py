"""Configs: the keys that all have, the checks of their values, and the files that hold them."""

from ssljax.config.base import base_config, flatten
from ssljax.config.checks import check, check_whole, nearest

__all__ = ["base_config", "check", "check_whole", "flatten", "nearest"]
