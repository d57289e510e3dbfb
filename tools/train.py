"""Train or fine-tune a LeViT on an image folder, at growing resolution, with or without a teacher.

From scratch, as the bundled checkpoint was made:

    python tools/teach.py --data DIR/train --out teacher.npz
    python tools/train.py --data DIR/train --val DIR/val --teacher teacher.npz --out demo.safetensors

Fine-tune any checkpoint that the toolkit reads on your own classes (one folder a class):

    python tools/train.py --weights LeViT-128S-96703c44.pth --data DIR/train --val DIR/val \\
        --schedule 224:10 --lr 2e-4 --out mine.safetensors

The state is saved after every epoch beside ``--out``; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from views import crop, crop_box, list_pictures, load_picture

from levit_mobile.checkpoints import save_checkpoint
from levit_mobile.model import LeViT
from levit_mobile.preprocess import IMAGENET
from levit_mobile.resize import resize_model
from levit_mobile.variants import get_variant
from levit_mobile.weights import resolve_weights

MEAN = torch.tensor(IMAGENET.mean).view(1, 3, 1, 1)
STD = torch.tensor(IMAGENET.std).view(1, 3, 1, 1)


@dataclass
class Pictures:
    """Decoded pictures, their classes, and what the teacher said of its crops (None: nobody was asked)."""

    pictures: list[Image.Image]
    labels: Tensor
    boxes: np.ndarray | None = None
    answers: np.ndarray | None = None


def read(folder: Path, classes: list[str] | None = None, teacher: Path | None = None) -> tuple[Pictures, list[str]]:
    paths, labels, names = list_pictures(folder)
    if classes is not None and names != classes:
        raise SystemExit(f"{folder} has the classes {names}, the training set {classes}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        data = Pictures(list(pool.map(load_picture, paths)), torch.tensor(labels))
    if teacher is not None:
        told = np.load(teacher)
        if len(told["logits"]) != len(paths):
            raise SystemExit(f"{teacher} was made from {len(told['logits'])} pictures, {folder} has {len(paths)}")
        data.boxes, data.answers = told["boxes"], told["logits"]
    return data, names


def batches(
    data: Pictures, size: int, batch: int, epoch: int, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """(uint8 (B, 3, S, S), labels (B,), the teacher's logits (B, 1000) or None), cropped by other threads ahead of use."""
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(data.pictures))
    order = order[: len(order) // batch * batch].reshape(-1, batch)
    views = rng.integers(1 << 30, size=order.shape)
    flips = rng.random(order.shape) < 0.5
    ready: queue.Queue[tuple[Tensor, Tensor, Tensor | None] | None] = queue.Queue(4)

    def make(index: int, view: int, flip: bool) -> np.ndarray:
        picture = data.pictures[index]
        if data.boxes is None:
            box = crop_box(picture.size, (0.25, 1.0), (seed, index, view))
        else:
            box = tuple(data.boxes[index, view % data.boxes.shape[1]].tolist())
        pixels = crop(picture, box, size)
        return pixels[:, ::-1] if flip else pixels

    def produce() -> None:
        with ThreadPoolExecutor(2) as pool:
            for row, view, flip in zip(order, views, flips, strict=True):
                pixels = np.stack(list(pool.map(make, row.tolist(), view.tolist(), flip.tolist())))
                told = None
                if data.answers is not None:
                    told = torch.from_numpy(data.answers[row, view % data.answers.shape[1]]).float()
                ready.put((torch.from_numpy(pixels).permute(0, 3, 1, 2), data.labels[torch.from_numpy(row)], told))
        ready.put(None)

    threading.Thread(target=produce, daemon=True).start()
    while (item := ready.get()) is not None:
        yield item


def normalise(pixels: Tensor) -> Tensor:
    x = (pixels.float() / 255 - MEAN) / STD
    return x.contiguous(memory_format=torch.channels_last)


def jitter(x: Tensor) -> Tensor:
    """Brightness, contrast and saturation of each picture, up to 30 % either way; x is normalised, (B, 3, S, S)."""

    def factor() -> Tensor:
        return torch.empty(len(x), 1, 1, 1).uniform_(0.7, 1.3)

    grey, level = x.mean(1, keepdim=True), x.mean((1, 2, 3), keepdim=True)
    x = grey + (x - grey) * factor()
    return (x - level) * factor() + level + (factor() - 1)


def _beta(a: float) -> float:
    return float(torch.distributions.Beta(a, a).sample())


def mix(x: Tensor, targets: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """For half of the batches mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019); targets are probabilities."""
    dice = torch.rand(()).item()
    if dice > 0.5:
        return x, targets
    other = torch.randperm(len(x))
    if dice < 0.25:
        keep = _beta(0.8)
        x = x * keep + x[other] * (1 - keep)
    else:
        size = x.shape[-1]
        side = round(size * math.sqrt(1 - _beta(1.0)))
        top, left = (int(v) for v in torch.randint(0, size - side + 1, (2,)))
        x = x.clone()
        x[:, :, top : top + side, left : left + side] = x[other][:, :, top : top + side, left : left + side]
        keep = 1 - (side / size) ** 2
    return x, [t * keep + t[other] * (1 - keep) for t in targets]


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return -(target * logits.log_softmax(1)).sum(1).mean()


class Student(nn.Module):
    """LeViT and, for training only, a third head that tells what the teacher sees among its own 1000 classes."""

    def __init__(self, levit: LeViT, taught: bool) -> None:
        super().__init__()
        self.levit = levit
        self.wide = nn.Linear(levit.variant.channels[2], 1000) if taught else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        features = self.levit.features(x)
        heads = self.levit.classify(features)
        heads = heads if isinstance(heads, tuple) else (heads,)
        return heads if self.wide is None else (*heads, self.wide(features))


def targets_of(labels: Tensor, told: Tensor | None, classes: int, rows: list[int] | None, heads: int) -> list[Tensor]:
    """What each head should say, as probabilities: labels (smoothed), the teacher's among our classes, all of the teacher's."""
    truth = F.one_hot(labels, classes).float() * 0.9 + 0.1 / classes
    if told is None:
        return [truth] * heads
    ours = truth if rows is None else told[:, rows].softmax(1)
    return [*[truth, ours][:heads], told.softmax(1)]


@torch.inference_mode()
def accuracy(model: LeViT, data: Pictures, batch: int = 64) -> float:
    """Top-1 at the model's own resolution, preprocessed as at inference (resize, centre crop)."""
    model.eval()
    size, right = model.image_size, 0
    whole = round(size * 256 / 224)
    for first in range(0, len(data.pictures), batch):
        rows = []
        for picture in data.pictures[first : first + batch]:
            scale = whole / min(picture.size)
            w, h = (round(side * scale) for side in picture.size)
            small = picture.resize((w, h), Image.Resampling.BICUBIC)
            left, top = (w - size) // 2, (h - size) // 2
            rows.append(np.asarray(small.crop((left, top, left + size, top + size))))
        x = normalise(torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2))
        right += int((model(x).argmax(1) == data.labels[first : first + batch]).sum())
    return right / len(data.pictures)


def teacher_rows(classes: list[str]) -> list[int] | None:
    """Which of the teacher's ImageNet outputs are our classes; known when folders are named by WordNet id."""
    known: dict[str, int] = json.loads((Path(__file__).parent / "imagenet_rows.json").read_text())
    return [known[name] for name in classes] if all(name in known for name in classes) else None


def optimizer_for(student: Student, weight_decay: float) -> torch.optim.AdamW:
    decay, plain = [], []
    for name, p in student.named_parameters():
        (plain if p.ndim < 2 or "attention_biases" in name else decay).append(p)
    groups = [{"params": decay, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, fused=True)


def parse_schedule(text: str) -> list[tuple[int, int]]:
    stages = [(int(size), int(epochs)) for size, epochs in (part.split(":") for part in text.split(","))]
    for size, _ in stages:
        if size % 16:
            raise SystemExit(f"--schedule: {size} is not a multiple of 16")
    return stages


def grow(
    student: Student, ema: Student, size: int, weight_decay: float, old: torch.optim.AdamW | None
) -> torch.optim.AdamW:
    """Both to another resolution, in place; Adam's moments stay where the shapes do."""
    moments: dict[str, dict[str, Tensor]] = {}
    if old is not None:
        moments = {name: old.state[p] for name, p in student.named_parameters() if p in old.state}
    for net in (student, ema):
        net.levit = resize_model(net.levit, size)
    optimizer = optimizer_for(student, weight_decay)
    for name, p in student.named_parameters():
        if name in moments and moments[name]["exp_avg"].shape == p.shape:
            optimizer.state[p] = moments[name]
    return optimizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="training pictures, one folder a class")
    parser.add_argument("--val", type=Path, help="pictures to measure on, the same folders")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint to write (.safetensors)")
    parser.add_argument("--teacher", type=Path, help="what teach.py wrote")
    parser.add_argument("--weights", help="start from this checkpoint; default: from scratch")
    parser.add_argument("--variant", default="levit_128s")
    parser.add_argument("--schedule", default="112:44,160:18,224:5", help="size:epochs,...")
    parser.add_argument("--labels", type=Path, help="names of the classes, one a line; default: the folders' names")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument(
        "--ema", type=float, default=0.998, help="decay of the averaged weights, which are what is saved"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-compile", action="store_true", help="do not use torch.compile")
    args = parser.parse_args()
    torch.manual_seed(args.seed)

    schedule = parse_schedule(args.schedule)
    data, classes = read(args.data, teacher=args.teacher)
    val = read(args.val, classes)[0] if args.val else None
    rows = teacher_rows(classes)
    if args.weights:
        levit = resolve_weights(args.weights).model_for(len(classes))
    else:
        levit = LeViT(get_variant(args.variant), num_classes=len(classes), image_size=schedule[0][0])
    student = Student(levit, args.teacher is not None)
    ema = copy.deepcopy(student)
    optimizer: torch.optim.AdamW | None = None
    state_file = args.out.with_suffix(".state")
    done, spent = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        done, spent = state["done"], state["seconds"]
        optimizer = grow(student, ema, state["size"], args.weight_decay, None)
        student.load_state_dict(state["student"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        print(f"going on after epoch {done}", flush=True)

    steps = len(data.pictures) // args.batch
    total = sum(epochs for _, epochs in schedule)
    sizes = [size for size, epochs in schedule for _ in range(epochs)]
    fast: nn.Module | None = None
    for epoch in range(done, total):
        began, size = time.monotonic(), sizes[epoch]
        if optimizer is None or student.levit.image_size != size:
            optimizer, fast = grow(student, ema, size, args.weight_decay, optimizer), None
        if fast is None:
            student.to(memory_format=torch.channels_last)
            fast = student if args.no_compile else torch.compile(student)
        student.train()
        losses = []
        for step, (pixels, labels, told) in enumerate(batches(data, size, args.batch, epoch, args.seed)):
            at = epoch + step / steps
            rate = args.lr * min(1, (at + 0.01) / 3) * (0.5 + 0.5 * math.cos(math.pi * at / total)) + 1e-6
            for group in optimizer.param_groups:
                group["lr"] = rate
            heads = 2 if student.levit.distillation else 1
            x, wanted = mix(jitter(normalise(pixels)), targets_of(labels, told, len(classes), rows, heads))
            said = fast(x)
            loss = torch.stack([cross_entropy(s, w) for s, w in zip(said, wanted, strict=True)]).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 5.0)
            optimizer.step()
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise SystemExit(f"the loss is {losses[-1]} in epoch {epoch + 1}; try a lower --lr")
            decay = min(args.ema, (epoch * steps + step + 1) / (epoch * steps + step + 10))
            with torch.no_grad():
                for kept, now in zip(ema.state_dict().values(), student.state_dict().values(), strict=True):
                    kept.lerp_(now, 1 - decay) if kept.is_floating_point() else kept.copy_(now)
        spent += time.monotonic() - began
        line = f"epoch {epoch + 1}/{total} at {size}: loss {np.mean(losses):.3f}, {time.monotonic() - began:.0f} s"
        if val is not None and ((epoch + 1) % 5 == 0 or epoch + 1 == total or sizes[epoch + 1] != size):
            line += f", top-1 {accuracy(ema.levit, val):.4f}"
        print(line, flush=True)
        partial = state_file.with_suffix(".partial")
        torch.save(
            {
                "done": epoch + 1,
                "seconds": spent,
                "size": size,
                "student": student.state_dict(),
                "ema": ema.state_dict(),
                "optimizer": optimizer.state_dict(),
                "rng": torch.get_rng_state(),
            },
            partial,
        )
        partial.replace(state_file)

    labels = args.labels.read_text().split("\n")[: len(classes)] if args.labels else classes
    save_checkpoint(args.out, ema.levit.eval(), labels=labels, preprocessing=IMAGENET)
    print(f"wrote {args.out} after {spent / 60:.0f} minutes")


if __name__ == "__main__":
    main()
