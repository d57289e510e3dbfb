"""Signatures: made and checked by model-signing; who signed, and every changed byte, is told by name."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import Levit
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from levit_mobile import signing
from levit_mobile.bundle import open_bundle, write_manifest
from levit_mobile.errors import LevitMobileError
from levit_mobile.preprocess import Preprocessing

SIZE, CLASSES = 32, 2
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


@dataclass(frozen=True)
class Keys:
    private: Path
    public: Path


def make_keys(folder: Path, name: str, curve: ec.EllipticCurve, password: bytes | None = None) -> Keys:
    key = ec.generate_private_key(curve)
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    keys = Keys(folder / f"{name}.pem", folder / f"{name}.pub")
    keys.private.write_bytes(key.private_bytes(PEM, PKCS8, locked))
    keys.public.write_bytes(key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return keys


@pytest.fixture(scope="module", autouse=True)
def environment() -> Path:
    """model-signing's Python. Its environment is made by pip on first use, as it is for users."""
    try:
        return signing.prepare()
    except LevitMobileError as error:
        pytest.skip(f"no environment with model-signing here: {error}")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"), "mine", ec.SECP256R1())


def make_bundle(folder: Path) -> Path:
    (folder / "model.mlpackage" / "Data").mkdir(parents=True)
    (folder / "model.mlpackage" / "Data" / "weight.bin").write_bytes(bytes(range(256)))
    (folder / "golden.npz").write_bytes(b"golden")
    (folder / "sbom.cdx.json").write_text("{}")
    port = {"name": "x", "shape": [1, CLASSES], "dtype": "float32"}
    about = {
        "model": {"variant": "levit_128s", "num_classes": CLASSES, "checkpoint": {"name": "w", "sha256": "ab" * 32}},
        "artifact": {"file": "model.mlpackage", "target": "coreml", "precision": "fp32", "scheme": "s"},
        "input": {**port, "layout": "nchw", "takes": "normalised pixels"},
        "output": port,
        "preprocessing": Preprocessing(SIZE, SIZE).to_dict(),
        "labels": ["a", "b"],
        "parity": {"max_abs": 0.0, "cosine": 1.0, "agreement": 1.0, "samples": 1, "passed": True},
    }
    write_manifest(folder, about)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, keys: Keys) -> Path:
    """A bundle, with its signature beside it; not to be changed."""
    bundle = make_bundle(tmp_path_factory.mktemp("made") / "bundle")
    signing.sign_bundle(open_bundle(bundle), keys.private, signing.signature_beside(bundle))
    return bundle


