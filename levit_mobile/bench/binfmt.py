"""What this machine needs before it runs ARM programs: Debian's packages, and the kernel's table of foreign programs.

The table is binfmt_misc: it names the interpreter (QEMU) of each kind of foreign program. With the flag F the kernel opens
the interpreter when it is registered, so that no QEMU is needed inside an ARM root. The table is the whole machine's: it is
filled once, stays until the machine restarts, and no board takes it away again.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from levit_mobile.errors import RuntimeMissingError, UsageError

__all__ = ["can_isolate", "find_program", "register", "require_linux", "require_programs"]

_TABLE = Path("/proc/sys/fs/binfmt_misc")
_MORE = "/usr/sbin:/sbin"  # not on every user's PATH, and sshd lives there
_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "proot": "proot",
    "qemu-aarch64-static": "qemu-user-static",
    "qemu-arm-static": "qemu-user-static",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "update-binfmts": "binfmt-support",
}


def find_program(name: str) -> str | None:
    """Where a program is: on the PATH, or among the system's own."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{_MORE}")


def require_linux() -> None:
    """Emulated boards are for Linux on another processor than ARM.

    Raises:
        UsageError: this is another system, or an ARM machine itself.
    """
    if sys.platform != "linux":
        raise UsageError("an emulated board needs Linux; type levit bench BUNDLE --board USER@HOST for a real one")
    if platform.machine() in ("aarch64", "arm64", "armv7l", "armv8l"):
        raise UsageError("this machine is an ARM machine itself; type levit bench BUNDLE to measure on it")


def require_programs(names: Iterable[str], what: str) -> None:
    """See that programs are there.

    Args:
        names: of the programs.
        what: needs them, for the message.

    Raises:
        RuntimeMissingError: some are not, with the one command that installs their packages.
    """
    missing = [name for name in names if find_program(name) is None]
    if not missing:
        return
    packages = dict.fromkeys(_PACKAGES[name] for name in missing)
    text = (
        f"{what} needs {_and(missing)}, which {'is' if len(missing) == 1 else 'are'} not here; "
        f"type {_sudo()}apt-get install --no-install-recommends {' '.join(packages)}"
    )
    if "openssh-server" in packages:
        text += (
            " (it also starts a server for others; systemctl disable --now ssh stops that one, the board has its own)"
        )
    raise RuntimeMissingError(text)


def can_isolate() -> bool:
    """Whether this process may make namespaces with mounts of their own: root, and not in a container that forbids it."""
    if os.geteuid() != 0 or find_program("unshare") is None:
        return False
    # Mounting a fresh proc is what a container refuses last.
    status, _ = _run("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "mount", "-t", "proc", "proc", "/proc")
    return status == 0


def register(machine: str, tell: Callable[[str], None] = lambda _: None) -> None:
    """See that the kernel knows QEMU as the interpreter of ARM programs, and tell it so if it does not.

    Args:
        machine: ``aarch64`` or ``arm``, as QEMU calls it.
        tell: is called with what was changed on this machine.

    Raises:
        RuntimeMissingError: it cannot be told from here, with the commands that do it.
    """
    name = f"qemu-{machine}"
    if _is_registered(name):
        return
    commands = []
    if not (_TABLE / "register").exists():
        commands.append(f"mount -t binfmt_misc binfmt_misc {_TABLE}")
    commands.append(f"update-binfmts --enable {name}")
    if os.geteuid() == 0:
        require_programs(["update-binfmts"], "an emulated board")
        reasons = []
        for command in commands:
            status, printed = _run(*command.split())
            if status:
                reasons.append(printed.strip().splitlines()[-1] if printed.strip() else f"status {status}")
            else:
                tell(f"done for this machine, until it restarts: {command}")
        if _is_registered(name):
            return
        where = " as root outside of the container" if reasons else ""
        reason = f" ({'; '.join(reasons)})" if reasons else ""
    else:
        where, reason = "", ""
    typed = "; ".join(f"{_sudo()}{command}" for command in commands)
    raise RuntimeMissingError(
        f"the kernel does not know {name} as the interpreter of ARM programs (in {_TABLE}, with flag F){reason}; "
        f"type{where}: {typed}"
    )


def _is_registered(name: str) -> bool:
    try:
        lines = (_TABLE / name).read_text().splitlines()
    except OSError:
        return False
    flags = next((line.split(":", 1)[1] for line in lines if line.startswith("flags:")), "")
    return lines[:1] == ["enabled"] and "F" in flags


def _run(*command: str) -> tuple[int, str]:
    found = find_program(command[0])
    if found is None:
        return 127, f"{command[0]}: not found"
    done = subprocess.run(
        [found, *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def _sudo() -> str:
    return "" if os.geteuid() == 0 else "sudo "


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
