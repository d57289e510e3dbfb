from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from levit_mobile.bench.onboard.events import RefusedError
from levit_mobile.bench.onboard.models import check, feed
from levit_mobile.preprocess import IMAGENET, normalise

SPEC = {"mean": list(IMAGENET.mean), "std": list(IMAGENET.std)}
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)


@pytest.mark.parametrize(("shape", "axes"), [((1, 3, 8, 8), (0, 1, 2, 3)), ((1, 8, 8, 3), (0, 2, 3, 1))])
def test_float_inputs_are_the_librarys_to_the_last_bit(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    fed = feed(PIXELS, SimpleNamespace(dtype="float32", shape=shape), SPEC)
    assert fed.flags.c_contiguous
    assert np.array_equal(fed, normalise(PIXELS[None], IMAGENET).transpose(axes))


def test_whole_numbers_are_pixels() -> None:
    fed = feed(PIXELS, SimpleNamespace(dtype="uint8", shape=(1, 8, 8, 3)), SPEC)
    assert np.array_equal(fed[0], PIXELS)
    shifted = feed(PIXELS, SimpleNamespace(dtype="int8", shape=(1, 3, 8, 8)), SPEC)
    assert shifted.dtype == np.int8
    assert np.array_equal(shifted[0].astype(int) + 128, PIXELS.transpose(2, 0, 1))


def test_a_file_is_what_was_sent_or_not(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc" * 1_000_000)
    check(str(file), hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(RefusedError, match="is not what was sent") as raised:
        check(str(file), "0" * 64)
    assert raised.value.code == "corrupt"
    with pytest.raises(RefusedError, match="No such file"):
        check(str(tmp_path / "b"), "0" * 64)
