"""Settings for every test: eight simulated devices and no silent promotion of types or ranks."""

import atexit
import os
import shutil
import tempfile

# The programs of tests run for microseconds: it does not pay to optimise them.
_XLA_FLAGS = (
    "--xla_force_host_platform_device_count=8",
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["SSLJAX_HUGE_PAGES"] = "0"  # The program would start twice.
os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *_XLA_FLAGS)).strip()
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # Many tests start the same run again. What one process has compiled, the others of this session
    # read: the workers inherit the variable.
    _programs = tempfile.mkdtemp(prefix="ssljax-programs-")
    atexit.register(shutil.rmtree, _programs, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
