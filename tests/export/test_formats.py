"""What is exported computes what the network computes, without PyTorch; the command line tells."""

import importlib.util
import json
import types

import exported
import jax
import numpy as np
import pytest
import runs
from safetensors.numpy import load_file

from ssljax import main
from ssljax.errors import UserError
from ssljax.export import hub, onnx, stablehlo, timm, torchvision
from ssljax.export.card import write_card
from ssljax.models.weights import load_into

SMALL = dict(name="small", widths=(4, 8))
VIT = dict(name="vit_tiny", dim=8, depth=2, heads=2, patch_size=16)


def test_a_program_of_any_batch_size_computes_the_same(tmp_path):
    subject = exported.subject(**SMALL)
    usage = stablehlo.write(subject, tmp_path)
    program = jax.export.deserialize(bytearray((tmp_path / "model.stablehlo").read_bytes()))
    assert program.platforms == ("cpu", "cuda", "tpu")
    images = exported.photographs(3)
    wanted = np.asarray(jax.jit(subject.embed())(images))
    np.testing.assert_allclose(program.call(images), wanted, atol=1e-5)
    np.testing.assert_allclose(program.call(images[:1]), wanted[:1], atol=1e-5)
    told = json.loads((tmp_path / "preprocessing.json").read_text())
    assert told["input"]["shape"] == ["batch", exported.SIDE, exported.SIDE, 3]
    assert "np.zeros((5, 40, 40, 3), np.uint8)" in usage


@pytest.mark.parametrize("encoder", [SMALL, VIT], ids=["small", "vit"])
def test_onnx_runtime_computes_the_same(encoder, tmp_path):
    import onnxruntime

    subject = exported.subject(**encoder)
    onnx.write(subject, tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    images = exported.photographs(3)
    wanted = np.asarray(jax.jit(subject.embed())(images))
    assert np.ptp(wanted, axis=0).max() > 0.01  # The images are told apart.
    for part in (images, images[:1]):
        (found,) = session.run(None, {"images": part})
        np.testing.assert_allclose(found, wanted[: len(part)], atol=1e-4)


def test_a_folder_of_timm_holds_a_transformer(tmp_path):
    subject = exported.subject("dino", **VIT | dict(pool="mean"))
    timm.write(subject, tmp_path)
    told = json.loads((tmp_path / "config.json").read_text())
    assert told["architecture"] == "vit_tiny_patch16_224"
    assert told["model_args"] == dict(
        img_size=32,
        patch_size=16,
        embed_dim=8,
        depth=2,
        num_heads=2,
        class_token=True,
        no_embed_class=False,
        global_pool="avg",
        fc_norm=False,
    )
    known = told["pretrained_cfg"]
    assert known["input_size"] == [3, 32, 32]
    assert (known["mean"], known["std"]) == ([0.49, 0.48, 0.45], [0.25, 0.24, 0.26])
    tensors = load_file(tmp_path / "model.safetensors")
    in_block = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    modules = [f"blocks.{i}.{part}" for i in range(2) for part in in_block]
    modules += ["norm", "patch_embed.proj"]
    names = {f"{module}.{leaf}" for module in modules for leaf in ("weight", "bias")}
    assert tensors.keys() == names | {"cls_token", "pos_embed"}
    assert tensors["pos_embed"].shape == (1, 5, 8)
    assert tensors["patch_embed.proj.weight"].shape == (8, 3, 16, 16)
    encoder = subject.encoder()
    back = load_into(encoder.network, tmp_path / "model.safetensors", (32, 32, 3)).variables
    assert jax.tree.all(jax.tree.map(np.array_equal, back, encoder.variables))


@pytest.mark.parametrize(
    ("resize", "mode", "said"),
    [
        ("short_side", "center", "the central square is seen"),
        ("exact", "squash", "squashed to a square"),
        ("pad", "border", "black bars"),
    ],
)
def test_images_are_brought_to_size_as_in_training(resize, mode, said, tmp_path):
    subject = exported.subject("dino", **VIT)
    subject.config.data.update(resize=resize, range=(0, 4095))
    usage = timm.write(subject, tmp_path)
    known = json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]
    assert known["crop_mode"] == mode
    assert ("fill = 0  # Borders are black" in usage) == (resize == "pad")
    stablehlo.write_preprocessing(subject, ("batch", 40, 40, 3), tmp_path)
    told = json.loads((tmp_path / "preprocessing.json").read_text())
    assert (told["resize"], told["range"]) == (resize, [0, 4095])
    for format_name in ("timm", "stablehlo"):
        write_card(subject, tmp_path, tmp_path, format_name, usage)
        card = (tmp_path / "README.md").read_text()
        assert said in card
        assert said in told["outside"]
        assert "4095 and what is above 255" in card


