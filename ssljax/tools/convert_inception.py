"""Turns the PyTorch file of the Inception weights into a safetensors file.

python -m ssljax.tools.convert_inception pt_inception-2015-12-05-6726825d.pth inception.safetensors

The file is that of pytorch-fid or, named weights-inception-2015-12-05-6726825d.pth, of
torch-fidelity: the weights are the same. PyTorch must be installed for this command alone.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from safetensors.numpy import save_file

from ssljax.errors import UserError
from ssljax.models.encoders.inception_weights import from_pytorch
from ssljax.models.weights import read_pytorch
from ssljax.tools import command


def convert(source: str | Path, target: str | Path) -> None:
    """Writes the tensors of a PyTorch file as safetensors, under the same names.

    Args:
      source: A file that `torch.save` made of a state dictionary; no code in it is run.
      target: Where the safetensors file is written; `load_inception` reads it.

    Raises:
      UserError: If PyTorch is not installed, or the file is not one of these weights.
    """
    tensors = read_pytorch(source)
    try:
        from_pytorch(tensors)
    except ValueError as error:
        raise UserError(
            f"The PyTorch file {str(source)!r} does not hold the weights of the Inception network "
            f"of 2015: {error}"
        ) from error
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
        "ssljax.tools.convert_inception",
        "Turns the PyTorch file of the FID Inception into a safetensors file.",
        "pt_inception-2015-12-05-6726825d.pth",
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
