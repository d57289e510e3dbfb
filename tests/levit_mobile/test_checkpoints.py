"""Everybody's checkpoints give everybody's logits; broken ones give one sentence that says what is wrong."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import pickle
import random
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from oracles import huggingface_levit, import_torchvision, timm_levit
from pictures import draw
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from levit_mobile.checkpoints import Checkpoint, imagenet_labels, load_checkpoint, save_checkpoint
from levit_mobile.errors import CheckpointError, UsageError
from levit_mobile.model import LeViT
from levit_mobile.preprocess import IMAGENET, Preprocessing, preprocess
from levit_mobile.variants import VARIANTS

Fill = Callable[..., nn.Module]
State = dict[str, Tensor]
SMALL = VARIANTS["levit_128s"]
GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def pictures(size: int = 224) -> Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        out = model(x)
    return cast(Tensor, out if isinstance(out, Tensor) else out.logits)


def assert_same_logits(theirs: nn.Module, checkpoint: Checkpoint) -> None:
    expected, logits = logits_of(theirs, pictures()), logits_of(checkpoint.model(), pictures())
    assert expected.abs().max() > 0.5
    assert (logits - expected).abs().max() < 1e-5


@pytest.fixture(scope="module")
def small(random_fill: Fill) -> LeViT:
    return cast(LeViT, random_fill(LeViT(SMALL, num_classes=3)))


@pytest.fixture
def state(small: LeViT) -> State:
    """An official state dict with 3 classes; tests may exchange its entries.

    Every learnt tensor is one number of its own, repeated without taking room, so that its file is small.
    """
    return {
        key: torch.full((), i / 7).expand(value.shape) if value.is_floating_point() else value
        for i, (key, value) in enumerate(small.state_dict().items())
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def refused(path: Path, **options: Any) -> str:
    """What the error says after the file's name."""
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(path, **options)
    assert raised.value.exit_code == 2
    message = str(raised.value)
    assert message.startswith(f"{path}")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


# Other people's code is the oracle


@pytest.mark.parametrize("kind", ["timm", "timm-conv", "huggingface"])
@pytest.mark.parametrize("name", VARIANTS)
def test_the_same_logits_as_the_code_that_wrote_the_file(
    name: str, kind: str, tmp_path: Path, random_fill: Fill
) -> None:
    variant = VARIANTS[name]
    if kind == "huggingface":
        theirs = random_fill(huggingface_levit(variant))
        path = tmp_path / "pytorch_model.bin"
    else:
        theirs = random_fill(timm_levit(variant, conv=kind == "timm-conv"))
        path = tmp_path / "model.pth"
    torch.save(theirs.state_dict(), path)
    checkpoint = load_checkpoint(path)
    path.unlink()
    assert checkpoint.variant is variant
    assert checkpoint.scheme == kind.removesuffix("-conv")
    assert (checkpoint.num_classes, checkpoint.distillation, checkpoint.image_size) == (1000, True, 224)
    assert checkpoint.labels == imagenet_labels()
    assert checkpoint.preprocessing == IMAGENET
    assert_same_logits(theirs, checkpoint)


@pytest.mark.parametrize("name", ["levit_128s", "levit_192"])
def test_official_file_gives_the_official_logits(name: str, file: Path, golden_fill: Fill) -> None:
    official = name.replace("levit", "LeViT").replace("s", "S")
    torch.save({"model": golden_fill(LeViT(VARIANTS[name])).state_dict()}, file)
    checkpoint = load_checkpoint(file)
    assert checkpoint.scheme == "official"
    x = np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)
    golden = np.load(GOLDEN / "official_logits.npz")[official]
    assert np.abs(logits_of(checkpoint.model(), torch.from_numpy(x)).numpy() - golden).max() < 1e-5


@pytest.mark.parametrize("teacher", [True, False])
def test_a_folder_as_transformers_saves_it(teacher: bool, tmp_path: Path, random_fill: Fill) -> None:
    labels = [f"thing {i}" for i in range(11)]
    theirs = random_fill(huggingface_levit(SMALL, teacher=teacher, labels=labels))
    theirs.save_pretrained(tmp_path)  # type: ignore[operator]
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.labels == tuple(labels)
    assert (checkpoint.num_classes, checkpoint.distillation) == (11, teacher)
    assert checkpoint.name == "model.safetensors"
    assert checkpoint.sha256 == hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert_same_logits(theirs, checkpoint)


def test_a_timm_file_of_another_number_of_classes(tmp_path: Path, random_fill: Fill) -> None:
    theirs = random_fill(timm_levit(SMALL, num_classes=10))
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    checkpoint = load_checkpoint(tmp_path / "model.safetensors")
    assert (checkpoint.num_classes, checkpoint.labels) == (10, None)
    assert_same_logits(theirs, checkpoint)