@pytest.fixture
def signed(made: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    shutil.copy(signing.signature_beside(made), tmp_path / "bundle.sig")
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def found(bundle: Path, keys: Keys) -> list[str]:
    return signing.check_signature(open_bundle(bundle), keys.public, signing.signature_beside(bundle))


def test_all_is_well(signed: Path, keys: Keys) -> None:
    assert found(signed, keys) == []
    moved = signed.rename(signed.with_name("another name"))
    assert signing.check_signature(open_bundle(moved), keys.public, signed.with_name("bundle.sig")) == []


def test_signing_changes_nothing_in_the_bundle(signed: Path, keys: Keys) -> None:
    before = {path: path.read_bytes() for path in signed.rglob("*") if path.is_file()}
    signing.sign_bundle(open_bundle(signed), keys.private, signing.signature_beside(signed))
    assert {path: path.read_bytes() for path in signed.rglob("*") if path.is_file()} == before
    assert open_bundle(signed).damage() == []
    assert sorted(path.name for path in signed.parent.iterdir()) == ["bundle", "bundle.sig"]


FILES = ["manifest.json", "golden.npz", "sbom.cdx.json", "model.mlpackage/Data/weight.bin"]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_named(name: str, signed: Path, keys: Keys) -> None:
    """Also where the manifest was made to fit: it is signed too."""
    data = bytearray((signed / name).read_bytes())
    data[len(data) // 2] ^= 1
    if name != "manifest.json":
        (signed / name).write_bytes(data)
        manifest = json.loads((signed / "manifest.json").read_text())
        (signed / "manifest.json").unlink()
        write_manifest(signed, {k: v for k, v in manifest.items() if k not in ("format", "files", "digest")})
        assert open_bundle(signed).damage() == []
        expected = sorted(f"{changed} is not what was signed" for changed in ("manifest.json", name))
    else:
        text = (signed / name).read_text()
        (signed / name).write_text(text.replace('"a"', '"c"'))
        expected = ["manifest.json is not what was signed"]
    assert found(signed, keys) == expected


def test_files_that_are_missing_or_left_over(signed: Path, keys: Keys) -> None:
    (signed / "sbom.cdx.json").unlink()
    (signed / ".gitignore").write_text("model-signing looks over this name")
    (signed / "model.mlpackage" / "more").write_text("x")
    assert found(signed, keys) == [
        "sbom.cdx.json is missing, and was signed",
        ".gitignore is not signed",
        "model.mlpackage/more is not signed",
    ]


def test_a_signature_that_leaves_files_out(
    signed: Path, keys: Keys, environment: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """model-signing's own command can ignore files; nobody vouches for those."""
    signature = signing.signature_beside(signed)
    words = ["-I", "-m", "model_signing", "sign", "key", "--private_key", keys.private, "--signature", signature]
    words += ["--ignore-paths", signed / "golden.npz", signed]
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([environment, *words], check=True, capture_output=True, env=settings)
    assert found(signed, keys) == ["golden.npz is not signed"]


def test_model_signing_itself_agrees(signed: Path, keys: Keys, environment: Path) -> None:
    """Its own command verifies ours, so that nobody needs this toolkit for it."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    words = ["verify", "key", "--public_key", keys.public, "--signature", signing.signature_beside(signed), signed]
    command = [environment, "-I", "-m", "model_signing", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
    assert done.returncode == 0, done.stderr
    (signed / "golden.npz").write_bytes(b"other!")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
    assert done.returncode != 0
    assert "golden.npz" in done.stdout + done.stderr


def test_somebody_elses_signature(signed: Path, keys: Keys, tmp_path: Path) -> None:
    other = make_keys(tmp_path, "other", ec.SECP384R1())
    problem = found(signed, other)
    assert len(problem) == 1
    assert problem[0].startswith(f"{tmp_path / 'bundle.sig'}: not a signature by {other.public} (Key mismatch")


def _forged(text: str) -> str:
    """The signed list changed, the signature of the old one kept."""
    whole = json.loads(text)
    payload = json.loads(base64.b64decode(whole["dsseEnvelope"]["payload"]))
    payload["predicate"]["resources"] = payload["predicate"]["resources"][:1]
    whole["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    return json.dumps(whole)


@pytest.mark.parametrize(
    "change", [_forged, lambda text: text[:300], lambda text: "", lambda text: "[]", lambda text: "{}"]
)
def test_a_signature_that_is_none(change: Callable[[str], str], signed: Path, keys: Keys) -> None:
    path = signing.signature_beside(signed)
    path.write_text(change(path.read_text()))
    problem = found(signed, keys)
    assert len(problem) == 1
    assert problem[0].startswith(f"{path}: not a signature by {keys.public} (")


def test_what_is_damaged_is_not_signed(levit: Levit, signed: Path, keys: Keys) -> None:
    (signed / "golden.npz").write_bytes(b"other!")
    answer = levit("sign", signed, "--key", keys.private)
    assert answer.code == 1
    assert answer.err == f"error: {signed} is not signed: golden.npz was changed: its sha256 is not the manifest's\n"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP521R1()], ids=["P-256", "P-521"])
def test_an_encrypted_key(
    curve: ec.EllipticCurve, signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, levit: Levit
) -> None:
    locked = make_keys(tmp_path, "locked", curve, b"open sesame")
    answer = levit("sign", signed, "--key", locked.private)
    assert answer.code == 2
    assert f"{locked.private}: cannot sign with it (" in answer.err
    monkeypatch.setenv(signing.PASSWORD, "open sesame")
    answer = levit("sign", signed, "--key", locked.private, "--json")
    assert answer.data == {"bundle": str(signed), "signature": str(tmp_path / "bundle.sig")}
    assert found(signed, locked) == []


def test_keys_that_are_none(levit: Levit, signed: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.pem"
    assert levit("sign", signed, "--key", nowhere).err.startswith(f"error: {nowhere}: no such file; ")
    (tmp_path / "text.pem").write_text("no key")
    answer = levit("sign", signed, "--key", tmp_path / "text.pem")
    assert (answer.code, answer.err.startswith(f"error: {tmp_path / 'text.pem'}: cannot sign with it (")) == (2, True)
    old = make_keys(tmp_path, "old", ec.SECP256K1())
    assert "Unsupported key for curve" in levit("sign", signed, "--key", old.private).err


def test_where_a_signature_cannot_be(levit: Levit, signed: Path, keys: Keys, tmp_path: Path) -> None:
    answer = levit("sign", signed, "--key", keys.private, "--signature", signed / "inside.sig")
    assert answer.err == (
        f"error: {signed / 'inside.sig'} lies inside the bundle, whose files it is about; name a file beside it\n"
    )
    answer = levit("sign", signed, "--key", keys.private, "--signature", tmp_path / "no" / "a.sig")
    assert answer.err == f"error: cannot write {tmp_path / 'no' / 'a.sig'}: No such file or directory\n"


@pytest.mark.parametrize("words", [["--signature"], ["--key", "k.pub"]])
def test_one_needs_the_other(levit: Levit, signed: Path, words: list[str]) -> None:
    answer = levit("verify", signed, *words)
    assert answer.code == 2
    assert answer.err.startswith("error: --signature and --key go together")


def test_verify_names_both_kinds_of_damage(levit: Levit, signed: Path, keys: Keys, tmp_path: Path) -> None:
    (signed / "golden.npz").write_bytes(b"other!")
    answer = levit("verify", signed, "--signature", "--key", keys.public, "--json")
    assert answer.code == 1
    assert json.loads(answer.out)["problems"] == [
        "golden.npz was changed: its sha256 is not the manifest's",
        "golden.npz is not what was signed",
    ]
    answer = levit("verify", signed, "--signature", tmp_path / "none.sig", "--key", keys.public)
    assert answer.err == f"error: {tmp_path / 'none.sig'}: no such file; name the signature\n"


def test_an_answer_that_is_none(signed: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("import sys; sys.exit('no such thing here')")
    monkeypatch.setattr(signing, "_WORKER", worker)
    with pytest.raises(LevitMobileError, match=r"model-signing did not answer \(no such thing here\)"):
        found(signed, keys)
