"""The SSH server of an emulated board: one sshd on loopback, with keys of its own, that puts everybody into the board's root.

The board's folder holds all that belongs to it::

    root/                   the ARM system; a copy of a template, so that it can be filled
    cpuinfo                 shown as /proc/cpuinfo
    key, key.pub            who may log in
    host_key, host_key.pub  the server's
    known_hosts             the server's key, for clients
    ssh_config              for clients: ssh -F ssh_config NAME
    sshd_config, enter      for the server: where it listens, and what it runs for whoever logs in
    start                   the program that starts the server
    process                 the server's line in /proc/PID/stat: its number, and when it started
    log                     what the server printed

Where we are root, the server is the first process of namespaces of its own. Mounts are seen in there only, and when that
process ends the kernel ends all others and forgets the mounts: nothing can be left behind. Elsewhere proot does what chroot
and mounts do, and all processes carry the board's folder in their environment.
"""

from __future__ import annotations

import os
import pwd
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from levit_mobile.bench.binfmt import find_program
from levit_mobile.bench.root import EmulationError

__all__ = ["choose_port", "login_name", "make_keys", "processes", "server_pid", "start", "stop", "write_settings"]

_SFTP = "/usr/lib/openssh/sftp-server"  # in the root
_MARK = "LEVIT_BOARD"
_PATIENCE = 30.0  # seconds; it takes a tenth of one
_POLL = 0.02
_KINDNESS = 1.0  # seconds in which a proot may remove its temporary files
_ENTER = """#!/bin/sh
# Run by sshd for whoever logs in: a command, the sftp server, or a shell.
if [ -z "$SSH_ORIGINAL_COMMAND" ]; then set -- -l; else set -- -c "$SSH_ORIGINAL_COMMAND"; fi
exec {env} -i {variables} ${{TERM:+TERM="$TERM"}} ${{SSH_CONNECTION:+SSH_CONNECTION="$SSH_CONNECTION"}} \\
  {enter} /bin/sh -c 'cd; exec /bin/bash "$@"' sh "$@"
"""
_START = """#!/bin/sh
set -e
{mounts}read -r line </proc/self/stat
echo "$line" >{folder}/process
exec {sshd} -D -e -f {folder}/sshd_config
"""
# In namespaces of our own: nobody else sees these mounts. Of the devices the board sees the harmless ones. sshd looks for its
# user and for ours in the root's files, so that it is no matter whose account is locked on this machine; /run is empty but
# for the folder that sshd wants, and what it writes about logins goes nowhere. /proc stays the one of outside: so does the
# number that /proc/self/stat gives.
_MOUNTS = """mount -t tmpfs -o mode=755 tmpfs {root}/dev
cd {root}/dev
for name in full null random tty urandom zero; do : >$name; mount --bind /dev/$name $name; done
mkdir pts shm
mount --rbind /dev/pts pts
mount -t tmpfs -o mode=1777 tmpfs shm
ln -s pts/ptmx ptmx
ln -s /proc/self/fd fd
for name in 0:stdin 1:stdout 2:stderr; do ln -s fd/${{name%:*}} ${{name#*:}}; done
cd /
mount -t proc proc {root}/proc
mount --bind {folder}/cpuinfo {root}/proc/cpuinfo
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/sshd
mount -t tmpfs -o mode=755 tmpfs /var/log
: >/var/log/lastlog
for file in passwd group shadow; do mount --bind {root}/etc/$file /etc/$file; done
hostname {name} || true
"""
_SSHD = """# An emulated board of levit-mobile. Only this machine can reach it, and only with the key beside this file.
ListenAddress 127.0.0.1:{port}
HostKey "{folder}/host_key"
AuthorizedKeysFile "{folder}/key.pub"
AuthenticationMethods publickey
PermitRootLogin prohibit-password
AllowUsers {user}
ForceCommand {enter}
Subsystem sftp {sftp}
StrictModes no
UsePAM no
UseDNS no
PermitUserRC no
DisableForwarding yes
PrintMotd no
PrintLastLog no
MaxStartups 100
MaxSessions 100
PidFile none
"""
_CLIENT = """Host *
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile "{folder}/key"
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile "{folder}/known_hosts"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
  LogLevel ERROR
"""


