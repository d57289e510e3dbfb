"""A trained LeViT's file -> one model, its classes, and where it came from.

Read: the official ``.pth``, timm's and Hugging Face's weights (``.pth``, ``.bin``, ``.safetensors``, or a folder with a
``config.json``), and this project's own safetensors. Nothing is ever unpickled that could run code.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from levit_mobile.errors import CheckpointError
from levit_mobile.key_schemes import SCHEMES, recognise_scheme, rename_keys
from levit_mobile.model import LeViT, bias_offsets
from levit_mobile.preprocess import Preprocessing
from levit_mobile.variants import PATCH, VARIANTS, Variant, get_variant

__all__ = ["Checkpoint", "find_file", "imagenet_labels", "is_safetensors", "load_checkpoint", "save_checkpoint"]

_METADATA = "levit_mobile"  # one key in the safetensors header, so that its order is always the same
_INDICES = "attention_bias_idxs"
_DERIVED = (_INDICES, "num_batches_tracked")  # computed, or of no use at inference: a file may lack them
_MOST_TOKENS = 64  # a side, 1024 pixels: what a bias table can be for
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.uint8)  # what the derived tensors may be instead
_MOST_CLASSES = 100_000  # four times as many as ImageNet-21k has
_LONGEST_CONFIG = 2**26  # bytes
_LONGEST_HEADER = 100_000_000  # bytes of a safetensors file; its own reader takes no more


@dataclass(frozen=True)
class Checkpoint:
    """Weights under the official names, and what the file told of them.

    Attributes:
        variant: which of the five models.
        state: float32 tensors, official keys; the derived ones are left out.
        num_classes: outputs of each head.
        distillation: whether there are two heads.
        image_size: pixels a side that the bias tables fit.
        labels: names of the classes, or None where the file does not tell.
        preprocessing: what pictures go through.
        scheme: official, timm, huggingface or levit-mobile.
        name: the file's name, without its folder.
        sha256: of the file.
    """

    variant: Variant
    state: Mapping[str, Tensor]
    num_classes: int
    distillation: bool
    image_size: int
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing
    scheme: str
    name: str
    sha256: str

    def model(self) -> LeViT:
        """The model with these weights, in eval mode."""
        model = LeViT(
            self.variant, num_classes=self.num_classes, distillation=self.distillation, image_size=self.image_size
        )
        model.load_state_dict(self.state, strict=False)  # what a file must have is checked when it is read
        return model.eval()

    def model_for(self, num_classes: int) -> LeViT:
        """The model for fine-tuning: the same weights, but fresh heads where the number of classes differs."""
        if num_classes == self.num_classes:
            return self.model()
        model = LeViT(self.variant, num_classes=num_classes, image_size=self.image_size)
        model.load_state_dict({k: v for k, v in self.state.items() if not k.startswith("head")}, strict=False)
        return model


def load_checkpoint(path: str | os.PathLike[str], *, variant: str | None = None) -> Checkpoint:
    """Read a checkpoint of any known kind.

    Args:
        path: a file, or a folder as transformers saves it.
        variant: what it should be; None takes what the tensors say.

    Raises:
        CheckpointError: no such file, unreadable, code inside, unknown keys, a tensor missing, left over, misshapen, of
            another kind than float numbers or not finite, another variant than asked for, or preprocessing beside it
            that is not supported.
        UsageError: ``variant`` is not one of the five.
    """
    wanted = get_variant(variant) if variant is not None else None
    file = find_file(path)
    labels = _labels_beside(file, Path(path))
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    tensors, metadata = _read_tensors(file)
    scheme = recognise_scheme(tensors)
    if scheme is None:
        raise CheckpointError(
            f"{file}: not a LeViT checkpoint: it has none of {', '.join(SCHEMES.values())} "
            f"(its first keys are {', '.join(list(tensors)[:3]) or 'none'})"
        )
    found, state = _fit(file, scheme, tensors, wanted)
    return Checkpoint(
        variant=found,
        state=state,
        num_classes=state["head.l.weight"].size(0),
        distillation="head_dist.l.weight" in state,
        image_size=_image_size(state),
        labels=_labels(file, metadata, labels, state["head.l.weight"].size(0)),
        preprocessing=_preprocessing(file, metadata, scheme, _image_size(state)),
        scheme="levit-mobile" if metadata else scheme,
        name=file.name,
        sha256=digest,
    )


def save_checkpoint(
    path: str | os.PathLike[str],
    model: LeViT,
    *,
    labels: Iterable[str] | None = None,
    preprocessing: Preprocessing | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write safetensors: matrices in ``dtype``, vectors in float32; variant, classes and preprocessing in the header.

    ``preprocessing`` is ImageNet's for the model's size, unless another is given.

    Raises:
        CheckpointError: the number of labels is not the number of classes.
    """
    names = list(labels) if labels is not None else None
    if names is not None and len(names) != model.num_classes:
        raise CheckpointError(f"{len(names)} labels for a model with {model.num_classes} classes")
    about = {
        "format": 1,
        "variant": model.variant.name,
        "image_size": model.image_size,
        "labels": names,
        "preprocessing": (preprocessing or Preprocessing.of_size(model.image_size)).to_dict(),
    }
    tensors = {
        key: value.detach().to(dtype if value.ndim > 1 else torch.float32).contiguous()
        for key, value in model.state_dict().items()
        if not key.endswith(_DERIVED)
    }
    Path(path).write_bytes(save(tensors, metadata={_METADATA: json.dumps(about, sort_keys=True)}))


