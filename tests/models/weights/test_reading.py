"""An encoder's weights are found in files that hold more, under the names of their authors."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from ssljax.errors import UserError
from ssljax.models import VisionTransformer, build_encoder
from ssljax.models.layers.positions import sincos_positions
from ssljax.models.weights import Misfit, find_encoder, load_into, misfit, naming_of, shapes_of
from ssljax.models.weights.tokens import bicubic

DIM, PATCH = 8, 4
RNG = np.random.default_rng(0)


def transformer_file(side=2, dim=DIM):
    """Tensors of a ViT of two blocks and `side` patches a side, by timm's names."""

    def some(*shape):
        return RNG.normal(size=shape).astype(np.float32)

    tensors = {
        "cls_token": some(1, 1, dim),
        "pos_embed": some(1, 1 + side * side, dim),
        "patch_embed.proj.weight": some(dim, 3, PATCH, PATCH),
        "patch_embed.proj.bias": some(dim),
        "norm.weight": some(dim),
        "norm.bias": some(dim),
    }
    sizes = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for block in ("blocks.0.", "blocks.1."):
        for name, (outputs, inputs) in sizes.items():
            tensors[f"{block}{name}.weight"] = some(outputs * dim, inputs * dim)
            tensors[f"{block}{name}.bias"] = some(outputs * dim)
        for norm in ("norm1", "norm2"):
            tensors |= {f"{block}{norm}.{leaf}": some(dim) for leaf in ("weight", "bias")}
    return tensors


@functools.cache
def transformer(side=2, **options):
    encoder = VisionTransformer(DIM, 2, 2, PATCH, **options)
    return shapes_of(encoder, (side * PATCH, side * PATCH, 3))


def empty(*names):
    return dict.fromkeys(names, np.zeros(1, np.float32))


def test_a_transformer_has_the_tensors_of_timm_in_their_places():
    tensors = transformer_file()
    params = find_encoder(tensors, transformer()).variables["params"]
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(
        lambda x: x.shape, dict(transformer()["params"])
    )
    np.testing.assert_array_equal(
        params["block2"]["mlp_hidden"]["kernel"], tensors["blocks.1.mlp.fc1.weight"].T
    )
    kernel = params["patch_embedding"]["kernel"].reshape(PATCH, PATCH, 3, DIM)
    np.testing.assert_array_equal(kernel[1, 3, 2], tensors["patch_embed.proj.weight"][:, 2, 1, 3])
    np.testing.assert_array_equal(params["class_position"], tensors["pos_embed"][:, :1])
    table = params["position_embedding"]["table"]
    np.testing.assert_array_equal(table[1, 0], tensors["pos_embed"][0, 3])


@pytest.mark.parametrize(
    ("prefix", "beside"),
    [
        ("", empty("head.weight", "fc.bias", "mask_token")),
        ("model.", empty("model.decoder_embed.weight", "model.decoder_blocks.0.norm1.bias")),
        ("module.backbone.", empty("module.projector.0.weight")),
        ("module.", empty("module.projection_head.0.weight", "module.prototypes.weight")),
        ("teacher.backbone.", {"student.module.backbone.": 0}),
        ("state_dict.module.base_encoder.", {"state_dict.module.momentum_encoder.": 0}),
        ("module.encoder_q.", {"module.encoder_k.": 0}),
        ("target_encoder.module.", {"encoder.module.": 0}),  # Of I-JEPA.
    ],
)
def test_the_part_that_the_authors_evaluate_is_read(prefix, beside):
    tensors = transformer_file()
    wanted = find_encoder(tensors, transformer()).variables
    others = {}
    for name, x in beside.items():
        if name.endswith("."):  # A second encoder.
            others |= {name + key: 0 * tensor for key, tensor in tensors.items()}
        else:
            others[name] = x
    whole = others | {prefix + name: x for name, x in tensors.items()}
    found = find_encoder(whole, transformer())
    assert jax.tree.all(jax.tree.map(np.array_equal, found.variables, wanted))
    part = f" of its part {prefix[:-1]!r}" if prefix else ""
    assert found.told.startswith(f"{len(tensors)} tensors{part} are the encoder's; not read ")
    assert f"not read {len(others)} tensor(s) ({min(others)}" in found.told


def test_encoders_of_unknown_names_are_not_guessed_among():
    tensors = transformer_file()
    two = {f"{part}.{name}": x for name, x in tensors.items() for part in ("momentum", "backbone")}
    with pytest.raises(ValueError, match=r"holds 2 encoders \('backbone', 'momentum'\)"):
        find_encoder(two, transformer())


