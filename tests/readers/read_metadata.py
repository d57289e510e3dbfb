"""What Google's own reader finds in a .tflite, as JSON; runs in an environment of its own.

read_metadata.py MODEL [PICTURE]   with a picture (PNG or JPEG), also what its ImageClassifier says of it
"""

from __future__ import annotations

import ctypes
import json
import sys
from importlib import resources

# The package's C++ wants libusb, which a bare machine does not have; PyPI has it.
ctypes.CDLL(str(resources.files("libusb_package") / "libusb-1.0.so"), mode=ctypes.RTLD_GLOBAL)

from tflite_support import metadata  # noqa: E402


def classify(model: str, picture: str) -> list[tuple[str, float]]:
    from tflite_support.task import core, processor, vision

    options = vision.ImageClassifierOptions(
        base_options=core.BaseOptions(file_name=model),
        classification_options=processor.ClassificationOptions(max_results=3),
    )
    result = vision.ImageClassifier.create_from_options(options).classify(vision.TensorImage.create_from_file(picture))
    return [(row.category_name, row.score) for row in result.classifications[0].categories]


def main() -> None:
    shown = metadata.MetadataDisplayer.with_model_file(sys.argv[1])
    about = json.loads(shown.get_metadata_json())
    (graph,) = about["subgraph_metadata"]
    (image,), (scores,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    (labels,) = scores["associated_files"]
    told = {
        "name": about["name"],
        "normalization": image["process_units"][0]["options"],
        "color_space": image["content"]["content_properties"]["color_space"],
        "labels_kind": labels["type"],
        "labels": shown.get_associated_file_buffer(labels["name"]).decode().splitlines(),
        "packed": shown.get_packed_associated_file_list(),
    }
    if len(sys.argv) > 2:
        told["classes"] = classify(sys.argv[1], sys.argv[2])
    print(json.dumps(told))


if __name__ == "__main__":
    main()
