"""Core ML packages: small ones made by hand, and what is in any of them, read without our runtime."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

DATA = "Data/com.apple.CoreML"
MODEL, WEIGHTS, MANIFEST = f"{DATA}/model.mlmodel", f"{DATA}/weights/weight.bin", "Manifest.json"


@lru_cache(maxsize=1)
def coremltools() -> Any:
    """The package; it warns and logs when it is imported, and on every conversion."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            import coremltools as tools
            from coremltools.converters import mil  # noqa: F401
        finally:
            logging.disable(logging.NOTSET)
    return tools


def read_spec(package: Path) -> Any:
    """The protobuf in a package."""
    return coremltools().proto.Model_pb2.Model.FromString((package / MODEL).read_bytes())


def change_spec(package: Path, change: Callable[[Any], Any]) -> Path:
    """Write the protobuf anew with something changed."""
    spec = read_spec(package)
    change(spec)
    (package / MODEL).write_bytes(spec.SerializeToString())
    return package


def make_package(path: Path, body: Callable[[Any, Any], Any], *, size: int = 8) -> Path:
    """An ML program that takes a picture: ``body(builder, image)`` gives its output, from (1, 3, size, size), float32.

    Nothing is optimised: the operators are those that ``body`` asked for.
    """
    tools = coremltools()
    builder, shape = tools.converters.mil.Builder, (1, 3, size, size)

    @builder.program(input_specs=[builder.TensorSpec(shape=shape)], opset_version=tools.target.iOS17)  # type: ignore[untyped-decorator]
    def program(image: Any) -> Any:
        return body(builder, image)

    picture = tools.ImageType(name="image", shape=shape, color_layout=tools.colorlayout.RGB)
    picture.channel_first = True
    program.functions["main"].input_types = [picture]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            model = tools.convert(
                program,
                convert_to="mlprogram",
                minimum_deployment_target=tools.target.iOS17,
                compute_precision=tools.precision.FLOAT32,
                pass_pipeline=tools.PassPipeline.EMPTY,
                skip_model_load=True,
            )
            model.save(str(path))
        finally:
            logging.disable(logging.NOTSET)
    return path


def copy_package(package: Path, to: Path) -> Path:
    """To be damaged."""
    return Path(shutil.copytree(package, to / "copy.mlpackage"))
