"""Train or fine-tune a LeViT on an image folder, at growing resolution, with or without a teacher.

From scratch, as the bundled checkpoint was made:

    python tools/teach.py --data DIR/train --out teacher.npz
    python tools/train.py --data DIR/train --val DIR/val --teacher teacher.npz --out demo.safetensors

Fine-tune any checkpoint that the toolkit reads on your own classes (one folder a class):

    python tools/train.py --weights LeViT-128S-96703c44.pth --data DIR/train --val DIR/val \\
        --schedule 224:10 --lr 2e-4 --out mine.safetensors

With int8's rounding in it (see qat.py), for a checkpoint that loses too much when it is quantised:

    python tools/train.py --qat --weights mine.safetensors --data DIR/train --val DIR/val \\
        --schedule 224:3 --lr 5e-5 --out mine-qat.safetensors

The state is saved after every epoch beside ``--out``; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from augment import jitter, mix
from qat import Rounding, freeze_statistics
from torch import Tensor, nn
from training_set import TrainingSet, batches, read
from views import has_bfloat16

from calib.pictures import load_calibration_set
from levit_mobile.checkpoints import save_checkpoint
from levit_mobile.model import LeViT
from levit_mobile.preprocess import IMAGENET, Preprocessing, normalise, resize_and_crop
from levit_mobile.resize import resize_model
from levit_mobile.variants import get_variant
from levit_mobile.weights import resolve_weights

EMA_EVERY = 4  # steps


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


@torch.no_grad()
def average(ema: nn.Module, student: nn.Module, decay: float, count: int) -> None:
    """Move ``ema`` towards ``student``, faster in the first steps: ``count`` averages were taken before."""
    decay = min(decay, (count + 1) / (count + 10))
    for kept, now in zip(ema.state_dict().values(), student.state_dict().values(), strict=True):
        kept.lerp_(now, 1 - decay) if kept.is_floating_point() else kept.copy_(now)


def targets_of(labels: Tensor, told: Tensor | None, classes: int, rows: list[int] | None, heads: int) -> list[Tensor]:
    """What each head should say, as probabilities: labels (smoothed), the teacher's among our classes, all of the teacher's."""
    truth = F.one_hot(labels, classes).float() * 0.9 + 0.1 / classes
    if told is None:
        return [truth] * heads
    ours = truth if rows is None else told[:, rows].softmax(1)
    return [*[truth, ours][:heads], told.softmax(1)]


def preprocessing_for(size: int, like: Preprocessing) -> Preprocessing:
    """As ``like``, but for pictures of ``size`` pixels; the margin around the crop keeps its share."""
    return replace(like, resize=round(size * like.resize / like.crop), crop=size)


@torch.inference_mode()
def accuracy(model: LeViT, data: TrainingSet, spec: Preprocessing, batch: int = 64) -> float:
    """Top-1, with pictures preprocessed as at inference."""
    model.eval()
    device, right = model.head.l.weight.device, 0
    for first in range(0, len(data.pictures), batch):
        pixels = np.stack([resize_and_crop(picture, spec) for picture in data.pictures[first : first + batch]])
        said = model(torch.from_numpy(normalise(pixels, spec)).to(device)).argmax(1).cpu()
        right += int((said == data.labels[first : first + batch]).sum())
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


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="training pictures, one folder a class")
    parser.add_argument("--val", type=Path, help="pictures to measure on, the same folders")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint to write (.safetensors)")
    parser.add_argument("--teacher", type=Path, help="what teach.py wrote")
    parser.add_argument("--weights", help="start from this checkpoint; default: from scratch")
    parser.add_argument("--qat", action="store_true", help="round as int8 does while training; needs --weights")
    parser.add_argument("--variant", default="levit_128s")
    parser.add_argument("--schedule", default="112:140,160:60,224:15", help="size:epochs,...")
    parser.add_argument("--labels", type=Path, help="names of the classes, one a line; default: the folders' names")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--warm-up", type=float, default=3, help="epochs in which the learning rate rises")
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument(
        "--ema", type=float, default=0.998, help="decay of the averaged weights, which are what is saved"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default: a GPU where there is one"
    )
    parser.add_argument(
        "--float32", action="store_true", help="never bfloat16 products, which are used where the device has them"
    )
    args = parser.parse_args()
    if args.qat and not args.weights:
        raise SystemExit("--qat goes on from trained weights; type --weights FILE too")
    return args


def read_labels(path: Path | None, classes: list[str]) -> list[str]:
    if path is None:
        return classes
    names = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    if len(names) != len(classes):
        raise SystemExit(f"{path} names {len(names)} classes, the training set has {len(classes)}")
    return names


@dataclass
class Run:
    """What training changes, and the file that it is kept in between epochs.

    ``about`` tells one run from another; a state that another run left is not taken over.
    """

    student: Student
    ema: Student
    file: Path
    about: dict[str, Any]
    weight_decay: float
    optimizer: torch.optim.AdamW | None = None
    done: int = 0
    seconds: float = 0.0

    def resume(self, device: torch.device) -> None:
        if not self.file.exists():
            return
        state = torch.load(self.file, map_location=device, weights_only=True)
        differ = [name for name, value in self.about.items() if state["about"].get(name) != value]
        if differ:
            raise SystemExit(
                f"{self.file} is another run's (other {', '.join(differ)}); remove it or type another --out"
            )
        self.optimizer = grow(self.student, self.ema, state["size"], self.weight_decay, None)
        self.student.load_state_dict(state["student"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"].cpu())
        self.done, self.seconds = state["done"], state["seconds"]
        print(f"going on after epoch {self.done}", flush=True)

    def at_size(self, size: int) -> torch.optim.AdamW:
        if self.optimizer is None or self.student.levit.image_size != size:
            self.optimizer = grow(self.student, self.ema, size, self.weight_decay, self.optimizer)
            self.student.to(memory_format=torch.channels_last)
        return self.optimizer

    def save(self) -> None:
        assert self.optimizer is not None
        partial = self.file.with_suffix(".partial")
        torch.save(
            {
                "about": self.about,
                "done": self.done,
                "seconds": self.seconds,
                "size": self.student.levit.image_size,
                "student": self.student.state_dict(),
                "ema": self.ema.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "rng": torch.get_rng_state(),
            },
            partial,
        )
        partial.replace(self.file)


def main() -> None:
    args = parse_arguments()
    torch.manual_seed(args.seed)
    schedule = parse_schedule(args.schedule)
    data, classes = read(args.data, teacher=args.teacher)
    val = read(args.val, classes)[0] if args.val else None
    labels, rows = read_labels(args.labels, classes), teacher_rows(classes)
    steps = len(data.pictures) // args.batch
    if not steps:
        fits = max(2, len(data.pictures) // 2)
        raise SystemExit(f"{args.data} has {len(data.pictures)} pictures, fewer than a batch; type --batch {fits}")
    spec = IMAGENET
    if args.weights:
        start = resolve_weights(args.weights)
        levit, spec = start.model_for(len(classes)), start.preprocessing
    else:
        levit = LeViT(get_variant(args.variant), num_classes=len(classes), image_size=schedule[0][0])
    device = torch.device(args.device)
    # bfloat16 has as few bits as int8, whose rounding would drown in its own.
    narrow = not (args.float32 or args.qat) and (has_bfloat16() if device.type == "cpu" else True)
    student = Student(levit, args.teacher is not None).to(device, memory_format=torch.channels_last)
    if args.qat and {size for size, _ in schedule} != {levit.image_size}:
        raise SystemExit(
            f"--qat stays at the checkpoint's {levit.image_size} pixels; type --schedule {levit.image_size}:3"
        )
    about = {
        "variant": levit.variant.name,
        "classes": classes,
        "pictures": len(data.pictures),
        "weights": start.sha256 if args.weights else None,
        "qat": args.qat,
    }
    run = Run(student, copy.deepcopy(student), args.out.with_suffix(".state"), about, args.weight_decay)
    run.resume(device)
    rounding = Rounding(student.levit) if args.qat else None
    shown = load_calibration_set(args.data, spec) if args.qat else None

    sizes = [size for size, epochs in schedule for _ in range(epochs)]
    total = len(sizes)
    cost = np.cumsum([0] + [size**2 for size in sizes])  # the learning rate falls with the work done, not with epochs
    for epoch in range(run.done, total):
        began, size = time.monotonic(), sizes[epoch]
        optimizer = run.at_size(size)
        if rounding is not None and shown is not None:
            rounding.measure(shown, spec)
        student.train()
        if rounding is not None:
            freeze_statistics(student)
        losses = []
        for step, (pixels, truth, told) in enumerate(batches(data, size, args.batch, epoch, args.seed)):
            at = epoch + step / steps
            worked = float(np.interp(at, range(total + 1), cost)) / cost[-1]
            warm = min(1, (at + 0.01) / args.warm_up)
            for group in optimizer.param_groups:
                group["lr"] = args.lr * warm * (0.5 + 0.5 * math.cos(math.pi * worked)) + 1e-6
            heads = 2 if student.levit.distillation else 1
            told = None if told is None else told.to(device)
            wanted = targets_of(truth.to(device), told, len(classes), rows, heads)
            x, wanted = mix(jitter(pixels.to(device), spec), wanted)
            with torch.autocast(device.type, torch.bfloat16, enabled=narrow):
                said = student(x)
            loss = torch.stack([cross_entropy(s.float(), w) for s, w in zip(said, wanted, strict=True)]).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(student.parameters(), 5.0)
            optimizer.step()
            losses.append(loss.item())
            if not math.isfinite(losses[-1]):
                raise SystemExit(f"the loss is {losses[-1]} in epoch {epoch + 1}; try a lower --lr")
            if step % EMA_EVERY == EMA_EVERY - 1 or step == steps - 1:
                average(run.ema, student, args.ema**EMA_EVERY, (epoch * steps + step) // EMA_EVERY)
        took = time.monotonic() - began
        line = f"epoch {epoch + 1}/{total} at {size}: loss {np.mean(losses):.3f}, {took:.0f} s"
        if val is not None and ((epoch + 1) % 5 == 0 or epoch + 1 == total or sizes[epoch + 1] != size):
            line += f", top-1 {accuracy(run.ema.levit, val, preprocessing_for(size, spec)):.4f}"
        print(line, flush=True)
        run.done, run.seconds = epoch + 1, run.seconds + took
        run.save()

    levit = run.ema.levit.cpu().eval()
    save_checkpoint(args.out, levit, labels=labels, preprocessing=preprocessing_for(levit.image_size, spec))
    print(f"wrote {args.out} after {run.seconds / 60:.0f} minutes")


if __name__ == "__main__":
    main()
