"""What is compared: a table of rows, and how each one's artifact is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from peers_networks import NETWORKS

from levit_mobile.variants import VARIANTS

OWN = "this toolkit"


@dataclass(frozen=True)
class Row:
    """One artifact.

    Attributes:
        network: a key of ``NETWORKS``.
        tool: what made it, and runs it where that is told apart.
        precision: ``fp32``, ``fp16``, ``int8`` or ``int8-dynamic``.
        runtime: a key of ``peers_inside.PACKAGES``, or ``executorch``.
        maker: in ``peers_makers`` or ``peers_others``; empty for this toolkit's export, and for a file that is given.
        note: what there is to know about it.
    """

    network: str
    tool: str
    precision: str
    runtime: str
    maker: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """For example ``LeViT-128S, ONNX Runtime int8``."""
        return f"{NETWORKS[self.network].title}, {self.tool} {self.precision}"


_POOLED = "pnnx takes no slice with a step; every other token is by a max-pool of one pixel and stride 2"
_BY_HAND = "int8 weights written by peers_ncnn_int8.py, for the wheel has no quantiser"
_HALF = "the fp32 file, computed in fp16 where the processor can"
_FLOAT_PARTS = "what is float: in fp16 where the processor can"
_MIXED = "on LiteRT; every operator that the recipe knows"
_QUANTISER = "of MNN's own quantiser"
_ONE = "one intra-op thread, no spinning, sequential"
_OTHERS: tuple[tuple[str, str, str, str, str], ...] = (
    ("litert-torch", "fp32", "tflite", "litert-torch", "on LiteRT"),
    ("ai-edge-quantizer static_wi8_ai8", "int8", "tflite", "static_wi8_ai8", _MIXED),
    ("ai-edge-quantizer dynamic_wi8_afp32", "int8-dynamic", "tflite", "dynamic_wi8_afp32", "on LiteRT"),
    ("onnx2tf", "fp32", "tflite", "onnx2tf", "on LiteRT"),
    ("onnx2tf", "int8", "tflite", "onnx2tf-int8", "on LiteRT; its full integer quantisation"),
    ("ExecuTorch", "fp32", "executorch", "executorch", "XNNPACK, the official form"),
    ("ExecuTorch XNNPACKQuantizer", "int8", "executorch", "executorch-int8", "XNNPACK, the official form"),
    ("ONNX Runtime", "fp32", "onnx", "onnx", _ONE),
    ("ONNX Runtime", "int8", "onnx", "onnx-static", f"QDQ, static, weights per channel; {_ONE}"),
    ("ONNX Runtime", "int8-dynamic", "onnx", "onnx-dynamic", _ONE),
    ("ncnn", "fp32", "ncnn", "ncnn", _POOLED),
    ("ncnn", "fp16", "ncnn-fp16", "ncnn", f"the fp32 file, fp16 storage and arithmetic allowed; {_POOLED}"),
    ("ncnn", "int8", "ncnn", "ncnn-int8", f"{_BY_HAND}; {_POOLED}"),
    ("MNN", "fp32", "mnn", "mnn", ""),
    ("MNN", "fp16", "mnn-fp16", "mnn", _HALF),
    ("MNN", "int8", "mnn", "mnn-int8", _QUANTISER),
    ("OpenVINO", "fp32", "openvino", "openvino", ""),
    ("OpenVINO", "fp16", "openvino-fp16", "openvino", _HALF),
    ("OpenVINO", "int8", "openvino", "openvino-int8", "NNCF, post-training, told that it is a transformer"),
)
_BOTH = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
_FLOAT = ("efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "deit_tiny", "deit_small")


def rows() -> Iterator[Row]:
    """All of them, as the page has them."""
    for variant in VARIANTS:
        for title, runtime in (("TFLite", "tflite"), ("ExecuTorch", "executorch")):
            for precision in ("fp32", "fp16", "int8"):
                note = _FLOAT_PARTS if runtime == "tflite" and precision != "fp32" else ""
                yield Row(variant, f"{OWN}, {title}", precision, runtime, note=note)
    for tool, precision, runtime, maker, note in _OTHERS:
        yield Row("levit_128s", tool, precision, runtime, maker, note)
    yield Row(
        "mobilenet_v2", "TensorFlow", "int8", "tflite", note="on LiteRT; TensorFlow's own file, given with --mobilenet"
    )
    for network in _BOTH:
        yield Row(network, "litert-torch", "fp32", "tflite", "litert-torch", "on LiteRT")
        yield Row(network, "ai-edge-quantizer static_wi8_ai8", "int8", "tflite", "static_wi8_ai8", _MIXED)
    for network in _FLOAT:
        yield Row(network, "litert-torch", "fp32", "tflite", "litert-torch", "on LiteRT")