def test_names_of_a_resnet_are_those_of_torchvision(tmp_path):
    subject = exported.subject(name="resnet18", stem="cifar")
    usage = torchvision.write(subject, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    norm = ("weight", "bias", "running_mean", "running_var")
    names = {"conv1.weight"} | {f"bn1.{leaf}" for leaf in norm}
    for stage in range(1, 5):
        for block in range(2):
            parts = [("conv1", "bn1"), ("conv2", "bn2")]
            if stage > 1 and block == 0:
                parts.append(("downsample.0", "downsample.1"))
            for conv, bn in parts:
                names.add(f"layer{stage}.{block}.{conv}.weight")
                names |= {f"layer{stage}.{block}.{bn}.{leaf}" for leaf in norm}
    assert tensors.keys() == names
    assert "network.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)" in usage
    assert "network.maxpool = torch.nn.Identity()" in usage
    with pytest.raises(UserError, match=r"timm's ResNets have no 3x3 .*onnx, or torchvision"):
        timm.write(subject, tmp_path)


@pytest.mark.parametrize(
    ("format_name", "encoder", "told"),
    [
        (timm, SMALL, "format timm cannot express this encoder, a SmallConvNet"),
        (torchvision, VIT, "format torchvision cannot express this encoder, a VisionTransformer"),
        (torchvision, dict(name="resnet18", width=0.5), "of the usual width and stride"),
    ],
)
def test_an_encoder_that_a_format_lacks_is_told(format_name, encoder, told, tmp_path):
    with pytest.raises(UserError, match=f"{told}.*config.export.format=stablehlo or onnx"):
        format_name.write(exported.subject(**encoder), tmp_path)


def test_onnx_asks_for_its_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs jax2onnx: pip install 'ssljax\[onnx\]'"):
        onnx.write(exported.subject(**SMALL), tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("export") / "run"
    assert main.main(runs.arguments(workdir, steps=1)) == 0
    scores = {"step": 1, "complete": True, "scores": {}}
    (workdir / "scores.json").write_text(json.dumps(scores))
    (workdir / "scores.md").write_text("| network | knn20 |\n")
    return workdir


class Hub:
    """The Hub, as far as it is used."""

    def __init__(self):
        self.calls, self.private = [], True

    def create_repo(self, name, private, exist_ok):
        self.calls.append(("create", name, private, exist_ok))
        return f"https://huggingface.co/{name}"

    def model_info(self, name):
        return types.SimpleNamespace(private=self.private)

    def upload_folder(self, repo_id, folder_path, allow_patterns, commit_message):
        self.calls.append(("upload", repo_id, folder_path, sorted(allow_patterns)))


def test_the_command_line_writes_a_card_and_pushes_only_where_asked(trained, monkeypatch, capsys):
    known = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: known)
    command = [*runs.arguments(trained, steps=1), "--mode=export"]
    assert main.main([*command, "--config.export.format=stablehlo"]) == 0
    card = (trained / "export" / "stablehlo" / "README.md").read_text()
    for told in (
        "# simclr on digits",
        "after 1 train steps with batches of 16 images",
        "| network | knn20 |",
        "bytes, (batch, 8, 8, 1)",
        "jax.export.deserialize",
    ):
        assert told in card
    assert not known.calls
    folder = trained.parent / "elsewhere"
    more = [f"--config.export.dir={folder}", "--config.export.push=someone/network"]
    assert main.main([*command, "--config.export.format=stablehlo", *more]) == 0
    files = sorted(path.name for path in folder.iterdir())
    assert known.calls == [
        ("create", "someone/network", True, True),
        ("upload", "someone/network", str(folder), files),
    ]
    mine = trained.parent / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("My own.")
    capsys.readouterr()
    for changes, told in (
        (["--config.export.format=timm"], "cannot express this encoder"),
        (["--config.export.format=keras"], "choose one of timm, torchvision, stablehlo, onnx"),
        (["--config.export.push=network"], "it must be USER/NAME"),
        ([f"--config.export.dir={trained}"], "files that are no export of this format, such as ch"),
        ([f"--config.export.dir={mine}"], "such as README.md: name an empty folder"),
    ):
        assert main.main([*command, *changes]) == 2
        assert told in capsys.readouterr().err
    assert (mine / "README.md").read_text() == "My own."
    known.private = False
    with pytest.raises(UserError, match=r"everyone can see it: set config.export.private=False"):
        hub.push(folder, "someone/network", files, private=True)
    assert known.calls[-1][0] == "create"


def test_what_the_hub_refuses_is_told(monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise ValueError("401 Unauthorized")

    fake = types.SimpleNamespace(create_repo=refuse)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: fake)
    with pytest.raises(UserError, match=r"401 Unauthorized\): log in with `hf auth login`; .*"):
        hub.push(tmp_path, "someone/network", ["README.md"], private=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'ssljax\[hub\]'"):
        hub.check("someone/network", tmp_path)