@lru_cache(maxsize=1)
def imagenet_labels() -> tuple[str, ...]:
    """Names of the 1000 ImageNet-1k classes, in the order of every public LeViT's outputs."""
    text = resources.files("levit_mobile").joinpath("data/imagenet_labels.txt").read_text("utf-8")
    return tuple(text.splitlines())


def find_file(path: str | os.PathLike[str]) -> Path:
    """The file of a checkpoint that is a file, or a folder as transformers saves it.

    Raises:
        CheckpointError: there is none.
    """
    whole = Path(path)
    if not whole.is_dir():
        if not whole.is_file():
            raise CheckpointError(f"{path}: no such file")
        return whole
    file = next((whole / n for n in ("model.safetensors", "pytorch_model.bin") if (whole / n).is_file()), None)
    if file is None:
        raise CheckpointError(f"{path}: this folder has neither a file model.safetensors nor a file pytorch_model.bin")
    return file


def _labels_beside(file: Path, path: Path) -> list[str] | None:
    """Those of the ``config.json`` in a folder, if it was a folder that was asked for."""
    if file == path:
        return None
    try:
        names = _read_config(path / "config.json").get("id2label")
        return [str(names[str(i)]) for i in range(len(names))] if names else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path / 'config.json'}: cannot be read as a model's configuration ({type(error).__name__}: {error})"
        ) from error


def _read_config(path: Path) -> Any:
    if (size := path.stat().st_size) > _LONGEST_CONFIG:
        raise ValueError(f"{size} bytes are too many")
    return json.loads(path.read_text("utf-8"))


def is_safetensors(file: Path) -> bool:
    """Whether it is one: by its first bytes, the header's length and a brace; by its name if they are not PyTorch's either."""
    with file.open("rb") as opened:
        start = opened.read(9)
    if start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER:
        return True
    return file.suffix.lower() == ".safetensors" and not start.startswith((b"PK\x03\x04", b"\x80\x02"))