# How a state dict may be wrapped


WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "bare": lambda s: s,
    "model": lambda s: {"model": s},
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "arch": "levit_128s"},
    "model_state_dict": lambda s: {"model_state_dict": OrderedDict(s), "loss": 0.1},
    "model in state_dict": lambda s: {"model": {"state_dict": s}},
    "DataParallel": lambda s: {f"module.{key}": value for key, value in s.items()},
    "DataParallel in state_dict": lambda s: {"state_dict": {f"module.{key}": value for key, value in s.items()}},
    "parameters": lambda s: {k: nn.Parameter(v.clone()) if v.is_floating_point() else v for k, v in s.items()},
    "learnt only": lambda s: {k: v for k, v in s.items() if not k.endswith(("_idxs", "_tracked"))},
    "other entries": lambda s: {**s, "note": "best of three", "epoch": 12},
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_wrappings(wrap: str, legacy: bool, state: State, file: Path) -> None:
    torch.save(WRAPPINGS[wrap](state), file, _use_new_zipfile_serialization=not legacy)
    checkpoint = load_checkpoint(file)
    assert checkpoint.variant is SMALL
    assert checkpoint.scheme == "official"
    assert set(checkpoint.state) == {k for k in state if not k.endswith(("_idxs", "_tracked"))}
    for key, value in checkpoint.state.items():
        assert torch.equal(value, state[key]), key


def test_a_pickle_protocol_that_pytorch_warns_of(state: State, file: Path) -> None:
    torch.save(state, file, pickle_protocol=4, _use_new_zipfile_serialization=False)
    assert refused(file).startswith("not a PyTorch checkpoint")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype: torch.dtype, state: State, file: Path) -> None:
    torch.save({k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}, file)
    for key, value in load_checkpoint(file).state.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[key].to(dtype).float()), key


def test_image_size_is_seen_from_the_bias_tables(file: Path) -> None:
    """The official ``datasets.py`` resizes to 256/224 of it."""
    for image_size, resize in ((64, 73), (160, 182), (192, 219), (256, 292), (288, 329), (320, 365), (384, 438)):
        with torch.device("meta"):
            shapes = {key: t.shape for key, t in LeViT(SMALL, num_classes=3, image_size=image_size).named_parameters()}
        learnt = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
        statistics = {
            key.replace("weight", kind): torch.ones(()).expand(shape)
            for key, shape in shapes.items()
            if key.endswith("bn.weight")
            for kind in ("running_mean", "running_var")
        }
        torch.save({**learnt, **statistics}, file)
        checkpoint = load_checkpoint(file)
        assert checkpoint.image_size == image_size
        assert checkpoint.model().image_size == image_size
        assert (checkpoint.preprocessing.resize, checkpoint.preprocessing.crop) == (resize, image_size)


def test_what_is_told_of_the_file(state: State, file: Path) -> None:
    torch.save({"model": state}, file)
    for path in (file, str(file)):
        checkpoint = load_checkpoint(path, variant="LeViT-128S")
        assert checkpoint.name == "weights.pth"
        assert checkpoint.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert checkpoint.labels is None
        assert not checkpoint.model().training


def test_imagenet_labels() -> None:
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert all(label.strip() == label != "" for label in labels)
    assert [labels[i].lower().split(",")[0] for i in (0, 1, 207, 281, 404, 999)] == [
        "tench",
        "goldfish",
        "golden retriever",
        "tabby",
        "airliner",
        "toilet tissue",
    ]


# This project's own file


@pytest.mark.parametrize("distillation", [True, False])
@pytest.mark.parametrize("image_size", [224, 96])
def test_own_file_brings_everything_back(
    image_size: int, distillation: bool, tmp_path: Path, random_fill: Fill
) -> None:
    model = LeViT(SMALL, num_classes=3, distillation=distillation, image_size=image_size)
    random_fill(model)
    spec = Preprocessing(resize=image_size + 10, crop=image_size, mean=(0.5, 0.25, 0.1), std=(0.5, 0.5, 1.0))
    path = tmp_path / "own.safetensors"
    save_checkpoint(path, model, labels=["ä", "b c", ""], preprocessing=spec, dtype=torch.float32)
    checkpoint = load_checkpoint(path)
    assert checkpoint.scheme == "levit-mobile"
    assert checkpoint.labels == ("ä", "b c", "")
    assert checkpoint.preprocessing == spec
    assert (checkpoint.num_classes, checkpoint.distillation, checkpoint.image_size) == (3, distillation, image_size)
    x = pictures(image_size)
    assert torch.equal(logits_of(checkpoint.model(), x), logits_of(model, x))


