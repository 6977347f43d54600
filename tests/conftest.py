"""Settings for every test: eight simulated devices and no silent promotion of types or ranks."""

import os

# The programs of tests run for microseconds: it does not pay to optimise them.
_XLA_FLAGS = (
    "--xla_force_host_platform_device_count=8",
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["SSLJAX_HUGE_PAGES"] = "0"  # The program would start twice.
os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *_XLA_FLAGS)).strip()

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
