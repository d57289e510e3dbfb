from __future__ import annotations

from pathlib import Path

import pytest

from levit_mobile.bench.onboard import facts as module
from levit_mobile.bench.onboard.facts import facts, midr
from levit_mobile.bench.onboard.health import Health


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board's /proc and /sys."""
    files = {
        "proc/cpuinfo": (
            "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            "CPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\nRevision\t: c04170\nModel\t\t: Raspberry Pi 5\n"
        ),
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/meminfo": "MemTotal:        8255872 kB\nMemFree: 1 kB\n",
        "proc/stat": "cpu  100 0 50 1000 10 0 0 0 0 0\n",
        "proc/vmstat": "nr_free_pages 5\npswpin 3\npswpout 4\n",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n',
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
        "sys/devices/system/cpu/cpufreq/boost": "0\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(module, "ROOT", str(tmp_path))
    return tmp_path


def test_a_raspberry_pi(root: Path) -> None:
    found = facts()
    assert found["model"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert found["midr"] == "0x00000000414fd0b1"
    assert found["features"] == ["fp", "asimd", "asimddp"]
    assert found["memory_mb"] == 8062
    assert found["governor"] == "ondemand"
    assert found["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert found["revision"] == "c04170"
    assert found["emulated"] is False


def test_an_emulated_board_says_so(root: Path) -> None:
    (root / "etc/levit-emulated").touch()
    assert facts()["emulated"] is True


def test_a_system_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOT", str(tmp_path / "none"))
    found = facts()
    assert (found["midr"], found["governor"], found["memory_mb"], found["features"]) == (None, None, None, [])
    reading = Health().reading()
    assert (reading["temperature_c"], reading["mhz"], reading["foreign_cores"], reading["swapped"]) == (
        None,
        None,
        None,
        0,
    )


@pytest.mark.parametrize("text", ["", "0x", "nine"])
def test_a_midr_that_cannot_be_put_together(text: str) -> None:
    known = {"CPU implementer": "0x41", "CPU variant": "0x4", "CPU part": "0xd0b", "CPU revision": "1"}
    assert midr(known) == "0x00000000414fd0b1"
    assert midr({**known, "CPU part": text}) is None


def test_readings(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("levit_mobile.bench.onboard.health.time.monotonic", lambda: now[0])
    health = Health()
    now[0] = 102.0
    ticks = 3 * 100  # 1.5 cores for two seconds, at 100 ticks a second
    (root / "proc/stat").write_text(f"cpu  {100 + ticks} 0 50 1100 10 0 0 0 0 0\n")
    (root / "proc/vmstat").write_text("pswpin 5\npswpout 4\n")
    reading = health.reading()
    assert reading["seconds"] == 2.0
    assert reading["temperature_c"] == 48.312
    assert reading["mhz"] == 2400
    assert reading["swapped"] == 2
    assert reading["foreign_cores"] == pytest.approx(1.5)
    now[0] = 102.3
    assert health.reading()["foreign_cores"] is None, "too soon to tell"
    now[0] = 103.0
    again = health.reading()
    assert (again["foreign_cores"], again["swapped"]) == (0.0, 0)


def test_the_bench_itself_is_not_another_program(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("levit_mobile.bench.onboard.health.time.monotonic", lambda: now[0])
    (root / "proc/77").mkdir()
    (root / "proc/77/stat").write_text("77 (a b) c) S 1 2 3 4 5 6 7 8 9 10 0 0 0 0 20 0\n")
    health = Health()
    health.pids = [77]
    now[0] = 101.0
    (root / "proc/stat").write_text("cpu  200 0 50 1100 10 0 0 0 0 0\n")
    (root / "proc/77/stat").write_text("77 (a b) c) S 1 2 3 4 5 6 7 8 9 10 60 30 5 5 20 0\n")
    assert health.reading()["foreign_cores"] == 0.0


def test_vcgencmd(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/vcgencmd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho throttled=0x50005\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert Health().reading()["throttled"] == 0x50005
    program.write_text("#!/bin/sh\necho VCHI initialization failed\n")
    assert Health().reading()["throttled"] is None
