"""Counting instructions: what an instruction is, what the plugin's file says, what is missing, and a real count."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from counting import missing_for_counting
from exports import Exported

from levit_mobile.bench import guest as guests
from levit_mobile.bench import instructions, plugin
from levit_mobile.bench.guest import CPUS, Border, between, guest
from levit_mobile.bench.instructions import count, marks, requirements
from levit_mobile.bench.plugin import build_plugin, find_qemu, plugin_api
from levit_mobile.bench.root import EmulationError
from levit_mobile.errors import BundleError, RuntimeMissingError, UsageError

SOURCE = Path(plugin.__file__).parent / "native" / "count.c"
CLASSES = ("simd", "dot", "simd_memory", "memory", "branch", "other")

# As GNU as for ARM encodes them.
WORDS = {
    "simd": {
        "fmla v0.4s, v1.4s, v2.4s": 0x4E22CC20,
        "fmla v0.4s, v1.4s, v2.s[1]": 0x4FA21020,
        "smlal v0.4s, v1.4h, v2.4h": 0x0E628020,
        "smlal v0.4s, v1.4h, v2.h[2]": 0x0F622020,
        "mul v0.8h, v1.8h, v2.8h": 0x4E629C20,
        "fadd d0, d1, d2": 0x1E622820,
        "fmov x0, d0": 0x9E660000,
        "scvtf s0, w0": 0x1E220000,
        "tbl v0.16b, {v1.16b}, v2.16b": 0x4E020020,
        "bfdot v0.4s, v1.8h, v2.8h": 0x6E42FC20,
        "bfdot v0.4s, v1.8h, v2.2h[1]": 0x4F62F020,
        "bfmmla v0.4s, v1.8h, v2.8h": 0x6E42EC20,
        "fmlal v0.4s, v1.4h, v2.4h": 0x4E22EC20,
        "sqrdmlah v0.8h, v1.8h, v2.8h": 0x6E428420,
    },
    "dot": {
        "sdot v0.4s, v1.16b, v2.16b": 0x4E829420,
        "sdot v0.2s, v1.8b, v2.8b": 0x0E829420,
        "udot v0.4s, v1.16b, v2.16b": 0x6E829420,
        "sdot v0.4s, v1.16b, v2.4b[0]": 0x4F82E020,
        "sdot v16.4s, v17.16b, v31.4b[3]": 0x4FBFEA30,
        "udot v0.2s, v1.8b, v2.4b[2]": 0x2F82E820,
        "usdot v0.4s, v1.16b, v2.16b": 0x4E829C20,
        "usdot v0.4s, v1.16b, v2.4b[1]": 0x4FA2F020,
        "sudot v0.4s, v1.16b, v2.4b[1]": 0x4F22F020,
        "smmla v0.4s, v1.16b, v2.16b": 0x4E82A420,
        "ummla v0.4s, v1.16b, v2.16b": 0x6E82A420,
        "usmmla v0.4s, v1.16b, v2.16b": 0x4E82AC20,
    },
    "simd_memory": {
        "ldr q0, [x0]": 0x3DC00000,
        "str s0, [x0]": 0xBD000000,
        "ldp q0, q1, [x0]": 0xAD400400,
        "ld1 {v0.16b}, [x0]": 0x4C407000,
        "ld1r {v0.4s}, [x0]": 0x4D40C800,
        "st1 {v0.s}[1], [x0], #4": 0x0D9F9000,
        "ldr q0, .+8": 0x9C000040,
    },
    "memory": {
        "ldr x0, [x1]": 0xF9400020,
        "ldp x29, x30, [sp], #16": 0xA8C17BFD,
        "ldaxr x0, [x1]": 0xC85FFC20,
        "ldadd x0, x1, [x2]": 0xF8200041,
        "prfm pldl1keep, [x0]": 0xF9800000,
        "ldr x0, .+8": 0x58000040,
    },
    "branch": {
        "b .": 0x14000000,
        "bl .": 0x94000000,
        "b.ne .": 0x54000001,
        "cbz x0, .": 0xB4000000,
        "cbnz w0, .": 0x35000000,
        "tbz x0, #33, .": 0xB6080000,
        "tbnz w0, #1, .": 0x37080000,
        "br x0": 0xD61F0000,
        "blr x0": 0xD63F0000,
        "ret": 0xD65F03C0,
    },
    "other": {
        "add x0, x1, x2": 0x8B020020,
        "mov x0, #1": 0xD2800020,
        "crc32b w0, w1, w2": 0x1AC24020,
        "nop": 0xD503201F,
        "svc #0": 0xD4000001,
        "mrs x0, tpidr_el0": 0xD53BD040,
        "dmb ish": 0xD5033BBF,
    },
}


@pytest.fixture(scope="module")
def classify(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """{word: class}, by the plugin's own code in a program without qemu."""
    if shutil.which("cc") is None:
        pytest.skip("cc not here: the classifier is not compiled")
    folder = tmp_path_factory.mktemp("classify")
    (folder / "main.c").write_text(
        f'#include "{SOURCE}"\n'
        'int main(void) { unsigned w; while (scanf("%x", &w) == 1) puts(names[classify(w)]); return 0; }\n'
    )
    command = ["cc", "-w", "-ffunction-sections", "-Wl,--gc-sections", "main.c", "-o", "classify"]
    subprocess.run(command, cwd=folder, check=True)
    words = [word for row in WORDS.values() for word in row.values()]
    text = "\n".join(f"{word:x}" for word in words)
    done = subprocess.run([folder / "classify"], input=text, capture_output=True, text=True, check=True)
    return dict(zip(words, done.stdout.split(), strict=True))


