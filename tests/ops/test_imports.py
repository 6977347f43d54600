"""The pure functions stand on their own: importing them loads nothing heavy."""

import subprocess
import sys

import pytest

FORBIDDEN = ("flax", "grain", "tensorflow_datasets", "orbax", "tensorflow", "cv2", "sklearn")


@pytest.mark.parametrize(("room", "loaded"), [("losses", ["losses", "ops"]), ("ops", ["ops"])])
def test_pure_functions_import_only_the_light_dependencies(room, loaded):
    code = (
        "import importlib, pkgutil, sys\n"
        f"room = importlib.import_module('ssljax.{room}')\n"
        "for module in pkgutil.iter_modules(room.__path__, room.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('ssljax.')}\n"
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules], sorted(rooms))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"[] {loaded}"
