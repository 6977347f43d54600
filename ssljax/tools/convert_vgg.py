"""Keeps of a file of VGG-19 what the content loss of SRGAN and neural style read.

python -m ssljax.tools.convert_vgg vgg19-dcbb9e9d.pth vgg19.safetensors

The file is torchvision's of vgg19, for which PyTorch must be installed for this command alone, or
that of timm's vgg19.tv_in1k, a safetensors file: a seventh of it is left, the convolutions.
`--config.method.extractor=vgg19.safetensors` of super_resolution names the result, and `--weights`
of `ssljax.tools.style_transfer`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors.numpy import save_file

from ssljax.models import weights
from ssljax.tools import command


def convert(source: str | Path, target: str | Path) -> None:
    """Writes the convolutions of a file of weights, under the same names.

    Args:
      source: A file of torchvision's or timm's VGG-19 without batch norm.
      target: Where the safetensors file is written; `weights.load_vgg19` reads it.

    Raises:
      UserError: If the file cannot be read, or is not one of these weights.
    """
    tensors = weights.vgg19_tensors(source)
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      arguments: Those after the program's name; by default the command line's.

    Returns:
      The exit status: 0, or 2 after a mistake in the input.
    """
    return command.run(
        convert,
        "ssljax.tools.convert_vgg",
        "Keeps the convolutions of a file of VGG-19, as safetensors.",
        "weights of torchvision's or timm's vgg19",
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
