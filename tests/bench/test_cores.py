from __future__ import annotations

import pytest

from levit_mobile.bench.cores import core_name, with_core


@pytest.mark.parametrize(
    ("midr", "name"),
    [
        ("0x00000000414fd0b1", "Cortex-A76"),  # Raspberry Pi 5
        ("0x00000000410fd083", "Cortex-A72"),  # 4
        ("0x410fd034", "Cortex-A53"),  # 3
        ("0x510f8000", None),  # another maker's
        ("0x410fffff", None),
        ("", None),
    ],
)
def test_names(midr: str, name: str | None) -> None:
    assert core_name(midr) == name


def test_facts_of_an_arm_and_of_another() -> None:
    assert with_core({"midr": "0x414fd0b1", "cpu": None}) == {"midr": "0x414fd0b1", "cpu": "Cortex-A76"}
    assert with_core({"midr": None, "cpu": "AMD EPYC"})["cpu"] == "AMD EPYC"
