"""Logits of a .tflite for its golden inputs by tflite-runtime alone, as JSON: with XNNPACK, and with TFLite's own kernels.

run_model.py MODEL GOLDEN
"""

from __future__ import annotations

import json
import sys

import numpy as np
from tflite_runtime.interpreter import Interpreter, OpResolverType

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


def logits(model: str, pixels: np.ndarray, resolver: OpResolverType) -> list[list[float]]:
    interpreter = Interpreter(model_path=model, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for picture in pixels:
        interpreter.set_tensor(image["index"], (((picture / 255 - MEAN) / STD)[None]).astype(np.float32))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(scores["index"])[0].tolist())
    return rows


def main() -> None:
    pixels = np.load(sys.argv[2])["pixels"]
    kinds = {"xnnpack": OpResolverType.AUTO, "plain": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
    print(json.dumps({name: logits(sys.argv[1], pixels, kind) for name, kind in kinds.items()}))


if __name__ == "__main__":
    main()
