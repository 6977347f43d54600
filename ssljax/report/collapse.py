"""Warns when the representation that a run learns has collapsed."""

from __future__ import annotations

import logging
from collections.abc import Mapping

_log = logging.getLogger(__name__)
_FLAG = "/collapsed"
_GAUGES = ("embedding_std", "effective_rank", "assignment_entropy", "sample_entropy")
_PATIENCE = 2


class CollapseWatch:
    """Watches every metric that is named `<player>/collapsed`, whatever the method.

    A flag that is 1 at two logged steps in a row is reported in one line, and not again until it
    has been 0.

    Args:
      enabled: False reports nothing, for all processes but the first.
    """

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled
        self._seen: dict[str, int] = {}
        self._latest: tuple[int, Mapping[str, float]] = (0, {})

    def update(self, step: int, scalars: Mapping[str, float]) -> None:
        """Reads a logged step.

        Args:
          step: Finished train steps.
          scalars: Its metrics.
        """
        self._latest = step, scalars
        for name in [name for name in scalars if name.endswith(_FLAG)]:
            player = name.removesuffix(_FLAG)
            self._seen[player] = self._seen.get(player, 0) + 1 if scalars[name] == 1 else 0
            if self._seen[player] == _PATIENCE:
                self._warn("step %d: %s has collapsed%s", player)

    def remind(self) -> None:
        """Reports what is still collapsed at the last step that was read."""
        for player, times in self._seen.items():
            if times >= _PATIENCE:
                self._warn("At the end, step %d, %s is still collapsed%s", player)

    def _warn(self, sentence: str, player: str) -> None:
        step, scalars = self._latest
        named = {gauge: f"{player}/{gauge}" for gauge in _GAUGES}
        gauges = [
            f"{gauge} {scalars[name]:.3g}" for gauge, name in named.items() if name in scalars
        ]
        if self._enabled:
            _log.warning(sentence, step, player, f" ({', '.join(gauges)})" if gauges else "")
