"""SimCLR's train step in PyTorch, for `benchmarks.throughput`: the same network, loss and views.

torchvision's ResNet in channels_last and bfloat16 (autocast), compiled by `torch.compile`; NT-Xent;
SGD, fused. The views are made on the device, with draws of its own for each image as SimCLR has it:
torchvision's transforms make one draw for a batch, so these are written here, and compiled as well.
They are a little cheaper than ours: bilinear crops without antialiasing, one try at a crop, colours
in one order, saturation as a blend with grey. The images are noise, which costs what others cost.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from benchmarks import turns

_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
_LUMA = (0.2989, 0.587, 0.114)


class SimCLR(nn.Module):
    """An encoder of torchvision's and SimCLR's head on it.

    Args:
      config: "cifar10": ResNet-18 with a 3x3 stem; "imagenet": ResNet-50.
    """

    def __init__(self, config: str) -> None:
        super().__init__()
        small = config == "cifar10"
        self.encoder = (torchvision.models.resnet18 if small else torchvision.models.resnet50)()
        if small:
            self.encoder.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            self.encoder.maxpool = nn.Identity()
        dim = self.encoder.fc.in_features
        self.encoder.fc = nn.Identity()
        self.head = nn.Sequential(
            nn.Linear(dim, dim, bias=False),
            nn.BatchNorm1d(dim),
            nn.ReLU(),
            nn.Linear(dim, 128, bias=False),
            nn.BatchNorm1d(128),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Projections (batch, 128) of images (batch, 3, height, width)."""
        return self.head(self.encoder(images))


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """The loss of `ssljax.losses.nt_xent`: the sum of both views' mean cross-entropies."""
    z = F.normalize(torch.cat([z1, z2]).float())
    logits = z @ z.T / temperature
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -math.inf)
    partners = torch.arange(len(z), device=z.device).roll(len(z1))
    return 2 * F.cross_entropy(logits, partners)