@pytest.mark.parametrize("kind", ["checkpoint", "encoder", "dino"])
def test_the_heads_of_moco_v3_are_checked(kind):
    dim, prefix = 384, "state_dict.module.base_encoder." * (kind == "checkpoint")
    tensors = transformer_file(dim=dim)
    if kind == "encoder":  # Fixed positions: waves of the row, and then of the column.
        omega = 1.0 / 10000 ** (np.arange(dim // 4) / (dim / 4))
        waves = [np.concatenate([np.sin(i * omega), np.cos(i * omega)]) for i in range(2)]
        table = [np.zeros(dim)] + [
            np.concatenate([waves[r], waves[c]]) for r in (0, 1) for c in (0, 1)
        ]
        tensors["pos_embed"] = np.float32(table)[None]
    file = {prefix + name: x for name, x in tensors.items()}
    shapes = shapes_of(VisionTransformer(dim, 2, 6, PATCH), (2 * PATCH, 2 * PATCH, 3))
    assert find_encoder(file, shapes, 12).variables
    if kind == "dino":
        assert find_encoder(file, shapes, 6).variables
        return
    with pytest.raises(Misfit, match="MoCo v3's ViT-S, which has 12 heads, and the encoder has 6"):
        find_encoder(file, shapes, 6)


def test_blocks_in_chunks_are_numbered_through():
    tensors = transformer_file()
    chunked = {name.replace("blocks.", "blocks.0."): x for name, x in tensors.items()}
    one, two = (find_encoder(x, transformer()).variables for x in (tensors, chunked))
    assert jax.tree.all(jax.tree.map(np.array_equal, one, two))


def test_fixed_positions_are_compared_and_learned_ones_interpolated():
    tensors = transformer_file(side=3)
    found = find_encoder(tensors, transformer(side=2))
    assert "positions were interpolated from 3x3 to 2x2 patches" in found.told
    table = tensors["pos_embed"][0, 1:].reshape(3, 3, DIM)
    np.testing.assert_array_equal(
        found.variables["params"]["position_embedding"]["table"], bicubic(table, 2, 2)
    )
    fixed = transformer(positions="sincos")
    with pytest.raises(Misfit) as raised:
        find_encoder(tensors, fixed)
    assert raised.value.options == {"positions": "learned"}
    known = np.asarray(sincos_positions(3, 3, DIM)).reshape(1, 9, DIM)
    tensors["pos_embed"] = np.concatenate([np.full((1, 1, DIM), 0.25), known], axis=1)
    params = find_encoder(tensors, fixed).variables["params"]
    np.testing.assert_allclose(params["class_token"], tensors["cls_token"] + 0.25)


def test_positions_are_interpolated_as_by_those_who_wrote_the_file():
    plain = transformer_file(side=3)
    table = plain["pos_embed"][0, 1:].reshape(3, 3, DIM)
    tokens = RNG.normal(size=(1, 4, DIM)).astype(np.float32)
    mask, of_mae = np.zeros((1, DIM), np.float32), np.zeros((1, 1, DIM), np.float32)

    def found(registers=0, **more):
        variables = find_encoder(plain | more, transformer(registers=registers)).variables
        return variables["params"]["position_embedding"]["table"]

    np.testing.assert_array_equal(found(mask_token=of_mae), bicubic(table, 2, 2))
    np.testing.assert_array_equal(found(mask_token=mask), bicubic(table, 2, 2, offset=0.1))
    assert np.abs(found(mask_token=mask) - found()).max() > 0.01
    averaged = bicubic(table, 2, 2, antialias=True)
    np.testing.assert_array_equal(found(4, reg_token=tokens), averaged)
    np.testing.assert_array_equal(found(4, register_tokens=tokens, mask_token=mask), averaged)


def test_gated_units_are_told():
    more = empty("blocks.0.mlp.w12.weight", "blocks.0.mlp.w12.bias", "blocks.0.mlp.w3.weight")
    with pytest.raises(ValueError, match="blocks have gated units"):
        find_encoder(transformer_file() | more, transformer())


def test_a_cubic_kernel_has_the_weights_of_pytorch():
    line = np.eye(4)[:, None]  # In column i of the result: the share of place i.
    # Halfway between two places: -3/32, 19/32, 19/32, -3/32; what lies outside is at the edge.
    halfway = bicubic(line, 2, 1)[:, 0]
    np.testing.assert_allclose(halfway[0], [16 / 32, 19 / 32, -3 / 32, 0], atol=1e-7)
    np.testing.assert_allclose(halfway[1], [0, -3 / 32, 19 / 32, 16 / 32], atol=1e-7)
    # A quarter beyond place 1: the kernel at 5/4, 1/4, 3/4 and 7/4.
    quarter = bicubic(line, 8, 1)[3, 0]
    wanted = np.array([-0.10546875, 0.87890625, 0.26171875, -0.03515625])
    np.testing.assert_allclose(quarter, wanted, atol=1e-7)
    np.testing.assert_allclose(bicubic(np.ones((3, 5, 1)), 7, 4), 1.0, atol=1e-6)
    # Half a place more, so that a wanted one is 8/5 wide: the kernel at 1.9, 0.9, 0.1 and 1.1.
    last = bicubic(line, 2, 1, offset=0.5)[1, 0]
    np.testing.assert_allclose(last, [-0.00675, 0.08875, 0.97875, -0.06075], atol=1e-7)


def test_antialiasing_has_the_weights_of_pillow():
    line = np.eye(4)[:, None]
    # A wanted place is two wide: the kernel at 1/8, 3/8 ... of its reach, beyond the edge nothing.
    shares = np.array([0.8671875, 0.8671875, 0.2265625, -0.0703125])
    wanted = shares / shares.sum()
    found = bicubic(line, 2, 1, antialias=True)[:, 0]
    np.testing.assert_allclose(found, [wanted, wanted[::-1]], atol=1e-7)


RESNET = dict(name="resnet18", width=0.0625)


def resnet_file(stem):
    shapes = shapes_of(build_encoder(**RESNET, stem=stem), (32, 32, 3))
    layout = naming_of(shapes["params"]).layout(shapes)
    return shapes, {name: np.ones(shape, np.float32) for name, (_, shape) in layout.items()}


def test_what_is_missing_or_unknown_is_told_in_one_sentence():
    shapes, tensors = resnet_file("cifar")
    assert find_encoder(tensors, shapes).told == f"{len(tensors)} tensors are the encoder's"
    del tensors["bn1.bias"], tensors["layer4.1.bn2.running_var"]
    more = empty(*(f"layer4.{i}.conv1.weight" for i in range(2, 6)))
    told = (
        r"it lacks 2 tensor\(s\) \(bn1.bias, layer4.1.bn2.running_var\); it has 4 tensor\(s\) "
        r"\(layer4.2.conv1.weight, layer4.3.conv1.weight, layer4.4.conv1.weight, ...\) that the "
        "encoder has not"
    )
    with pytest.raises(ValueError, match=told):
        find_encoder(tensors | more, shapes)
    with pytest.raises(ValueError, match=r"no weights of a ResNet: it has 1 tensor\(s\) \(bias\)"):
        find_encoder(empty("bias"), shapes)


@pytest.mark.parametrize(
    ("here", "there", "told"),
    [
        ("cifar", "imagenet", r"conv1.weight, \(4, 3, 7, 7\) there .*encoder.stem=imagenet\."),
        ("imagenet", "cifar", r"conv1.weight, \(4, 3, 3, 3\) there .*encoder.stem=cifar\."),
    ],
)
def test_another_stem_is_told(here, there, told):
    shapes, (_, tensors) = resnet_file(here)[0], resnet_file(there)
    with pytest.raises(Misfit) as raised:
        find_encoder(tensors, shapes)
    assert re.search(told, str(misfit("weights.pth", raised.value)))
    assert str(misfit("weights.pth", raised.value, "")).endswith(f"Give stem={there!r}.")


def test_other_patches_are_told():
    tensors = transformer_file()
    tensors["patch_embed.proj.weight"] = np.zeros((DIM, 3, 16, 16), np.float32)
    told = r"patches are 16x16 pixels of 3 channel\(s\), and the encoder's have 48"
    with pytest.raises(Misfit, match=told) as raised:
        find_encoder(tensors, transformer())
    assert raised.value.options == {"patch_size": 16}
    tensors["patch_embed.proj.weight"] = np.zeros((DIM, 1, PATCH, PATCH), np.float32)
    with pytest.raises(Misfit, match=r"4x4 pixels of 1 channel\(s\)") as raised:
        find_encoder(tensors, transformer())
    assert raised.value.options == {"channels": 1}
    tensors["patch_embed.proj.weight"] = np.zeros((DIM, 48), np.float32)
    with pytest.raises(ValueError, match=rf"patch_embed.* is of shape \({DIM}, 48\), and no"):
        find_encoder(tensors, transformer())
    tensors = transformer_file()
    tensors["pos_embed"] = np.zeros((1, 7, DIM), np.float32)
    with pytest.raises(ValueError, match="its 7 positions are not those of a square"):
        find_encoder(tensors, transformer())


def test_an_encoder_of_which_no_file_is_known_is_told(tmp_path):
    save_file(empty("conv1.weight"), tmp_path / "some.safetensors")
    with pytest.raises(UserError, match=r"some.safetensors' do not fit the encoder: .* vision"):
        load_into(build_encoder("small"), tmp_path / "some.safetensors", (32, 32, 3))