@pytest.mark.parametrize("expected", CLASSES)
def test_classes(classify: dict[int, str], expected: str) -> None:
    found = {text: classify[word] for text, word in WORDS[expected].items()}
    assert found == dict.fromkeys(WORDS[expected], expected)


@pytest.mark.parametrize("api", [1, 2, 3])
def test_the_plugin_compiles_without_a_warning(api: int, tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("cc not here: the plugin is not compiled")
    flags = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-shared", "-fPIC", f"-DAPI={api}"]
    subprocess.run(["cc", *flags, str(SOURCE), "-o", str(tmp_path / "count.so")], check=True)
    symbols = subprocess.run(["nm", "-D", tmp_path / "count.so"], capture_output=True, text=True, check=True).stdout
    inline = "qemu_plugin_register_vcpu_tb_exec_inline"
    assert (f"U {inline}\n" in symbols, f"U {inline}_per_vcpu\n" in symbols) == (api == 1, api > 1)


@pytest.mark.parametrize(
    ("version", "api"),
    [("7.2.22", 1), ("8.2.2", 1), ("9.0.0", 2), ("9.0.4", 2), ("9.1.0", 3), ("10.0.13", 3), ("unknown", 1)],
)
def test_the_interface_of_a_version(version: str, api: int) -> None:
    assert plugin_api(version) == api


# What the plugin writes


def border(kind: str, index: int, amount: int, *, others: int = 5) -> Border:
    return Border(kind, index, 1, others, {"simd": 2 * amount, "other": amount})


def test_the_file_is_read(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"api": 1, "classes": list(CLASSES)},
        {"border": "mark", "index": 0, "threads": 1, "others": 5, "counts": [1, 2, 3, 4, 5, 6]},
        {"border": "clock", "index": 1, "threads": 1, "others": 5, "counts": [11, 2, 3, 4, 5, 106]},
    ]
    (tmp_path / "borders").write_text("".join(json.dumps(line) + "\n" for line in lines))
    first, second = guests._read(tmp_path / "borders")
    assert (first.kind, first.index, first.total) == ("mark", 0, 21)
    assert between(first, second) == {"simd": 10, "dot": 0, "simd_memory": 0, "memory": 0, "branch": 0, "other": 100}