def _read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if is_safetensors(file):
        try:
            with safe_open(file, framework="pt") as opened:
                about = (opened.metadata() or {}).get(_METADATA)
                tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  (no dict)
            return tensors, _own_metadata(about) if about else {}
        except (SafetensorError, ValueError) as error:
            raise CheckpointError(f"{file}: not a whole safetensors file ({error})") from error
    _refuse_bomb(file)
    try:
        # Opened here, because torch.load goes by a path's suffix. The warnings are of a pickle's protocol.
        with file.open("rb") as opened, warnings.catch_warnings(action="ignore"):
            data = torch.load(opened, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken file makes the parsers in torch.load trip over
        reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
        if isinstance(error, pickle.UnpicklingError):  # its text advises to load the file in a way that runs its code
            if "Unsupported operand" not in str(error):
                raise CheckpointError(
                    f"{file}: refused, because it holds more than tensors and loading it could run code; "
                    "save its state_dict() alone, or convert it to safetensors"
                ) from error
            reason = "not a pickle, or not one of tensors"
        raise CheckpointError(f"{file}: not a PyTorch checkpoint, or cut short ({reason})") from error
    for key in ("model", "state_dict", "model_state_dict"):
        if isinstance(data, dict) and isinstance(data.get(key), dict):
            data = data[key]
    if not isinstance(data, dict) or not all(isinstance(k, str) for k in data):
        raise CheckpointError(f"{file}: holds no state dict, but {type(data).__name__}")
    tensors = {k: v for k, v in data.items() if isinstance(v, Tensor)}
    if tensors and all(key.startswith("module.") for key in tensors):  # saved from DistributedDataParallel
        tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    return tensors, {}


def _refuse_bomb(file: Path) -> None:
    """PyTorch's archives are not compressed; one that is may unpack to a thousand times its size."""
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # whatever it is, PyTorch's own reader will say
    if size > 4 * file.stat().st_size:
        raise CheckpointError(
            f"{file}: unpacks to {size} bytes, more than four times its own; torch.save writes no such file"
        )


def _own_metadata(text: str) -> dict[str, Any]:
    about = json.loads(text)
    if not isinstance(about, dict) or about.get("format") != 1:
        raise ValueError(f"its header is not one that this version of levit-mobile reads: {text[:80]}")
    labels = about.get("labels")
    if labels is not None and not (isinstance(labels, list) and all(isinstance(name, str) for name in labels)):
        raise ValueError("its header has labels that are no list of names")
    return about


@lru_cache(maxsize=16)
def _expected(name: str, num_classes: int, distillation: bool, image_size: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):  # shapes only
        model = LeViT(VARIANTS[name], num_classes=num_classes, distillation=distillation, image_size=image_size)
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def _image_size(state: Mapping[str, Tensor]) -> int:
    table = state.get("blocks.0.m.attention_biases")
    side = round(table.shape[-1] ** 0.5) if table is not None and table.ndim == 2 else 0
    fits = table is not None and 0 < side <= _MOST_TOKENS and side * side == table.shape[-1]
    return PATCH * side if fits else 224


def _fit(
    file: Path, scheme: str, tensors: dict[str, Tensor], wanted: Variant | None
) -> tuple[Variant, dict[str, Tensor]]:
    """The variant with the fewest differences, and the state under official names; any difference is an error."""
    for key, value in tensors.items():
        if problem := _unusable(value):
            raise CheckpointError(f"{file}: {key} {problem}")
    best: tuple[int, Variant, dict[str, Tensor], list[str]] | None = None
    for variant in VARIANTS.values():
        names = rename_keys(scheme, tensors, variant)
        state = {names[k]: _as_linear(names[k], v) for k, v in tensors.items()}
        problems = _differences(state, variant)
        if best is None or len(problems) < best[0]:
            best = (len(problems), variant, state, problems)
    assert best is not None
    count, variant, state, problems = best
    if count:
        more = f", and {count - 5} more" if count > 5 else ""
        named = "; ".join(problems[:5])
        raise CheckpointError(f"{file}: does not fit {variant.name}, the nearest variant: {named}{more}")
    if wanted is not None and wanted != variant:
        raise CheckpointError(
            f"{file}: these are the weights of {variant.name}, not of {wanted.name}; leave --model out"
        )
    for key, value in state.items():
        derived = key.endswith(_DERIVED)
        if value.dtype not in _FLOATS and not (derived and value.dtype in _INTEGERS):
            better = "int64" if derived else "float32, float16 or bfloat16"
            raise CheckpointError(f"{file}: {key} holds {value.dtype}; save it as {better}")
    kept = {key: value.float() for key, value in state.items() if not key.endswith(_DERIVED)}
    for key, value in kept.items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{file}: {key} holds NaN or infinity; the training that wrote it went wrong")
        if key.endswith("running_var") and bool((value < 0).any()):
            raise CheckpointError(f"{file}: {key} holds a variance below zero; the file is damaged")
    for key, value in state.items():
        if key.endswith(_INDICES) and not torch.equal(value.long(), _indices(value)):
            raise CheckpointError(f"{file}: {key} pairs queries, keys and biases in another way than LeViT does")
    return variant, kept


def _unusable(value: Tensor) -> str | None:
    """Why there are no numbers to read in a tensor, or None."""
    if value.is_meta:
        return "has a shape, but no numbers (it is on the meta device); save the model with its weights loaded"
    if value.is_quantized:
        return f"is quantised ({value.dtype}); save the float model, the export quantises it"
    if value.is_nested or value.layout != torch.strided:
        return f"is not a dense tensor (its layout is {'nested' if value.is_nested else value.layout}); save it dense"
    return None


def _indices(like: Tensor) -> Tensor:
    """What an ``attention_bias_idxs`` of this shape, (queries, keys), must hold."""
    queries, keys = like.shape
    return bias_offsets(math.isqrt(keys), 1 if queries == keys else 2)[1]


def _as_linear(key: str, value: Tensor) -> Tensor:
    """timm's ``levit_conv_*`` has 1x1 convolutions where the others have Linears; the numbers are the same."""
    if key.startswith("blocks.") and value.ndim == 4 and value.shape[2:] == (1, 1):
        return value[:, :, 0, 0]
    return value


def _differences(state: Mapping[str, Tensor], variant: Variant) -> list[str]:
    head = next((state[key] for key in ("head.l.weight", "head.l.bias") if key in state and state[key].ndim), None)
    # A head without classes is misshapen, and so is one that takes any memory there is.
    classes = min(max(1, head.size(0)), _MOST_CLASSES) if head is not None else 1000
    second = any(key.startswith("head_dist.") for key in state)
    expected = _expected(variant.name, classes, second, _image_size(state))
    problems = [f"{key} is missing" for key in expected if key not in state and not key.endswith(_DERIVED)]
    problems += [f"{key} is left over" for key in state if key not in expected]
    problems += [
        f"{key} has the shape {tuple(value.shape)}, expected {expected[key]}"
        for key, value in state.items()
        if key in expected and tuple(value.shape) != expected[key]
    ]
    return problems


def _labels(file: Path, metadata: dict[str, Any], labels: list[str] | None, num_classes: int) -> tuple[str, ...] | None:
    names = labels if metadata.get("labels") is None else metadata["labels"]
    if names is None:
        return imagenet_labels() if num_classes == 1000 else None
    if len(names) != num_classes:
        raise CheckpointError(f"{file}: names {len(names)} classes, but its heads have {num_classes}")
    return tuple(str(name) for name in names)


def _preprocessing(file: Path, metadata: dict[str, Any], scheme: str, image_size: int) -> Preprocessing:
    if "preprocessing" in metadata:
        try:
            return Preprocessing.from_dict(metadata["preprocessing"])
        except ValueError as error:
            raise CheckpointError(f"{file}: {error}") from error
    config = file.with_name("preprocessor_config.json")
    if scheme != "huggingface" or not os.path.lexists(config):
        return Preprocessing.of_size(image_size)
    hint = "correct it, or move it away if pictures should go through ImageNet's preprocessing"
    try:
        data = _read_config(config)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{config}: cannot be read ({error}); {hint}") from error
    try:
        return Preprocessing.from_huggingface(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{config}: {error}; {hint}") from error
