"""From the PyTorch file of the Inception weights to safetensors."""

import sys

import numpy as np
import pytest

from ssljax.models.encoders.inception_weights import load_inception, pytorch_layout
from ssljax.tools import convert_inception


def test_without_pytorch_the_command_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "in.pth").touch()
    assert (
        convert_inception.main([str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors")]) == 2
    )
    assert "PyTorch is needed" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


def test_the_tensors_come_through_unchanged(tmp_path):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    state = {"Conv2d_1a_3x3.bn.num_batches_tracked": torch.tensor(0)}
    state["fc.bias"] = torch.zeros(1008)
    for name, (_, shape) in pytorch_layout().items():
        state[name] = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    torch.save(state, tmp_path / "in.pth")
    assert (
        convert_inception.main(
            [str(tmp_path / "in.pth"), str(tmp_path / "new" / "out.safetensors")]
        )
        == 0
    )
    found = load_inception(tmp_path / "new" / "out.safetensors")
    kernel = found["params"]["Mixed_7a"]["branch7x7x3_2"]["conv"]["kernel"]
    theirs = state["Mixed_7a.branch7x7x3_2.conv.weight"].numpy()
    assert np.array_equal(kernel.transpose(3, 2, 0, 1), theirs)


@pytest.mark.parametrize("content", ["missing", "text", "list", "other network", "code"])
def test_a_file_of_something_else_is_told(tmp_path, capsys, content):
    torch = pytest.importorskip("torch")
    source = tmp_path / "in.pth"
    if content == "text":
        source.write_text("no weights")
    elif content == "list":
        torch.save([1, 2], source)
    elif content == "other network":
        torch.save({"fc.weight": torch.zeros(2, 2)}, source)
    elif content == "code":
        torch.save(convert_inception.convert, source)
    assert convert_inception.main([str(source), str(tmp_path / "out.safetensors")]) == 2
    assert "in.pth" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