def test_marks() -> None:
    drawn = [border("mark", index, 100 * index) for index in range(4)]
    assert marks([drawn[0], border("clock", 1, 5), *drawn[1:], border("exit", 0, 900)], 3) == drawn


@pytest.mark.parametrize("drawn", [[], [0, 1], [0, 1, 2, 3], [0, 2, 1], [1, 2, 3]])
def test_marks_that_are_not_all_there(drawn: list[int]) -> None:
    with pytest.raises(EmulationError, match=f"drew {len(drawn)} marks and not 3"):
        marks([border("mark", index, 1) for index in drawn], 2)


def test_a_second_thread_is_not_counted_as_if_it_were_none() -> None:
    idle = [border("mark", 0, 0), border("mark", 1, 9)]
    assert marks(idle, 1) == idle
    with pytest.raises(EmulationError, match=r"worked on several of 1 threads; counts are exact on one only"):
        marks([border("mark", 0, 0), border("mark", 1, 9, others=6)], 1)


def test_counts_of_made_up_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    class Machine:
        qemu = "7.2.22"

        def __init__(self, *_: Any, **__: Any) -> None: ...
        def __enter__(self) -> Machine:
            return self

        def __exit__(self, *_: object) -> None: ...

    at = [0, 500, 600, 702, 801]
    drawn = [border("mark", index, amount) for index, amount in enumerate(at)]
    monkeypatch.setattr(instructions, "guest", Machine)
    monkeypatch.setattr(instructions, "_run_script", lambda *_: (drawn, {"name": "ai-edge-litert", "version": "1"}))
    found = count(Path("model.tflite"), "tflite", "cortex-a76")
    assert (found.first, found.runs, found.total) == (1500, (300, 306, 297), 300)
    assert found.classes == {"simd": 200, "other": 100}
    assert found.repeatability == pytest.approx(9 / 300)
    assert found.to_dict()["runtime"] == {"name": "ai-edge-litert", "version": "1"}


def test_what_the_runner_says() -> None:
    done = json.dumps({"event": "done", "runtime": {"name": "a", "version": "1"}})
    assert instructions._done(Path("m"), ['{"event": "other"}', done]) == {"name": "a", "version": "1"}
    with pytest.raises(BundleError, match=r"^m: the runtime cannot load it: no$"):
        instructions._done(Path("m"), ['{"event": "refused", "text": "the runtime cannot load it: no"}'])


def test_requirements_are_exact() -> None:
    assert requirements("executorch") == []
    for target in ("tflite", "onnx"):
        assert all(part.count("==") == 1 for part in requirements(target))


# What is missing


def fake_qemu(folder: Path, *, version: str, options: str, cpus: str) -> str:
    program = folder / "qemu-aarch64"
    program.write_text(
        f'#!/bin/sh\ncase $1 in\n--version) echo "qemu-aarch64 version {version} (Debian)" ;;\n'
        f"--help) echo '{options}' ;;\n-cpu) echo '{cpus}' ;;\nesac\n"
    )
    program.chmod(0o755)
    return str(program)


def test_no_qemu() -> None:
    with pytest.raises(RuntimeMissingError, match=r"^counting instructions needs qemu-none, .* install .* qemu-user$"):
        find_qemu("qemu-none", "cortex-a76")


def test_a_qemu_without_plugins(tmp_path: Path) -> None:
    name = fake_qemu(tmp_path, version="10.0.13", options="-cpu model", cpus="  cortex-a76")
    with pytest.raises(RuntimeMissingError, match=r"10\.0\.13 takes no plugins, .* Debian 12's qemu-user \(7\.2\)"):
        find_qemu(name, "cortex-a76")


def test_a_qemu_without_the_cpu(tmp_path: Path) -> None:
    name = fake_qemu(tmp_path, version="7.2.22", options="-plugin [file=]", cpus="  cortex-a72")
    assert find_qemu(name, "cortex-a72") == (name, "7.2.22")
    with pytest.raises(UsageError, match=r"7\.2\.22 has no CPU cortex-a76$"):
        find_qemu(name, "cortex-a76")


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeMissingError, match=r"needs a C compiler \(cc\); type apt-get install gcc"):
        build_plugin("7.2.22")


