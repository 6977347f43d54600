"""Weights of PyTorch's libraries, named as by the authors of methods, compute here the same.

The files are made of networks with random weights, under the names of the authors' code.
"""

import argparse
import functools

import exported
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from ssljax.errors import UserError
from ssljax.models import VisionTransformer, build_encoder
from ssljax.models.encoders.mae import MaskedDecoder
from ssljax.models.weights import find_decoder, load_into, read_tensors
from ssljax.models.weights.tokens import bicubic

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

SIDE, DIM, DEPTH, HEADS, PATCH = 32, 24, 3, 3, 8


def randomized(network):
    """The network with random weights and statistics, ready to be evaluated."""
    generator = torch.Generator().manual_seed(0)
    for name, x in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_var") or (name.endswith("weight") and x.ndim == 1):
            x.copy_(0.5 + 0.5 * torch.rand(x.shape, generator=generator))
        else:
            size = (2.0 / x[0].numel()) ** 0.5 if x.ndim in (2, 4) else 0.1
            x.copy_(size * torch.randn(x.shape, generator=generator))
    return network.eval()


def images():
    """Photographs as networks see them: (batch, height, width, channels)."""
    return (exported.photographs(4, SIDE) / np.float32(255) - np.float32(0.5)) * np.float32(4)


def ours(encoder, weights):
    variables = jax.tree.map(jnp.asarray, weights.variables)
    return np.asarray(
        jax.jit(lambda v, x: encoder.apply(v, x, False)["features"])(variables, images())
    )


def theirs(network):
    with torch.no_grad():
        return network(torch.from_numpy(images().transpose(0, 3, 1, 2).copy())).numpy()


def equal(found, wanted):
    assert np.ptp(wanted, axis=0).max() > 0.01  # The images are told apart.
    np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1.0, np.abs(wanted).max()))


@pytest.fixture(scope="module")
def resnet():
    network = torchvision.models.resnet50()
    network.fc = torch.nn.Identity()
    with torch.no_grad():
        return randomized(network)


FILES = {
    "torchvision": lambda state: state | {"fc.weight": torch.zeros(10, 2048)},
    "vicreg": lambda state: state,
    "vicreg_whole": lambda state: {
        "model": {f"module.backbone.{k}": x for k, x in state.items()}
        | {"module.projector.0.weight": torch.zeros(4, 4)},
        "optimizer": {"state": {0: {"mu": torch.zeros(4)}}},
    },
    "barlow_twins_whole": lambda state: {
        "epoch": 3,
        "model": {f"module.backbone.{k}": x for k, x in state.items()}
        | {"module.bn.running_mean": torch.zeros(4)},
    },
    "swav": lambda state: (
        {f"module.{k}": x for k, x in state.items()}
        | {"module.projection_head.0.weight": torch.zeros(4, 4)}
        | {"module.prototypes.weight": torch.zeros(4, 4)}
    ),
    "deepcluster_v2_whole": lambda state: {
        "state_dict": {f"module.{k}": x for k, x in state.items()}
        | {"module.projection_head.0.weight": torch.zeros(4, 4)}
        | {f"module.prototypes.prototypes{i}.weight": torch.zeros(4, 4) for i in range(3)},
        "amp": {"loss_scaler0": {"loss_scale": 1.0, "unskipped": 0}},
    },
    "moco_v3": lambda state: {
        "arch": "resnet50",
        "state_dict": {f"module.base_encoder.{k}": x for k, x in state.items()}
        | {"module.base_encoder.fc.0.weight": torch.zeros(4, 4)}
        | {f"module.momentum_encoder.{k}": 0 * x for k, x in state.items()}
        | {"module.predictor.0.weight": torch.zeros(4, 4)},
    },
    "moco_v2": lambda state: {
        "state_dict": {f"module.encoder_q.{k}": x for k, x in state.items()}
        | {"module.encoder_q.fc.0.weight": torch.zeros(4, 4)}
        | {f"module.encoder_k.{k}": 0 * x for k, x in state.items()}
        | {"module.queue": torch.zeros(4, 4), "module.queue_ptr": torch.zeros(1).long()}
    },
    "dino_whole": lambda state: {
        "student": {f"module.backbone.{k}": 0 * x for k, x in state.items()},
        "teacher": {f"module.backbone.{k}": x for k, x in state.items()}
        | {"module.head.last_layer.weight_g": torch.zeros(4, 1)},
        "fp16_scaler": {"scale": 1.0},
        "dino_loss": {"center": torch.zeros(1, 4)},
    },
}
"""What the authors' files hold of a ResNet-50, by its state dictionary."""


