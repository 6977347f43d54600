"""Files of weights are read, whoever wrote them, and no code in them is run."""

import contextlib
import json
import sys
import types

import numpy as np
import pytest

from ssljax.errors import UserError
from ssljax.models.weights import read_tensors

TENSORS = {
    "conv1.weight": np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1),
    "bn1.bias": np.float32([1, 2]),
}


def equal(found, wanted):
    assert found.keys() == wanted.keys()
    for name, x in wanted.items():
        np.testing.assert_array_equal(found[name], x, strict=True)


def test_a_pytorch_file_asks_for_pytorch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "vgg16.pth").touch()
    with pytest.raises(UserError, match=r"PyTorch is needed to read .*vgg16.pth"):
        read_tensors(tmp_path / "vgg16.pth")
    with pytest.raises(UserError, match=r"There is no file .*vgg19.pth"):
        read_tensors(tmp_path / "vgg19.pth")


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9"])
@pytest.mark.parametrize("name", ["vit-s-300ep.pth.tar", "moco_v2_800ep", "a.pth.tar"])
def test_a_pytorch_file_of_any_name_is_known(tmp_path, monkeypatch, start, name):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / name).write_bytes(start)
    with pytest.raises(UserError, match=rf"PyTorch is needed to read .*{name}"):
        read_tensors(tmp_path / name)


def test_types_that_numpy_lacks_are_told(tmp_path):
    file = tmp_path / "vgg16.safetensors"
    entry = {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}
    header = json.dumps({"features.0.weight": entry}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(UserError, match=r"vgg16\.safetensors' cannot be read"):
        read_tensors(file)


class _Tensor:
    """As much of PyTorch's tensors as is used."""

    def __init__(self, array, dtype="float32"):
        self.array, self.dtype = array, dtype

    def numpy(self):
        if self.dtype == "bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array

    def float(self):
        return _Tensor(self.array)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_state_dictionary_is_read_without_running_code(tmp_path, monkeypatch, dtype):
    state = {name: _Tensor(x, dtype) for name, x in TENSORS.items()}
    asked, file = [], {}

    def load(path, **options):
        asked.append(options)
        return file["state"]

    serialization = types.SimpleNamespace(safe_globals=contextlib.nullcontext)
    torch = types.SimpleNamespace(
        Tensor=_Tensor, bfloat16="bfloat16", load=load, serialization=serialization
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    (tmp_path / "resnet18.pth").touch()
    file["state"] = state | {"bn1.num_batches_tracked": _Tensor(np.array(3))}
    equal(read_tensors(tmp_path / "resnet18.pth"), TENSORS)
    assert asked == [{"map_location": "cpu", "weights_only": True}]
    moments = {"state": {0: {"exp_avg": _Tensor(np.zeros(2))}}, "param_groups": [{"lr": 0.1}]}
    file["state"] = {"epoch": 3, "model": {"module": state}, "optimizer": moments, "opt": moments}
    wanted = {f"model.module.{name}": x for name, x in TENSORS.items()}
    equal(read_tensors(tmp_path / "resnet18.pth"), wanted)
    for file["state"] in ([1, 2], {"epoch": 3}):
        with pytest.raises(UserError, match="holds no state dictionary of tensors"):
            read_tensors(tmp_path / "resnet18.pth")


def test_a_pytorch_file_is_read_where_pytorch_is(tmp_path):
    torch = pytest.importorskip("torch")
    state = {name: torch.from_numpy(x) for name, x in TENSORS.items()}
    torch.save(state | {"bn1.num_batches_tracked": torch.tensor(3)}, tmp_path / "resnet18.pth")
    equal(read_tensors(tmp_path / "resnet18.pth"), TENSORS)


@pytest.mark.parametrize("content", ["missing", "text", "list", "code"])
def test_a_pytorch_file_of_something_else_is_told(tmp_path, content):
    torch = pytest.importorskip("torch")
    path = tmp_path / "resnet18.pth"
    if content == "text":
        path.write_text("no weights")
    elif content == "list":
        torch.save([1, 2], path)
    elif content == "code":
        torch.save(read_tensors, path)
    with pytest.raises(UserError, match=r"resnet18\.pth"):
        read_tensors(path)
