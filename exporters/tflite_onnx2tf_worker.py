"""ONNX -> TFLite by onnx2tf. A program for the Python of onnx2tf's own environment: nothing of ours is imported here.

    python -I tflite_onnx2tf_worker.py model.onnx model.tflite nhwc

In the working folder lie the pictures by which onnx2tf tells its axes apart; without them it would download some.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

__all__ = ["main"]


def _refuse_connections(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        where = arguments[0 if event == "socket.getaddrinfo" else -1]
        raise ConnectionError(f"onnx2tf wanted to download something ({where}), which it must not")


def main(source: str, target: str, layout: str) -> None:
    """Translate the file ``source`` with the input ``image``, (1, 3, S, S); the result takes it in ``layout``."""
    sys.addaudithook(_refuse_connections)
    onnx2tf, tensorflow = import_module("onnx2tf"), import_module("tensorflow")
    model = onnx2tf.convert(
        input_onnx_file_path=source,
        disable_model_save=True,  # neither a SavedModel nor a float16 file, which take as long again
        not_use_onnxsim=True,
        not_use_opname_auto_generate=True,  # they have names
        keep_ncw_or_nchw_or_ncdhw_input_names=["image"] if layout == "nchw" else None,
        verbosity="warn",
    )
    Path(target).write_bytes(tensorflow.lite.TFLiteConverter.from_keras_model(model).convert())


if __name__ == "__main__":
    main(*sys.argv[1:])
