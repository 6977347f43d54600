"""Speed of training: images per second, time per step, time spent waiting for data, and MFU."""

from __future__ import annotations

import time
from typing import Any

import jax

# Dense bfloat16 peaks in FLOP/s of one JAX device, from the makers' data sheets. A TPU v2 or v3
# device is one of a chip's two cores.
_PEAK_FLOPS = {
    "TPU v2": 22.5e12,
    "TPU v3": 61.5e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
    "Tesla V100": 125e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
}


class Throughput:
    """Measures the steps between two reads.

    Args:
      images_per_step: Images in the global batches of one train step.
      clock: Seconds from any fixed moment.

    Attributes:
      flops_per_step: FLOPs of one step on one device; None if unknown.
    """

    def __init__(self, images_per_step: int, clock: Any = time.perf_counter) -> None:
        self.flops_per_step: float | None = None
        self._images, self._clock = images_per_step, clock
        self._peak = peak_flops(jax.devices()[0].device_kind)
        self._running: float | None = None
        self._elapsed, self._waited, self._steps = 0.0, 0.0, 0

    def step(self, waited: float) -> None:
        """Counts one step.

        Args:
          waited: Seconds for which the step waited for its data.
        """
        now = self._clock()
        if self._running is not None:
            self._elapsed += now - self._running
            self._waited += waited
            self._steps += 1
        self._running = now

    def restart(self) -> None:
        """Leaves out what has passed since the last step: an evaluation, a compilation, a save."""
        self._running = None

    def read(self) -> dict[str, float]:
        """The means since the last read; empty before two steps in a row.

        Returns:
          "images_per_second", "step_seconds", "data_wait_seconds" and, where FLOPs and the device's
          peak are known, "mfu": the share of the peak in [0, 1].
        """
        if not self._steps:
            return {}
        seconds = self._elapsed / self._steps
        speed = {
            "images_per_second": self._images / seconds,
            "step_seconds": seconds,
            "data_wait_seconds": self._waited / self._steps,
        }
        if self.flops_per_step and self._peak:
            speed["mfu"] = self.flops_per_step / seconds / self._peak
        self._elapsed, self._waited, self._steps = 0.0, 0.0, 0
        return speed


def peak_flops(device_kind: str) -> float | None:
    """Peak bfloat16 FLOP/s of a kind of device, by JAX's name of it; None if it is not known."""
    known = [flops for name, flops in _PEAK_FLOPS.items() if device_kind.startswith(name)]
    return known[0] if known else None


def flops(compiled: Any, rounds: int = 1) -> float | None:
    """FLOPs of one call of a compiled function on one device, as XLA counts them.

    Args:
      compiled: What `jax.jit(f).lower(...).compile()` gives.
      rounds: Of the loop in which nearly all is done, of which XLA counts one.

    Returns:
      The count, or None where the backend gives none, or a wrong one: on GPUs XLA leaves out what
      cuDNN and cuBLAS compute, which is nearly all.
    """
    if jax.default_backend() == "gpu":
        return None
    analysis = compiled.cost_analysis() or {}
    count = analysis.get("flops")
    return float(count) * rounds if count and count > 0 else None