def test_own_file_in_half_precision(small: LeViT, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_checkpoint(path, small)
    checkpoint = load_checkpoint(path)
    assert checkpoint.labels is None
    assert checkpoint.preprocessing == Preprocessing.of_size(small.image_size)
    for key, value in checkpoint.state.items():
        was = small.state_dict()[key]
        assert value.dtype == torch.float32
        assert torch.equal(value, was.half().float() if was.ndim > 1 else was), key
    assert path.stat().st_size < 2.1 * sum(p.numel() for p in small.parameters())
    assert (logits_of(checkpoint.model(), pictures()) - logits_of(small, pictures())).abs().max() < 1e-2


def test_own_file_is_the_same_bytes_every_time(small: LeViT, tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        save_checkpoint(tmp_path / name, small, labels=["x", "y", "z"])
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    with safe_open(tmp_path / "a.safetensors", framework="pt") as opened:
        assert json.loads(opened.metadata()["levit_mobile"]) == {
            "format": 1,
            "variant": "levit_128s",
            "image_size": 224,
            "labels": ["x", "y", "z"],
            "preprocessing": IMAGENET.to_dict(),
        }


def test_labels_that_do_not_fit_are_not_written(small: LeViT, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="2 labels for a model with 3 classes"):
        save_checkpoint(tmp_path / "own.safetensors", small, labels=["a", "b"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{", "not a whole safetensors file"),
        ("[1]", "its header is not one that this version of levit-mobile reads: [1]"),
        ('{"format": 2}', 'its header is not one that this version of levit-mobile reads: {"format": 2}'),
        ('{"format": 1, "labels": "abc"}', "its header has labels that are no list of names"),
        ('{"format": 1, "labels": [1, 2, 3]}', "its header has labels that are no list of names"),
        ('{"format": 1, "labels": ["a", "b"]}', "names 2 classes, but its heads have 3"),
        ('{"format": 1, "labels": []}', "names 0 classes, but its heads have 3"),
        ('{"format": 1, "preprocessing": []}', "preprocessing is not a table of numbers, but []"),
        ('{"format": 1, "preprocessing": {"resize": 1}}', "preprocessing lacks or garbles 'mean'"),
        ('{"format": 1, "preprocessing": {"interpolation": "nearest"}}', "interpolation 'nearest' is not supported"),
    ],
)
def test_a_header_that_makes_no_sense(header: str, message: str, state: State, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, path, metadata={"levit_mobile": header})
    assert message in refused(path)


# Fine-tuning


def test_the_same_classes_keep_the_heads(file: Path, small: LeViT) -> None:
    torch.save(small.state_dict(), file)
    model = load_checkpoint(file).model_for(3)
    assert torch.equal(logits_of(model, pictures()), logits_of(small, pictures()))


def test_other_classes_get_fresh_heads(state: State, file: Path) -> None:
    torch.save(state, file)
    model = load_checkpoint(file).model_for(7)
    assert model.num_classes == 7
    assert model.distillation
    assert model.head_dist is not None
    for head in (model.head, model.head_dist):
        assert tuple(head.l.weight.shape) == (7, 384)
        assert 0.01 < head.l.weight.std().item() < 0.03
        assert torch.equal(head.bn.weight, torch.ones(384))
    for key, value in model.state_dict().items():
        if not key.startswith("head"):
            assert torch.equal(value, state[key]), key


# What is wrong with the tensors


def test_a_missing_tensor_is_named(state: State, file: Path) -> None:
    del state["blocks.6.m.qkv.c.weight"]
    torch.save({"model": state}, file)
    assert refused(file) == "does not fit levit_128s, the nearest variant: blocks.6.m.qkv.c.weight is missing"


def test_a_tensor_left_over_is_named(state: State, file: Path) -> None:
    state["blocks.6.m.lora.weight"] = torch.zeros(2)
    torch.save({"model": state}, file)
    assert refused(file) == "does not fit levit_128s, the nearest variant: blocks.6.m.lora.weight is left over"


@pytest.mark.parametrize(
    ("key", "shape", "expected"),
    [
        ("blocks.6.m.qkv.c.weight", (384, 256, 3), (384, 256)),
        ("patch_embed.2.c.weight", (32, 16, 1, 1), (32, 16, 3, 3)),
        ("blocks.0.m.attention_biases", (4, 195), (4, 196)),
        ("blocks.0.m.attention_biases", (4, 250_000), (4, 196)),
        ("blocks.0.m.attention_biases", (4,), (4, 196)),
        ("blocks.0.m.attention_biases", (4, 0), (4, 196)),
        ("blocks.0.m.attention_bias_idxs", (196, 195), (196, 196)),
        ("head_dist.l.weight", (4, 384), (3, 384)),
        ("head.bn.running_var", (), (384,)),
    ],
)
def test_a_misshapen_tensor_is_named(
    key: str, shape: tuple[int, ...], expected: tuple[int, ...], state: State, file: Path
) -> None:
    state[key] = torch.zeros(shape, dtype=state[key].dtype)
    torch.save({"model": state}, file)
    assert (
        refused(file)
        == f"does not fit levit_128s, the nearest variant: {key} has the shape {shape}, expected {expected}"
    )


def test_more_than_five_differences_are_counted(state: State, file: Path) -> None:
    for key in list(state):
        if key.startswith("blocks.3."):
            del state[key]
    torch.save(state, file)
    message = refused(file)
    assert message.count(" is missing") == 5
    assert message.endswith(", and 5 more")


@pytest.mark.parametrize("key", ["head.l.weight", "head.l.bias", "head_dist.l.weight", "head_dist.bn.running_mean"])
def test_half_a_head(key: str, state: State, file: Path) -> None:
    del state[key]
    torch.save(state, file)
    assert refused(file) == f"does not fit levit_128s, the nearest variant: {key} is missing"


def test_no_head(state: State, file: Path) -> None:
    torch.save({key: value for key, value in state.items() if not key.startswith("head")}, file)
    assert "head.bn.weight is missing; head.bn.bias is missing" in refused(file)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("key", ["blocks.8.m.qkv.c.weight", "head.bn.running_var"])
def test_nan_and_infinity_are_named(key: str, value: float, state: State, file: Path) -> None:
    state[key] = state[key].clone()
    state[key].view(-1)[7] = value
    torch.save({"model": state}, file)
    assert refused(file) == f"{key} holds NaN or infinity; the training that wrote it went wrong"


def quantised(value: Tensor) -> Tensor:
    with warnings.catch_warnings(action="ignore"):  # PyTorch's own quantised tensors are on their way out
        return torch.quantize_per_tensor(value.contiguous(), 0.1, 0, torch.qint8)


KINDS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "meta": (lambda v: v.to("meta"), "has a shape, but no numbers (it is on the meta device); save the model with"),
    "quantised": (quantised, "is quantised (torch.qint8); save the float model, the export quantises it"),
    "COO": (lambda v: v.to_sparse(), "is not a dense tensor (its layout is torch.sparse_coo); save it dense"),
    "CSR": (lambda v: v.to_sparse_csr(), "is not a dense tensor (its layout is torch.sparse_csr); save it dense"),
    "int8": (lambda v: v.to(torch.int8), "holds torch.int8; save it as float32, float16 or bfloat16"),
    "int64": (lambda v: v.long(), "holds torch.int64; save it as float32, float16 or bfloat16"),
    "bool": (lambda v: v > 0, "holds torch.bool; save it as float32, float16 or bfloat16"),
    "complex": (lambda v: v.to(torch.complex64), "holds torch.complex64; save it as float32, float16 or bfloat16"),
    "float8": (
        lambda v: v.to(torch.float8_e4m3fn),
        "holds torch.float8_e4m3fn; save it as float32, float16 or bfloat16",
    ),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_of_another_kind_is_named(kind: str, state: State, file: Path) -> None:
    change, message = KINDS[kind]
    for key in ("blocks.6.m.qkv.c.weight", "head.l.weight"):
        torch.save({"model": {**state, key: change(state[key])}}, file)
        assert refused(file).startswith(f"{key} {message}")


def test_a_nested_tensor_is_named(state: State, file: Path) -> None:
    with warnings.catch_warnings(action="ignore"):
        state["head.l.weight"] = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    torch.save(state, file)
    assert refused(file) == "head.l.weight is not a dense tensor (its layout is nested); save it dense"


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bool])
def test_an_index_of_another_kind_is_named(dtype: torch.dtype, state: State, file: Path) -> None:
    key = "blocks.0.m.attention_bias_idxs"
    state[key] = state[key].to(dtype)
    torch.save(state, file)
    assert refused(file) == f"{key} holds {dtype}; save it as int64"


@pytest.mark.parametrize(
    ("dtype", "bits", "message"),
    [
        ("I32", 32, "head.bn.bias holds torch.int32; save it as float32, float16 or bfloat16"),
        ("C64", 64, "head.bn.bias holds torch.complex64; save it as float32, float16 or bfloat16"),
        ("F8_E5M2", 8, "head.bn.bias holds torch.float8_e5m2; save it as float32, float16 or bfloat16"),
        ("F4", 4, "does not fit levit_128s, the nearest variant: head.bn.bias has the shape (192,), expected (384,)"),
    ],
)
def test_a_safetensors_of_another_kind_is_named(
    dtype: str, bits: int, message: str, state: State, tmp_path: Path
) -> None:
    """float4 has two numbers in a byte, and PyTorch counts bytes."""
    path = tmp_path / "model.safetensors"
    header: dict[str, Any] = {}
    end = 0
    for key, value in state.items():
        kind, size = (dtype, bits) if key == "head.bn.bias" else ("F16", 16)
        if value.is_floating_point():
            start, end = end, end + value.numel() * size // 8
            header[key] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    assert refused(path).startswith(message)


@pytest.mark.parametrize("key", ["patch_embed.0.bn.running_var", "head.bn.running_var"])
def test_a_variance_below_zero_is_named(key: str, state: State, file: Path) -> None:
    state[key] = state[key].clone()
    torch.save(state, file)
    load_checkpoint(file)
    state[key].view(-1)[3] = 0.0
    torch.save(state, file)
    load_checkpoint(file)
    state[key].view(-1)[3] = -1e-3
    torch.save(state, file)
    assert refused(file) == f"{key} holds a variance below zero; the file is damaged"


def test_heads_without_classes(state: State, file: Path) -> None:
    for head in ("head", "head_dist"):
        state[f"{head}.l.weight"], state[f"{head}.l.bias"] = torch.zeros(0, 384), torch.zeros(0)
    torch.save(state, file)
    assert refused(file) == (
        "does not fit levit_128s, the nearest variant: "
        "head.l.weight has the shape (0, 384), expected (1, 384); head.l.bias has the shape (0,), expected (1,); "
        "head_dist.l.weight has the shape (0, 384), expected (1, 384); "
        "head_dist.l.bias has the shape (0,), expected (1,)"
    )


@pytest.mark.parametrize("key", ["blocks.0.m.attention_bias_idxs", "blocks.4.attention_bias_idxs"])
def test_other_pairs_of_queries_and_keys(key: str, state: State, file: Path) -> None:
    state[key] = state[key].roll(1, dims=1)
    torch.save({"model": state}, file)
    assert refused(file) == f"{key} pairs queries, keys and biases in another way than LeViT does"


def test_the_same_pairs_as_smaller_integers(state: State, file: Path) -> None:
    state["blocks.0.m.attention_bias_idxs"] = state["blocks.0.m.attention_bias_idxs"].int()
    torch.save({"model": state}, file)
    assert load_checkpoint(file).variant is SMALL


def test_another_variant_than_asked_for(state: State, file: Path) -> None:
    torch.save({"model": state}, file)
    assert refused(file, variant="levit_256") == (
        "these are the weights of levit_128s, not of levit_256; leave --model out"
    )


def test_a_variant_that_does_not_exist(state: State, file: Path) -> None:
    torch.save({"model": state}, file)
    with pytest.raises(UsageError, match="unknown variant 'levit_512'"):
        load_checkpoint(file, variant="levit_512")


def test_other_models(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    torch.save({"conv1.weight": torch.zeros(1), "bn1.weight": torch.zeros(1)}, path)
    assert refused(path) == (
        "not a LeViT checkpoint: it has none of patch_embed.0.c.weight, stem.conv1.linear.weight, "
        "levit.patch_embeddings.embedding_layer_1.convolution.weight (its first keys are conv1.weight, bn1.weight)"
    )


# What is wrong with the file


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors", "none"])
def test_no_such_file(name: str, tmp_path: Path) -> None:
    assert refused(tmp_path / name) == "no such file"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ([torch.zeros(1)], "list"),
        (torch.zeros(2), "Tensor"),
        ({1: torch.zeros(1)}, "dict"),
        (3, "int"),
        (None, "NoneType"),
    ],
)
def test_no_state_dict(data: Any, kind: str, file: Path) -> None:
    torch.save(data, file)
    assert refused(file) == f"holds no state dict, but {kind}"


