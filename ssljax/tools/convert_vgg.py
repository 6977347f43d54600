"""Keeps of a safetensors file of VGG-19 what the content loss of SRGAN reads.

python -m ssljax.tools.convert_vgg model.safetensors vgg19.safetensors

The file is that of timm's vgg19.tv_in1k, or of torchvision's vgg19 saved as safetensors: a seventh
of it is left, the convolutions. `--config.method.extractor=vgg19.safetensors` of super_resolution
names the result.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors.numpy import save_file

from ssljax.models.encoders.vgg_weights import from_pytorch, kept
from ssljax.tools import command


def convert(source: str | Path, target: str | Path) -> None:
    """Writes the convolutions of a file of weights, under the same names.

    Args:
      source: A safetensors file of torchvision's or timm's VGG-19 without batch norm.
      target: Where the safetensors file is written; `load_vgg19` reads it.

    Raises:
      UserError: If the file cannot be read, or is not one of these weights.
    """
    tensors = kept(source)
    from_pytorch(tensors, source)
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
        "Keeps the convolutions of a safetensors file of VGG-19.",
        "weights of torchvision's or timm's vgg19",
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