def _uniform(like: Tensor, low: float, high: float) -> Tensor:
    return torch.rand(like.shape[0], device=like.device) * (high - low) + low


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _gray(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[:, None]


def crop(images: Tensor, boxes: Tensor, flipped: Tensor, size: int) -> Tensor:
    """Cuts boxes (batch, 4) of top, left, height and width, and resizes and mirrors them."""
    side = images.shape[-1]
    top, left, height, width = boxes.unbind(1)
    zero = torch.zeros_like(top)
    across = torch.stack([width / side * (1 - 2 * flipped), zero, (2 * left + width) / side - 1], 1)
    down = torch.stack([zero, height / side, (2 * top + height) / side - 1], 1)
    grid = F.affine_grid(
        torch.stack([across, down], 1), [len(images), 3, size, size], align_corners=False
    )
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def rotate_hue(images: Tensor, turns_: Tensor) -> Tensor:
    """Turns the hue of HSV by a part (batch,) of the circle."""
    red, green, blue = images.unbind(1)
    high, low = images.amax(1), images.amin(1)
    chroma = high - low
    inverse = 1 / torch.where(chroma > 0, chroma, 1)
    sixth = torch.where(
        red == high,
        (green - blue) * inverse,
        torch.where(green == high, 2 + (blue - red) * inverse, 4 + (red - green) * inverse),
    )
    sixth = torch.remainder(sixth + 6 * turns_[:, None, None], 6)
    shares = (sixth - 3).abs() - 1, 2 - (sixth - 2).abs(), 2 - (sixth - 4).abs()
    return torch.stack([low + chroma * share.clamp(0, 1) for share in shares], 1)


def jitter(images: Tensor, factors: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue by factors (batch, 4), in this order."""
    brightness, contrast, saturation, hue = factors.unbind(1)
    images = (images * _column(brightness)).clamp(0, 1)
    mean = images.mean((2, 3), keepdim=True)
    images = (mean + _column(contrast) * (images - mean)).clamp(0, 1)
    gray = _gray(images)
    images = (gray + _column(saturation) * (images - gray)).clamp(0, 1)
    return rotate_hue(images, hue)


def blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Gaussian blur of a width (batch,) of its own for each image, with zeros around it."""
    place = torch.arange(images.shape[-1], device=images.device)
    distance = (place[:, None] - place[None]).abs()
    weights = torch.exp(-0.5 * (distance[None] / sigma[:, None, None]) ** 2) * (distance <= radius)
    whole = torch.arange(-radius, radius + 1, device=images.device)[None] / sigma[:, None]
    weights = (weights / torch.exp(-0.5 * whole**2).sum(1)[:, None, None])[:, None]
    return weights @ images @ weights.transpose(2, 3)


def make_view(images: Tensor, size: int, strength: float, blurs: bool) -> Tensor:
    """One view of every image: SimCLR's crop, mirror, colours, grey and blur.

    Args:
      images: Bytes (batch, 3, side, side).
      size: Side of the view in pixels.
      strength: Of the colours: 1 for ImageNet, 0.5 for CIFAR.
      blurs: Whether half of the views are blurred.

    Returns:
      Views (batch, 3, size, size) in [0, 1].
    """
    side = images.shape[-1]
    views = images.float() / 255
    area = _uniform(views, 0.08, 1.0) * side**2
    ratio = torch.exp(_uniform(views, math.log(3 / 4), math.log(4 / 3)))
    height = (area / ratio).sqrt().round().clamp(1, side)
    width = (area * ratio).sqrt().round().clamp(1, side)
    top = (_uniform(views, 0, 1) * (side - height)).round()
    left = (_uniform(views, 0, 1) * (side - width)).round()
    flipped = (_uniform(views, 0, 1) < 0.5).float()
    views = crop(views, torch.stack([top, left, height, width], 1), flipped, size)
    low, high = 1 - 0.8 * strength, 1 + 0.8 * strength
    factors = [_uniform(views, low, high) for _ in range(3)]
    factors.append(_uniform(views, -0.2 * strength, 0.2 * strength))
    jittered = jitter(views, torch.stack(factors, 1))
    views = torch.where(_column(_uniform(views, 0, 1) < 0.8), jittered, views)
    views = torch.where(_column(_uniform(views, 0, 1) < 0.2), _gray(views), views)
    if blurs:
        blurred = blur(views, _uniform(views, 0.1, 2.0), size // 10 // 2)
        views = torch.where(_column(_uniform(views, 0, 1) < 0.5), blurred, views)
    return views


def _steps(asked: argparse.Namespace) -> dict[str, Callable[[int], None]]:
    """Steps by name, each taking so many on fresh images."""
    small = asked.config == "cifar10"
    size, side, temperature = (32, 32, 0.5) if small else (224, 256, 0.1)
    torch.manual_seed(0)
    images = torch.randint(0, 256, (asked.images, 3, side, side), dtype=torch.uint8, device=_DEVICE)
    model = SimCLR(asked.config).to(_DEVICE, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4, fused=True
    )
    strength = 0.5 if small else 1.0

    @torch.compile
    def augmented(batch: Tensor) -> Tensor:
        views = [make_view(batch, size, strength, not small) for _ in range(2)]
        return torch.cat(views).contiguous(memory_format=torch.channels_last)

    @torch.compile
    def plain(batch: Tensor) -> Tensor:
        first = (side - size) // 2
        views = batch[..., first : first + size, first : first + size].float() / 255
        return torch.cat([views, views]).contiguous(memory_format=torch.channels_last)

    @torch.compile
    def loss_of(views: Tensor) -> Tensor:
        with torch.autocast(_DEVICE, torch.bfloat16):
            z1, z2 = model(views).chunk(2)
        return nt_xent(z1, z2, temperature)

    def step_with(make_views: Callable[[Tensor], Tensor]) -> Callable[[int], None]:
        def steps(count: int) -> None:
            for _ in range(count):
                batch = images[torch.randint(asked.images, (asked.batch_size,), device=_DEVICE)]
                loss = loss_of(make_views(batch))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            if _DEVICE == "cuda":
                torch.cuda.synchronize()

        return steps

    known = {"augmented": step_with(augmented), "network": step_with(plain)}
    return {name: known[name] for name in asked.steps}


def main() -> None:
    """Measures when asked to: see `benchmarks.turns.answer`."""
    parser = argparse.ArgumentParser(description="SimCLR's train step in PyTorch.")
    parser.add_argument("--config", required=True, choices=["cifar10", "imagenet"])
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--steps", nargs="+", required=True)
    asked = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    turns.answer(_steps(asked), asked.batch_size, asked.seconds)


if __name__ == "__main__":
    main()