def make_keys(folder: Path) -> None:
    """The server's key and the one that clients log in with.

    Raises:
        EmulationError: ssh-keygen failed.
    """
    for name in ("host_key", "key"):
        command = [find_program("ssh-keygen") or "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "levit-emulated"]
        done = subprocess.run([*command, "-f", str(folder / name)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise EmulationError(f"no key for the board could be made: {done.stderr.strip() or done.stdout.strip()}")


def choose_port(wanted: int | None = None) -> int:
    """A port on loopback where nobody listens: the wanted one, if that is so."""
    for port in (wanted or 0, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise EmulationError("no port on 127.0.0.1 is free")


def login_name(isolated: bool) -> str:
    """Who logs in: root of the board's own accounts, or without namespaces whoever runs this."""
    return "root" if isolated else pwd.getpwuid(os.geteuid()).pw_name


def write_settings(folder: Path, *, name: str, port: int, qemu: str, cpu: str, isolated: bool) -> None:
    """Write everything that the server and its clients read.

    Args:
        folder: of the board; with ``root``, ``cpuinfo`` and the keys in it.
        name: of the board.
        port: on 127.0.0.1.
        qemu: the program, for proot: ``qemu-aarch64-static``.
        cpu: QEMU's name of the core.
        isolated: in namespaces, by root; else by proot.

    Raises:
        EmulationError: sshd cannot be told of a folder with such a name.
    """
    if re.search(r"""["%\\:\n]""", str(folder)):
        raise EmulationError(
            f'sshd and proot take no folder with ", %, : or a backslash in its name: {folder}; set LEVIT_MOBILE_CACHE to another'
        )
    here, root = shlex.quote(str(folder)), shlex.quote(str(folder / "root"))
    variables = {
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": "/bin/bash",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "QEMU_CPU": cpu,
        _MARK: str(folder),
    }
    if isolated:
        enter = f"{find_program('chroot')} {root}"
    else:
        variables["PROOT_NO_SECCOMP"] = "1"  # its filter and some kernels do not agree
        variables["PROOT_TMP_DIR"] = str(folder / "tmp")  # that is left there if it is killed
        (folder / "tmp").mkdir(exist_ok=True)
        binds = f"-b /dev -b /proc -b {here}/cpuinfo:/proc/cpuinfo"
        enter = f"{find_program('proot')} -0 -q {find_program(qemu)} -r {root} {binds} -w /root"
    traceable = f"{shlex.quote(sys.executable)} -I {shlex.quote(str(Path(__file__).with_name('traceable.py')))}"
    user = login_name(isolated)
    assigned = " ".join(f"{key}={shlex.quote(value)}" for key, value in variables.items())
    texts = {
        "enter": _ENTER.format(env=find_program("env"), variables=assigned, enter=enter),
        "start": _START.format(
            mounts=_MOUNTS.format(root=root, folder=here, name=name) if isolated else "",
            folder=here,
            sshd=find_program("sshd") if isolated else f"{traceable} {find_program('sshd')}",
        ),
        "sshd_config": _SSHD.format(port=port, folder=folder, user=user, enter=f"{here}/enter", sftp=_SFTP),
        "ssh_config": _CLIENT.format(port=port, folder=folder, user=user),
        "known_hosts": f"[127.0.0.1]:{port} {(folder / 'host_key.pub').read_text()}",
    }
    for file, text in texts.items():
        (folder / file).write_text(text, "utf-8")
    for file in ("enter", "start"):
        (folder / file).chmod(0o700)


def start(folder: Path, port: int, *, isolated: bool) -> None:
    """Start the server, and wait until it answers.

    Raises:
        EmulationError: it does not, with its own words.
    """
    log = folder / "log"
    (folder / "process").unlink(missing_ok=True)
    apart = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL"] if isolated else []
    if not isolated and os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd of root insists on it
    # Whoever holds the other end lives; sshd itself lets go of it.
    held, given = os.pipe()
    try:
        with log.open("wb") as printed:
            subprocess.run(
                ["setsid", "--fork", *apart, "/bin/sh", str(folder / "start")],
                cwd="/",
                env={**os.environ, _MARK: str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=[given],
                check=True,
            )
        os.close(given)
        deadline = time.monotonic() + _PATIENCE
        while not _answers(port):
            ended = bool(select.select([held], [], [], _POLL)[0])
            if (ended and server_pid(folder) is None) or time.monotonic() > deadline:
                said = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
                raise EmulationError(
                    f"the board's SSH server does not answer: {said[-1] if said else 'it said nothing'}"
                )
            if ended:
                time.sleep(_POLL)
    finally:
        os.close(held)


def server_pid(folder: Path) -> int | None:
    """The number of the server's process; None if it does not run."""
    try:
        pid, started = _identity((folder / "process").read_text())
        now = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError, IndexError):
        return None
    # The number alone may be another process's by now.
    return pid if _identity(now) == (pid, started) and _state(now) not in "ZX" else None


def processes(folder: Path) -> list[int]:
    """The numbers of all processes that belong to a board, the server first.

    These are: what is in the server's namespace of processes, or below it; what has the board's folder in its environment;
    and what has the board's root as its own.
    """
    server = server_pid(folder)
    inside = _namespace(server) if server is not None else None
    if inside == _namespace(os.getpid()):
        inside = None
    mark, root = f"{_MARK}={folder}".encode(), str(folder / "root")
    parents: dict[int, int] = {}
    found = set() if server is None else {server}
    for pid in _alive():
        with suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{pid}/stat").read_text()
            if _state(stat) in "ZX":
                continue
            parents[pid] = int(_fields(stat)[1])
            if (
                (inside is not None and _namespace(pid) == inside)
                or mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                or os.readlink(f"/proc/{pid}/root") == root
            ):
                found.add(pid)
    if server is not None:
        found |= {pid for pid in parents if server in _ancestors(pid, parents)}
    found.discard(os.getpid())
    return sorted(found, key=lambda pid: (pid != server, pid))


def stop(folder: Path) -> None:
    """End the server and all that belongs to the board.

    Raises:
        EmulationError: something does not end.
    """
    began = time.monotonic()
    while left := processes(folder):
        late = time.monotonic() - began
        if late > _PATIENCE:
            raise EmulationError(f"these processes of the board do not end: {', '.join(map(str, left))}")
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if late < _KINDNESS else signal.SIGKILL)
        time.sleep(_POLL)
    (folder / "process").unlink(missing_ok=True)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False


def _alive() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _fields(stat: str) -> list[str]:
    return stat.rpartition(")")[2].split()  # the name before may have spaces and brackets in it


def _state(stat: str) -> str:
    return _fields(stat)[0]


def _identity(stat: str) -> tuple[int, int]:
    """Number and start, in ticks since this machine's."""
    return int(stat.split(maxsplit=1)[0]), int(_fields(stat)[19])


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")


def _ancestors(pid: int, parents: dict[int, int]) -> set[int]:
    found: set[int] = set()
    while (parent := parents.get(pid, 0)) and parent not in found:
        found.add(parent)
        pid = parent
    return found
