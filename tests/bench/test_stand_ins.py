"""What an emulated board shows in place of hardware."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from levit_mobile.bench.cores import core_name
from levit_mobile.bench.stand_ins import MACHINES, MARK, cpuinfo, dress, machine_for, put_cores
from levit_mobile.errors import UsageError


@pytest.mark.parametrize(
    ("cpu", "architecture", "model"),
    [
        (None, None, "Raspberry Pi 5 Model B Rev 1.0"),
        ("cortex-a72", None, "Raspberry Pi 4 Model B Rev 1.4"),
        ("cortex-a72", "arm64", "Raspberry Pi 4 Model B Rev 1.4"),
        (None, "arm64", "Raspberry Pi 5 Model B Rev 1.0"),
        (None, "armhf", "Raspberry Pi 2 Model B Rev 1.1"),
    ],
)
def test_what_is_open_is_filled_in(cpu: str | None, architecture: str | None, model: str) -> None:
    assert machine_for(cpu, architecture).model == model


@pytest.mark.parametrize(
    ("cpu", "architecture", "told"),
    [
        ("max", None, r"^there is no CPU 'max'; type one of cortex-a76, cortex-a72, cortex-a7$"),
        (None, "mips", r"^there is no architecture 'mips'; type one of arm64, armhf$"),
        ("cortex-a76", "armhf", r"^QEMU has no cortex-a76 for armhf; type cortex-a7, or leave the architecture away$"),
    ],
)
def test_what_there_is_not(cpu: str | None, architecture: str | None, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        machine_for(cpu, architecture)


@pytest.mark.parametrize(
    ("cpu", "part", "dot_products"),
    [("cortex-a76", 0xD0B, True), ("cortex-a72", 0xD08, False), ("cortex-a7", 0xC07, False)],
)
def test_cpuinfo(cpu: str, part: int, dot_products: bool) -> None:
    rows = [line.split(":") for line in cpuinfo(MACHINES[cpu]).splitlines() if line]
    found: dict[str, list[str]] = {}
    for key, value in rows:
        found.setdefault(key.strip(), []).append(value.strip())
    assert found["processor"] == ["0", "1", "2", "3"]
    assert {int(value, 16) for value in found["CPU part"]} == {part}
    assert ("asimddp" in found["Features"][0].split()) == dot_products
    assert found["Model"] == [MACHINES[cpu].model]


def test_the_files(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    for cpu in ("cortex-a76", "cortex-a72"):  # the second time over the first
        dress(tmp_path, MACHINES[cpu])
    assert json.loads((tmp_path / MARK).read_text())["cpu"] == "cortex-a72"
    assert (tmp_path / "sys/firmware/devicetree/base/model").read_text() == "Raspberry Pi 4 Model B Rev 1.4\0"
    assert (tmp_path / "sys/class/thermal/thermal_zone0/temp").read_text() == "48312\n"
    (tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").write_text("performance\n")
    one = tmp_path / "sys/devices/system/cpu/cpu3/cpufreq"
    assert (one / "scaling_governor").read_text() == "performance\n"  # the four share a clock
    assert "performance" in (one / "scaling_available_governors").read_text().split()
    assert int((one / "scaling_cur_freq").read_text()) == 1_800_000


@pytest.mark.parametrize(
    ("cpu", "size", "shared", "register"),
    [
        ("cortex-a76", "512K", ["0", "1", "2", "3"], "0x00000000414fd0b1"),
        ("cortex-a72", "1024K", ["0-3"] * 4, "0x00000000410fd083"),
        ("cortex-a7", "512K", ["0-3"] * 4, None),
    ],
)
def test_the_cores(tmp_path: Path, cpu: str, size: str, shared: list[str], register: str | None) -> None:
    put_cores(tmp_path / "cpus", MACHINES[cpu])
    cores = [tmp_path / "cpus" / f"cpu{number}" for number in range(4)]
    assert {(core / "cache/index2/size").read_text() for core in cores} == {f"{size}\n"}
    assert [(core / "cache/index2/shared_cpu_list").read_text().strip() for core in cores] == shared
    assert (cores[3] / "cpufreq/cpuinfo_max_freq").read_text() == f"{MACHINES[cpu].fastest}\n"
    known = cores[0] / "regs/identification/midr_el1"
    assert (known.read_text().strip() if known.exists() else None) == register
    if register:
        assert cpu.removeprefix("cortex-").upper() in str(core_name(register))


def test_vcgencmd(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    dress(tmp_path, MACHINES["cortex-a76"])
    program = tmp_path / "usr/bin/vcgencmd"
    assert os.access(program, os.X_OK)
    program.write_text(program.read_text().replace("/var/lib", f"{tmp_path}/var/lib"))

    def ask(*args: str) -> tuple[int, str]:
        done = subprocess.run([program, *args], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.strip()

    assert ask("get_throttled") == (0, "throttled=0x0")
    assert ask("measure_temp") == (0, "temp=48.3'C")
    assert ask("measure_clock", "arm") == (0, "frequency(48)=2400000000")
    (tmp_path / "var/lib/vcgencmd/get_throttled").write_text("throttled=0x50005\n")
    assert ask("get_throttled") == (0, "throttled=0x50005")
    for strange in ((), ("explode",), ("../../../usr/bin/vcgencmd",)):
        assert ask(*strange) == (255, 'error=1 error_msg="Command not registered"')
