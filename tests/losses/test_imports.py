"""The losses stand on their own: importing them loads nothing heavy."""

import subprocess
import sys

FORBIDDEN = ("flax", "grain", "tensorflow_datasets", "orbax", "tensorflow", "cv2", "sklearn")


def test_losses_import_only_the_light_dependencies():
    code = (
        "import sys, ssljax.losses\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('ssljax.')}\n"
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules], sorted(rooms))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[] ['losses', 'ops']"
