"""What an emulated board shows in place of hardware: plain files where a Raspberry Pi has real ones.

None of it is measured. The clock, the governor, the temperature and ``vcgencmd`` are files that say what a quiet board would
say; they can be written to, and nothing happens but that. They are there so that whatever reads or sets them can be tried
without a board. ``/etc/levit-emulated`` marks a root that has them, so that no result of it is taken for a board's.

``/proc/cpuinfo`` and what there is of the cores in /sys are another matter: the runtimes look there before they choose their
kernels, and QEMU 7.2 shows programs those of the host.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from levit_mobile.bench.onboard.facts import midr
from levit_mobile.errors import UsageError

__all__ = ["CORES", "MACHINES", "MARK", "Machine", "cpuinfo", "dress", "machine_for", "put_cores"]

MARK = "etc/levit-emulated"  # in a root; JSON that says which machine it stands for
CORES = "sys/devices/system/cpu"
_FOUR = "0-3\n"  # of them, as cpuinfo says
_GOVERNORS = "conservative ondemand userspace powersave performance schedutil"


@dataclass(frozen=True)
class Machine:
    """A Raspberry Pi as its own files describe it.

    Attributes:
        cpu: QEMU's name of the core.
        architecture: Debian's name.
        model: the board, as the firmware calls it.
        features: what /proc/cpuinfo lists: an optional extension that QEMU's core has, too.
        variant: revision of the core, major.
        part: number of the core, ARM's.
        revision: revision of the core, minor.
        slowest: clock when idle, kHz.
        fastest: clock under load, kHz.
        l2: cache of the second level, KiB.
        l2_of_all: whether the four cores share it, or have one each.
    """

    cpu: str
    architecture: str
    model: str
    features: str
    variant: int
    part: int
    revision: int
    slowest: int
    fastest: int
    l2: int
    l2_of_all: bool


_V7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"
_V8 = "fp asimd evtstrm crc32 cpuid"
_V82 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"  # dot products
)
# QEMU 7.2 runs 32-bit programs on 32-bit cores only, hence the Pi 2 for armhf; its "max" computes int8 wrongly.
MACHINES = {
    machine.cpu: machine
    for machine in (
        Machine(
            "cortex-a76", "arm64", "Raspberry Pi 5 Model B Rev 1.0", _V82, 4, 0xD0B, 1, 1_500_000, 2_400_000, 512, False
        ),
        Machine(
            "cortex-a72", "arm64", "Raspberry Pi 4 Model B Rev 1.4", _V8, 0, 0xD08, 3, 600_000, 1_800_000, 1024, True
        ),
        Machine("cortex-a7", "armhf", "Raspberry Pi 2 Model B Rev 1.1", _V7, 0, 0xC07, 5, 600_000, 900_000, 512, True),
    )
}


def machine_for(cpu: str | None, architecture: str | None) -> Machine:
    """The machine that is asked for; None stands for whatever fits the other, and for a Raspberry Pi 5 if both are open.

    Raises:
        UsageError: there is none such.
    """
    if cpu is not None and cpu not in MACHINES:
        raise UsageError(f"there is no CPU {cpu!r}; type one of {', '.join(MACHINES)}")
    fitting = [
        machine
        for machine in MACHINES.values()
        if cpu in (None, machine.cpu) and architecture in (None, machine.architecture)
    ]
    if fitting:
        return fitting[0]
    of_it = [machine.cpu for machine in MACHINES.values() if machine.architecture == architecture]
    if not of_it:
        known = ", ".join(dict.fromkeys(machine.architecture for machine in MACHINES.values()))
        raise UsageError(f"there is no architecture {architecture!r}; type one of {known}")
    raise UsageError(f"QEMU has no {cpu} for {architecture}; type {' or '.join(of_it)}, or leave the architecture away")


def cpuinfo(machine: Machine) -> str:
    """/proc/cpuinfo of the machine: four cores."""
    core = (
        "processor\t: {}\n"
        "BogoMIPS\t: 108.00\n"
        f"Features\t: {machine.features}\n"
        "CPU implementer\t: 0x41\n"
        f"CPU architecture: {8 if machine.architecture == 'arm64' else 7}\n"
        f"CPU variant\t: {machine.variant:#x}\n"
        f"CPU part\t: {machine.part:#x}\n"
        f"CPU revision\t: {machine.revision}\n\n"
    )
    return "".join(core.format(number) for number in range(4)) + f"Model\t\t: {machine.model}\n"


def put_cores(folder: Path, machine: Machine) -> None:
    """What runtimes read of the cores, below a folder that stands for /sys/devices/system/cpu.

    Core by core: ``topology``, the second level of ``cache``, ``cpufreq`` (a link to the policy that they share) and, of 64-bit
    processors, the identification register.
    """
    files = {
        **dict.fromkeys(("online", "possible", "present"), _FOUR),
        "kernel_max": "3\n",
        "cpufreq/policy0/cpuinfo_max_freq": f"{machine.fastest}\n",
        "cpufreq/policy0/cpuinfo_min_freq": f"{machine.slowest}\n",
    }
    register = midr(dict(re.findall(r"(CPU \w+)\s*: (\w+)", cpuinfo(machine))))
    for core in range(4):
        files |= {
            f"cpu{core}/topology/physical_package_id": "0\n",
            f"cpu{core}/topology/cluster_cpus_list": _FOUR,
            f"cpu{core}/cache/index2/level": "2\n",
            f"cpu{core}/cache/index2/size": f"{machine.l2}K\n",
            f"cpu{core}/cache/index2/shared_cpu_list": _FOUR if machine.l2_of_all else f"{core}\n",
        }
        if machine.architecture == "arm64":
            files[f"cpu{core}/regs/identification/midr_el1"] = f"{register}\n"
    _write(folder, files)
    for core in range(4):
        (folder / f"cpu{core}" / "cpufreq").symlink_to("../cpufreq/policy0")


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")


_VCGENCMD = """#!/bin/sh
# Stands in for a Raspberry Pi's: the answer to `vcgencmd measure_clock arm` is the file measure_clock.arm, and so on.
answer=/var/lib/vcgencmd/$(echo "$*" | tr ' ' .)
case $* in
  */*) ;;
  ?*) [ -f "$answer" ] && exec cat "$answer" ;;
esac
echo 'error=1 error_msg="Command not registered"'
exit 255
"""


def dress(root: Path, machine: Machine) -> None:
    """Put the stand-ins into a root, and its mark; what is there already is written anew.

    ======================================================  ========================================================
    ``/etc/levit-emulated``                                 {"cpu", "architecture", "model", "emulated_by"}, JSON
    ``/sys/firmware/devicetree/base/model``                 ends with a NUL, as a real one
    ``/sys/devices/system/cpu/cpufreq/policy0/scaling_*``   governor, available_governors, cur_freq, min_freq, max_freq
    ``/sys/devices/system/cpu/cpu[0-3]``                    see ``put_cores``
    ``/sys/class/thermal/thermal_zone0/temp``, ``type``     thousandths of a degree Celsius
    ``/usr/bin/vcgencmd``                                   prints ``/var/lib/vcgencmd/COMMAND[.ARGUMENT]``
    ``/var/lib/vcgencmd/get_throttled``                     ``throttled=0x0``
    ``/var/lib/vcgencmd/measure_temp``                      ``temp=48.3'C``
    ``/var/lib/vcgencmd/measure_clock.arm``                 ``frequency(48)=...``, Hz
    ======================================================  ========================================================

    Args:
        root: a folder that nothing is mounted in: its ``sys`` is a plain folder.
        machine: that it stands for.
    """
    mark = {
        "cpu": machine.cpu,
        "architecture": machine.architecture,
        "model": machine.model,
        "emulated_by": "qemu-user",
    }
    policy = f"{CORES}/cpufreq/policy0"
    files = {
        MARK: json.dumps(mark) + "\n",
        "sys/firmware/devicetree/base/model": f"{machine.model}\0",
        f"{policy}/affected_cpus": "0 1 2 3\n",
        f"{policy}/scaling_available_governors": f"{_GOVERNORS}\n",
        f"{policy}/scaling_cur_freq": f"{machine.fastest}\n",
        f"{policy}/scaling_governor": "ondemand\n",
        f"{policy}/scaling_max_freq": f"{machine.fastest}\n",
        f"{policy}/scaling_min_freq": f"{machine.slowest}\n",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "usr/bin/vcgencmd": _VCGENCMD,
        "var/lib/vcgencmd/get_throttled": "throttled=0x0\n",
        "var/lib/vcgencmd/measure_clock.arm": f"frequency(48)={machine.fastest * 1000}\n",
        "var/lib/vcgencmd/measure_temp": "temp=48.3'C\n",
    }
    shutil.rmtree(root / "sys", ignore_errors=True)
    _write(root, files)
    put_cores(root / CORES, machine)
    (root / "usr/bin/vcgencmd").chmod(0o755)