def test_a_compiler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVIT_MOBILE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cc").write_text("#!/bin/sh\necho 'count.c:12:10: fatal error: stdio.h: No such file' >&2\nexit 1\n")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(RuntimeMissingError, match=r"does not compile \(.*stdio\.h: No such file\); type apt-get"):
        build_plugin("7.2.22")
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_what_cannot_be_counted() -> None:
    with pytest.raises(UsageError, match="of 'coreml' cannot be counted; those of executorch, onnx, tflite can"):
        count(Path("model.mlpackage"), "coreml", "cortex-a76")
    with pytest.raises(UsageError, match=f"no CPU 'm4' to count on; type one of {', '.join(CPUS)}"):
        count(Path("model.tflite"), "tflite", "m4")


# A real count


@pytest.mark.long
@pytest.mark.slow
def test_int8_in_litert(exported: Exported) -> None:
    """The A76 has dot products, the A72 has not; a second process gives the same within 0.01 %."""
    if lacking := missing_for_counting():
        pytest.skip(lacking)
    artifact = exported.bundle("levit_128s-int8-tflite") / "model.tflite"
    first, again, older = (count(artifact, "tflite", cpu, runs=2) for cpu in ("cortex-a76", "cortex-a76", "cortex-a72"))
    assert 34e6 < first.total < 38e6
    assert 90e6 < older.total < 105e6
    assert first.repeatability < 1e-4
    assert abs(first.total - again.total) < 1e-4 * first.total
    assert sum(first.classes.values()) == first.total
    assert (
        17e6 < first.classes["dot"] < 19e6
    )  # the model's 305 M multiplications, 16 an instruction, less the attention's
    assert older.classes["dot"] == 0
    assert first.runtime["name"] == "ai-edge-litert"


@pytest.mark.slow
def test_int8_in_executorch(executorch_exported: Exported) -> None:
    if lacking := missing_for_counting("aarch64-linux-gnu-g++"):
        pytest.skip(lacking)
    artifact = executorch_exported.bundle("levit_128s-int8-executorch") / "model.pte"
    found = count(artifact, "executorch", "cortex-a76", runs=2)
    assert 34e6 < found.total < 40e6
    assert found.runs[0] == found.runs[1]  # nothing in it depends on anything
    assert found.runtime["name"] == "executorch"


@pytest.mark.slow
def test_a_program_sees_the_boards_cores_and_not_this_hosts() -> None:
    """All that runtimes open below /sys, with what a Raspberry Pi 5 says."""
    if lacking := missing_for_counting():
        pytest.skip(lacking)
    files = {
        "possible": "0-3",
        **{f"cpu{core}/cache/index2/size": "512K" for core in range(4)},
        **{f"cpu{core}/cache/index2/shared_cpu_list": str(core) for core in range(4)},
        **{f"cpu{core}/cpufreq/cpuinfo_max_freq": "2400000" for core in range(4)},
        **{f"cpu{core}/topology/cluster_cpus_list": "0-3" for core in range(4)},
        "cpu3/regs/identification/midr_el1": "0x00000000414fd0b1",
    }
    code = f"for name in {list(files)}: print(open('/sys/devices/system/cpu/' + name).read().strip())"
    with guest("cortex-a76") as machine, machine.start([*machine.python, "-c", code]) as program:
        seen = program.rest()
    assert dict(zip(files, seen, strict=True)) == files


@pytest.mark.slow
def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    if lacking := missing_for_counting():
        pytest.skip(lacking)
    (tmp_path / "model.tflite").write_bytes(b"no model" * 100)
    with pytest.raises(BundleError, match=r"model\.tflite: the runtime cannot load it"):
        count(tmp_path / "model.tflite", "tflite", "cortex-a76")
