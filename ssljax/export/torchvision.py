"""A ResNet's weights under torchvision's names."""

from __future__ import annotations

from safetensors.numpy import save

from ssljax import paths
from ssljax.export.subject import Subject
from ssljax.export.timm import resnet


def write(subject: Subject, directory: paths.Path) -> str:
    """Writes `model.safetensors`.

    Raises:
      UserError: If torchvision has no such network.
    """
    encoder = subject.encoder()
    name, tensors = resnet(encoder, "torchvision")
    paths.write(directory / "model.safetensors", save(tensors, {"format": "pt"}))
    first = tensors["conv1.weight"].shape
    lines = [
        "import torch, torchvision",
        "from safetensors.torch import load_file",
        "",
        f"network = torchvision.models.{name}()",
        "network.fc = torch.nn.Identity()",
    ]
    if first[1:] != (3, 7, 7):
        side, stride = first[2], 1 if first[2] == 3 else 2
        lines.append(
            f"network.conv1 = torch.nn.Conv2d({first[1]}, {first[0]}, {side}, {stride}, "
            f"{side // 2}, bias=False)"
        )
    if first[2] == 3:
        lines.append("network.maxpool = torch.nn.Identity()")
    lines += [
        'network.load_state_dict(load_file("model.safetensors"), strict=False)',
        "network.eval()  # Resizing and normalisation are outside the network.",
    ]
    return "```python\n" + "\n".join(lines) + "\n```"