@pytest.mark.parametrize("data", [{}, {"epoch": 3}, {"model": {}}])
def test_no_tensors(data: Any, file: Path) -> None:
    torch.save(data, file)
    assert refused(file).endswith("(its first keys are none)")


class _Code:
    """Unpickled, it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def _evil(path: Path) -> _Code:
    return _Code(path)


@pytest.mark.parametrize("inside", ["alone", "beside the tensors", "in place of a tensor"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_code_in_a_pickle_does_not_run(legacy: bool, inside: str, state: State, file: Path, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    contents: Any = {
        "alone": _evil(mark),
        "beside the tensors": {"model": state, "optimizer": _evil(mark)},
        "in place of a tensor": {"model": {**state, "head.l.bias": _evil(mark)}},
    }[inside]
    torch.save(contents, file, _use_new_zipfile_serialization=not legacy)
    assert refused(file) == (
        "refused, because it holds more than tensors and loading it could run code; "
        "save its state_dict() alone, or convert it to safetensors"
    )
    assert not mark.exists()
    torch.load(file, weights_only=False)  # the trap itself works
    assert mark.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_plain_pickle_does_not_run(protocol: int, file: Path, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    file.write_bytes(pickle.dumps(_evil(mark), protocol))
    message = refused(file)
    assert message.startswith(("refused, because it holds more", "not a PyTorch checkpoint, or cut short"))
    assert "weights_only" not in message  # PyTorch's own text advises to run the code
    assert not mark.exists()


def test_a_whole_module_and_a_training_state_are_refused(state: State, file: Path) -> None:
    for contents in (nn.Linear(2, 2), {"model": state, "args": argparse.Namespace(lr=0.1)}):
        torch.save(contents, file)
        assert refused(file).startswith("refused, because it holds more than tensors")


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.999])
@pytest.mark.parametrize("suffix", [".pth", "-legacy.pth", ".safetensors"])
def test_cut_short(suffix: str, kept: float, state: State, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save({"model": state}, path, _use_new_zipfile_serialization=suffix == ".pth")
    whole = path.read_bytes()
    assert len(whole) > 100_000
    path.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    wanted = "not a whole safetensors file" if suffix == ".safetensors" else "not a PyTorch checkpoint, or cut short"
    assert refused(path).startswith(wanted)


@pytest.mark.parametrize("name", ["WEIGHTS.SAFETENSORS", "model.Safetensors", "pytorch_model.bin", "a.pth", "weights"])
def test_safetensors_under_any_name(name: str, state: State, tmp_path: Path) -> None:
    path = tmp_path / name
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    assert load_checkpoint(path).variant is SMALL
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert refused(path).startswith("not a whole safetensors file (")


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_pytorch_file_under_the_other_name(legacy: bool, state: State, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    assert load_checkpoint(path).variant is SMALL


@pytest.mark.parametrize("contents", [b"", b"hello\n", b"\n", b'{"a": 1}', b"<html>404</html>", b"PK", b"\x00" * 64])
@pytest.mark.parametrize("suffix", [".pth", ".bin", ".safetensors", ""])
def test_files_of_another_kind(suffix: str, contents: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(contents)
    wanted = "not a whole safetensors file" if suffix == ".safetensors" else "not a PyTorch checkpoint, or cut short"
    message = refused(path)
    assert message.startswith(wanted)
    assert "weights_only" not in message


@pytest.mark.parametrize("name", ["a.pth", "legacy.pth", "a.safetensors"])
def test_damaged_anywhere_it_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    """Bytes exchanged, bytes lost, the end lost: never another exception."""
    torch.manual_seed(0)
    tensors = {"patch_embed.0.c.weight": torch.randn(16, 3, 3, 3), "head.l.weight": torch.randn(10, 384)}
    path, buffer = tmp_path / name, io.BytesIO()
    if name.endswith(".safetensors"):
        save_file(tensors, path, metadata={"levit_mobile": '{"format": 1, "labels": ["a"]}'})
        whole = path.read_bytes()
    else:
        torch.save({"model": tensors}, buffer, _use_new_zipfile_serialization=name == "a.pth")
        whole = buffer.getvalue()
    rng = random.Random(0)
    for i in range(300):
        data = bytearray(whole)
        if i % 3 == 0:
            del data[rng.randrange(len(data)) :]
        elif i % 3 == 1:
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(min(len(data), 3000))] = rng.randrange(256)
        else:
            start = rng.randrange(len(data))
            del data[start : start + rng.randint(1, 40)]
        path.write_bytes(data)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


# Folders


@pytest.fixture
def folder(state: State, tmp_path: Path) -> Path:
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "model.safetensors")
    return tmp_path


def test_a_folder_without_weights(tmp_path: Path) -> None:
    wanted = "this folder has neither a file model.safetensors nor a file pytorch_model.bin"
    assert refused(tmp_path) == wanted
    (tmp_path / "model.safetensors").mkdir()
    assert refused(tmp_path) == wanted


def test_a_folder_in_place_of_the_weights_is_passed_over(state: State, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").mkdir()
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert load_checkpoint(tmp_path).name == "pytorch_model.bin"


def test_a_folder_without_config(folder: Path) -> None:
    assert load_checkpoint(folder).labels is None


def test_a_folder_with_the_older_file(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text('{"id2label": {"0": "a", "2": "c", "1": "b"}}')
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.name == "pytorch_model.bin"
    assert checkpoint.labels == ("a", "b", "c")


@pytest.mark.parametrize("config", ["{}", '{"id2label": null}', '{"id2label": {}}', '{"architectures": ["x"]}'])
def test_a_config_without_labels(config: str, folder: Path) -> None:
    (folder / "config.json").write_text(config)
    assert load_checkpoint(folder).labels is None


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe",
        b'{"id2label": ["a", "b", "c"]}',
        b'{"id2label": 3}',
        b'{"id2label": {"0": "a", "7": "b"}}',
    ],
)
def test_a_broken_config(config: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(config)
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(folder)
    assert str(raised.value).startswith(f"{folder / 'config.json'}: cannot be read as a model's configuration (")


def test_a_config_that_is_a_folder(folder: Path) -> None:
    (folder / "config.json").mkdir()
    with pytest.raises(CheckpointError, match=r"config\.json: cannot be read as a model's configuration"):
        load_checkpoint(folder)


def test_labels_that_do_not_fit_the_heads(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"id2label": {str(i): f"c{i}" for i in range(4)}}))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: names 4 classes, but its heads have 3"):
        load_checkpoint(folder)


# Preprocessing as transformers saves it


@pytest.fixture(scope="module")
def theirs(random_fill: Fill) -> Any:
    return random_fill(huggingface_levit(SMALL, labels=["a", "b", "c"]))


@pytest.fixture
def pretrained(theirs: Any, tmp_path: Path) -> Path:
    """A folder with weights and ``config.json``."""
    theirs.save_pretrained(tmp_path)
    return tmp_path


def processor(**options: Any) -> Any:
    import_torchvision()
    transformers = pytest.importorskip("transformers", reason="transformers is the oracle here")
    return transformers.LevitImageProcessor(**options)


HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
PROCESSORS: dict[str, tuple[dict[str, Any], Preprocessing]] = {
    "as it is": ({}, IMAGENET),
    "mean and std": (HALF, Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))),
    "one number": ({"image_mean": 0.5, "image_std": 0.25}, Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3)),
    "not normalised": ({"do_normalize": False}, Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))),
    "size": ({"size": 252, **HALF}, Preprocessing(288, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))),
    "rounded size": ({"size": {"shortest_edge": 225}}, Preprocessing(257, 224)),
    "crop": ({"size": 160, "crop_size": {"height": 160, "width": 160}}, Preprocessing(182, 160)),
}


@pytest.mark.parametrize("which", PROCESSORS)
def test_a_processor_as_transformers_saves_it(which: str, pretrained: Path) -> None:
    options, expected = PROCESSORS[which]
    judge = processor(**options)
    judge.save_pretrained(pretrained)
    for path in (pretrained, pretrained / "model.safetensors"):
        assert load_checkpoint(path).preprocessing == expected
    picture = draw("300x200")
    array = judge(picture, return_tensors="np")["pixel_values"][0]
    levels = np.abs(preprocess(picture, expected) - array) * 255 * np.array(expected.std)[:, None, None]
    if which != "rounded size":  # its crop lies half a pixel from the middle: rounded here, truncated there
        assert levels.max() < 3  # transformers resizes with torchvision's code for tensors, and not Pillow's


@pytest.mark.parametrize("size", [96, 128, 192, 224, 225, 256, 288, 384, 3584])
def test_the_shorter_side_is_what_transformers_makes_of_it(size: int) -> None:
    from PIL import Image

    judge = processor(size=size, do_center_crop=False)
    array = judge(Image.new("RGB", (8, 8)), return_tensors="np")["pixel_values"][0]
    told = {"size": {"shortest_edge": size}, "crop_size": {"height": 32, "width": 32}}
    assert Preprocessing.from_huggingface(told).resize == array.shape[1] == array.shape[2]


def test_a_processor_of_an_earlier_transformers(pretrained: Path) -> None:
    """As it lies beside the published weights."""
    about = {
        "crop_size": 224,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "LevitFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
        "size": 224,
    }
    (pretrained / "preprocessor_config.json").write_text(json.dumps(about))
    assert load_checkpoint(pretrained).preprocessing == IMAGENET


def test_what_a_processor_does_not_tell_is_transformers_own(pretrained: Path) -> None:
    for text in ("{}", '{"size": null, "image_mean": null, "image_processor_type": null}'):
        (pretrained / "preprocessor_config.json").write_text(text)
        assert load_checkpoint(pretrained).preprocessing == IMAGENET
    (pretrained / "preprocessor_config.json").write_text('{"size": 252}')
    assert load_checkpoint(pretrained).preprocessing == Preprocessing(288, 224)


def test_a_processor_beside_other_weights_is_not_theirs(state: State, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "preprocessor_config.json").write_text('{"do_resize": false}')
    assert load_checkpoint(tmp_path).preprocessing == IMAGENET


SIZE_FORM = 'only {"shortest_edge": N} with N from 1 to 3584 is supported'
CROP_FORM = 'only {"height": N, "width": N} with N from 1 to 3584 is supported'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"do_resize": False}, "do_resize is false; only true is supported"),
        ({"do_center_crop": False}, "do_center_crop is false; only true is supported"),
        ({"do_rescale": False}, "do_rescale is false; only true is supported"),
        ({"rescale_factor": 1 / 127.5}, f"rescale_factor is {1 / 127.5}; only {1 / 255} is supported"),
        ({"resample": 2}, "resample is 2; only 3 is supported"),
        ({"do_pad": True}, "do_pad is true; only false is supported"),
        ({"default_to_square": True}, "default_to_square is true; only false is supported"),
        ({"size": {"height": 256, "width": 256}}, f'size is {{"height": 256, "width": 256}}; {SIZE_FORM}'),
        (
            {"size": {"shortest_edge": 224, "longest_edge": 300}},
            f'size is {{"shortest_edge": 224, "longest_edge": 300}}; {SIZE_FORM}',
        ),
        ({"size": [224, 224]}, f"size is [224, 224]; {SIZE_FORM}"),
        ({"size": 224.5}, f"size is 224.5; {SIZE_FORM}"),
        ({"size": 0}, f"size is 0; {SIZE_FORM}"),
        ({"size": True}, f"size is true; {SIZE_FORM}"),
        ({"size": {}}, f"size is {{}}; {SIZE_FORM}"),
        ({"size": 10**500}, f"size is 1{'0' * 79}; {SIZE_FORM}"),
        ({"crop_size": {"height": 224, "width": 192}}, f'crop_size is {{"height": 224, "width": 192}}; {CROP_FORM}'),
        ({"crop_size": {"shortest_edge": 224}}, f'crop_size is {{"shortest_edge": 224}}; {CROP_FORM}'),
        ({"crop_size": 257}, "crop_size is 257, but with a size of 224 pictures are resized to 256 pixels"),
        ({"image_mean": [0.5, 0.5]}, "image_mean is [0.5, 0.5]; it must be three numbers, for red, green and blue"),
        ({"image_mean": "0.5"}, 'image_mean is "0.5"; it must be three numbers, for red, green and blue'),
        ({"image_std": [1, 1, True]}, "image_std is [1, 1, true]; it must be three numbers, for red, green and blue"),
        ({"image_std": [1, 1, 0]}, "image_std is [1, 1, 0]; it must be positive"),
        ({"image_std": float("nan")}, "image_std is NaN; it must be three numbers, for red, green and blue"),
        ({"image_mean": 10**500}, f"image_mean is 1{'0' * 79}; it must be three numbers, for red, green and blue"),
        (
            {"image_processor_type": "ViTImageProcessor"},
            'image_processor_type is "ViTImageProcessor"; only LevitImageProcessor is supported',
        ),
        (
            {"feature_extractor_type": "DeiTFeatureExtractor"},
            'feature_extractor_type is "DeiTFeatureExtractor"; only LevitImageProcessor is supported',
        ),
    ],
)
def test_a_processor_that_is_not_supported(change: dict[str, Any], message: str, pretrained: Path) -> None:
    config = pretrained / "preprocessor_config.json"
    config.write_text(json.dumps({"size": {"shortest_edge": 224}, "resample": 3, **change}))
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(pretrained)
    hint = "correct it, or move it away if pictures should go through ImageNet's preprocessing"
    assert str(raised.value) == f"{config}: {message}; {hint}"


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]", b"3", b"[" * 100_000])
def test_a_broken_processor(text: bytes, pretrained: Path) -> None:
    config = pretrained / "preprocessor_config.json"
    config.write_bytes(text)
    with pytest.raises(CheckpointError) as raised:
        load_checkpoint(pretrained)
    assert str(raised.value).startswith((f"{config}: cannot be read (", f"{config}: it holds no object, but "))


def test_a_processor_that_is_a_folder(pretrained: Path) -> None:
    (pretrained / "preprocessor_config.json").mkdir()
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json: cannot be read \(.*Is a directory"):
        load_checkpoint(pretrained)