def test_a_resnet_of_every_author_computes_what_torchvision_computes(resnet, tmp_path):
    encoder, wanted = build_encoder("resnet50", stem="imagenet"), None
    for name, made in FILES.items():
        path = tmp_path / f"{name}.pth"
        torch.save(made(resnet.state_dict()), path)
        weights = load_into(encoder, path, (SIDE, SIDE, 3))
        path.unlink()
        if wanted is None:
            wanted = weights.variables
            equal(ours(encoder, weights), theirs(resnet))
        assert jax.tree.all(jax.tree.map(np.array_equal, weights.variables, wanted)), name


def transformer(**options):
    network = timm.models.vision_transformer.VisionTransformer(
        **dict(img_size=SIDE, patch_size=PATCH, embed_dim=DIM, depth=DEPTH, num_heads=HEADS)
        | dict(num_classes=0)
        | options
    )
    with torch.no_grad():
        return randomized(network)


def built(**options):
    return VisionTransformer(DIM, DEPTH, HEADS, PATCH, **options)


def sines(side, dim, first_is_column):
    """The fixed positions of MAE, or of MoCo v3, whose halves are the other way round."""
    omega = 1.0 / 10000 ** (np.arange(dim // 4) / (dim / 4))
    rows, columns = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    halves = (columns, rows) if first_is_column else (rows, columns)
    waves = [f(half.reshape(-1, 1) * omega) for half in halves for f in (np.sin, np.cos)]
    table = np.concatenate([np.zeros((1, dim)), np.concatenate(waves, axis=1)])
    return torch.from_numpy(table[None].astype(np.float32))


def test_timm(tmp_path):
    network, encoder = transformer(), built()
    state = {name: x.numpy() for name, x in network.state_dict().items()}
    save_file(state | {"head.bias": np.zeros(3, np.float32)}, tmp_path / "vit.safetensors")
    weights = load_into(encoder, tmp_path / "vit.safetensors", (SIDE, SIDE, 3))
    equal(ours(encoder, weights), theirs(network))


def test_dino(tmp_path):
    network, encoder = transformer(), built()
    state = network.state_dict()
    torch.save(
        {
            "student": {f"module.backbone.{k}": 0 * x for k, x in state.items()},
            "teacher": {f"backbone.{k}": x for k, x in state.items()}
            | {"head.mlp.0.weight": torch.zeros(4, 4)},
            "optimizer": {"state": {}, "param_groups": []},
            "args": argparse.Namespace(arch="vit_small"),
            "dino_loss": {"center": torch.zeros(1, 4)},
        },
        tmp_path / "dino.pth",
    )
    weights = load_into(encoder, tmp_path / "dino.pth", (SIDE, SIDE, 3))
    equal(ours(encoder, weights), theirs(network))
    assert "of its part 'teacher.backbone'" in weights.told


def test_moco_v3_has_its_halves_the_other_way_round(tmp_path):
    network = transformer()
    with torch.no_grad():
        network.pos_embed.copy_(sines(SIDE // PATCH, DIM, False))
    state = network.state_dict()
    torch.save(
        {
            "state_dict": {f"module.base_encoder.{k}": x for k, x in state.items()}
            | {f"module.momentum_encoder.{k}": 0 * x for k, x in state.items()}
            | {"module.base_encoder.head.0.weight": torch.zeros(4, 4)}
        },
        tmp_path / "moco.pth",
    )
    weights = load_into(built(), tmp_path / "moco.pth", (SIDE, SIDE, 3))
    equal(ours(built(), weights), theirs(network))
    with pytest.raises(UserError, match="not the sines and cosines"):
        load_into(built(positions="sincos"), tmp_path / "moco.pth", (SIDE, SIDE, 3))


class Decoder(torch.nn.Module):
    """MAE's decoder, of which the names and the order of the arithmetic are the authors'."""

    def __init__(self, dim, patches, values):
        super().__init__()
        self.decoder_embed = torch.nn.Linear(DIM, dim)
        self.mask_token = torch.nn.Parameter(torch.zeros(1, 1, dim))
        self.decoder_pos_embed = torch.nn.Parameter(torch.zeros(1, patches + 1, dim))
        norm = functools.partial(torch.nn.LayerNorm, eps=1e-6)
        self.decoder_blocks = torch.nn.ModuleList(
            timm.models.vision_transformer.Block(dim, 2, qkv_bias=True, norm_layer=norm)
            for _ in range(2)
        )
        self.decoder_norm = norm(dim)
        self.decoder_pred = torch.nn.Linear(dim, values)

    def forward(self, latent, restore):
        x = self.decoder_embed(latent)
        hidden = restore.shape[1] + 1 - x.shape[1]
        rest = torch.cat([x[:, 1:], self.mask_token.repeat(len(x), hidden, 1)], dim=1)
        rest = torch.gather(rest, 1, restore[:, :, None].repeat(1, 1, x.shape[2]))
        x = torch.cat([x[:, :1], rest], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_pred(self.decoder_norm(x))[:, 1:]


def test_mae_with_its_decoder(tmp_path):
    side, dim, values = SIDE // PATCH, 16, PATCH * PATCH * 3
    network = transformer()
    with torch.no_grad():
        network.pos_embed.copy_(sines(side, DIM, True))
        decoder = randomized(Decoder(dim, side * side, values))
        decoder.decoder_pos_embed.copy_(sines(side, dim, True))
    path = tmp_path / "mae.pth"
    torch.save({"model": {**network.state_dict(), **decoder.state_dict()}}, path)
    encoder = built(positions="sincos")
    weights = load_into(encoder, path, (SIDE, SIDE, 3))
    equal(ours(encoder, weights), theirs(network))

    rng = np.random.default_rng(0)
    latent = rng.normal(size=(2, 5, DIM)).astype(np.float32)
    restore = np.argsort(rng.uniform(size=(2, side * side)), axis=1)
    module = MaskedDecoder(values, dim, 2, 2, jnp.float32)
    inputs = (latent[:, 0], latent[:, 1:], restore.astype(np.int32), (side, side), False)
    shapes = jax.eval_shape(
        lambda key: module.init(key, *map(jnp.asarray, inputs[:3]), *inputs[3:]), jax.random.key(0)
    )
    taken = find_decoder(read_tensors(path), shapes)
    found = module.apply(
        jax.tree.map(jnp.asarray, taken), *map(jnp.asarray, inputs[:3]), *inputs[3:]
    )
    with torch.no_grad():
        wanted = decoder(torch.from_numpy(latent), torch.from_numpy(restore)).numpy()
    equal(np.asarray(found).reshape(-1, values), wanted.reshape(-1, values))


def test_i_jepa(tmp_path):
    network = transformer(class_token=False, global_pool="avg", fc_norm=False)
    side = SIDE // PATCH
    with torch.no_grad():
        network.pos_embed.copy_(sines(side, DIM, True)[:, 1:])
    state, path = network.state_dict(), tmp_path / "ijepa.pth.tar"
    torch.save(
        {
            "encoder": {f"module.{k}": 0 * x for k, x in state.items()},
            "predictor": {"module.mask_token": torch.zeros(1, 1, 4)},
            "target_encoder": {f"module.{k}": x for k, x in state.items()},
            "opt": {"state": {0: {"exp_avg": torch.zeros(4)}}, "param_groups": []},
            "scaler": None,
        },
        path,
    )
    encoder = built(class_token=False, pool="mean", positions="sincos")
    weights = load_into(encoder, path, (SIDE, SIDE, 3))
    equal(ours(encoder, weights), theirs(network))
    assert "opt" not in weights.told


@pytest.mark.parametrize("registers", [0, 4])
def test_dino_v2(registers, tmp_path):
    network = transformer(reg_tokens=registers, no_embed_class=True, init_values=1.0)
    state = dict(network.state_dict())
    position = torch.full((1, 1, DIM), 0.3)
    state["cls_token"] = state["cls_token"] - position  # There it has a position of its own.
    state["pos_embed"] = torch.cat([position, state["pos_embed"]], dim=1)
    if registers:
        state["register_tokens"] = state.pop("reg_token")
    state["mask_token"] = torch.zeros(1, DIM)
    chunked = {  # In training; blocks keep their numbers, behind those of the chunks.
        name.replace("blocks.", f"blocks.{int(name.split('.')[1]) // 2}.")
        if name.startswith("blocks.")
        else name: x
        for name, x in state.items()
    }
    teacher = {f"backbone.{name}": x for name, x in chunked.items()}
    teacher["dino_head.last_layer.weight_g"] = torch.zeros(4, 1)
    encoder = built(registers=registers, layer_scale=1e-5)
    for file in (state, {"teacher": teacher}):
        torch.save(file, tmp_path / "dinov2.pth")
        weights = load_into(encoder, tmp_path / "dinov2.pth", (SIDE, SIDE, 3))
        equal(ours(encoder, weights), theirs(network))


@pytest.mark.parametrize("shape", [(7, 7), (2, 2), (3, 9), (4, 5)])
def test_positions_are_interpolated_as_by_pytorch(shape):
    table = np.random.default_rng(0).normal(size=(4, 4, 3)).astype(np.float32)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(table.transpose(2, 0, 1)[None].copy()), shape, mode="bicubic"
    )
    found = bicubic(table, *shape)
    np.testing.assert_allclose(found, wanted[0].numpy().transpose(1, 2, 0), atol=1e-5)


@pytest.mark.parametrize("side", [16, 37, 40])
@pytest.mark.parametrize("author", ["mae", "dinov2", "dinov2 with registers", "timm"])
def test_positions_are_interpolated_as_by_the_author(author, side, tmp_path):
    """Of 518 pixels, on which DINOv2 was trained last, to 224 and to more."""
    registers = 0 if author in ("mae", "dinov2") else 4
    network = transformer(img_size=37 * PATCH, reg_tokens=registers, no_embed_class=registers > 0)
    state = dict(network.state_dict())
    table = state["pos_embed"][:, -37 * 37 :].reshape(1, 37, 37, DIM).permute(0, 3, 1, 2)
    if author == "timm":
        made = timm.layers.resample_abs_pos_embed(
            state["pos_embed"], [side, side], num_prefix_tokens=0
        )
        wanted = made[0].reshape(side, side, DIM).numpy()
    else:
        manner = dict(size=(side, side), antialias=registers > 0)
        if author == "dinov2" and side != 37:  # `interpolate_offset`.
            manner = dict(scale_factor=((side + 0.1) / 37,) * 2)
        made = torch.nn.functional.interpolate(table, mode="bicubic", **manner)
        wanted = made[0].permute(1, 2, 0).numpy()
    if author.startswith("dinov2"):
        state["mask_token"] = torch.zeros(1, DIM)
        if registers:
            state["register_tokens"] = state.pop("reg_token")
            state["pos_embed"] = torch.cat([torch.ones(1, 1, DIM), state["pos_embed"]], dim=1)
    if author == "mae":
        state["mask_token"] = torch.zeros(1, 1, DIM)
    torch.save(state, tmp_path / "vit.pth")
    encoder, shape = built(registers=registers), (side * PATCH, side * PATCH, 3)
    params = load_into(encoder, tmp_path / "vit.pth", shape).variables["params"]
    np.testing.assert_allclose(params["position_embedding"]["table"], wanted, atol=1e-5)
