"""Signatures of bundles, with a key that lies in a file: OpenSSF Model Signing's format, a sigstore bundle beside the folder.

No network is used to sign or to verify. The package model-signing wants newer versions of others than litert-torch allows;
where it is not installed beside us, it runs in an environment of its own, which is made once.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from exporters.environment import Environment, is_ready, make_ready
from levit_mobile.bundle import Bundle, file_digest
from levit_mobile.errors import BundleError, ExportError, LevitMobileError, UsageError, install_hint

__all__ = ["ENVIRONMENT", "PASSWORD", "check_signature", "is_prepared", "prepare", "sign_bundle", "signature_beside"]

PASSWORD = "LEVIT_MOBILE_KEY_PASSWORD"  # the variable that may hold a private key's password
_WORKER = Path(__file__).with_name("signing_worker.py")
_SECONDS = 300
ENVIRONMENT = Environment(
    name="model-signing",
    requirements=resources.files("levit_mobile").joinpath("data", "sign-requirements.txt").read_text("utf-8"),
    pythons=("3.13", "3.12", "3.11"),
    proof=("model_signing.signing", "model_signing.verifying"),
    needed_by="signing",
    instead=f"what has it beside levit-mobile: {install_hint('sign')}",
    room=0.2,
)


def signature_beside(folder: Path) -> Path:
    """Where a bundle's signature lies if nobody says otherwise: ``NAME.sig`` beside the folder ``NAME``."""
    whole = folder.absolute()
    return whole.with_name(f"{whole.name}.sig")


def is_prepared() -> bool:
    """Whether ``prepare`` has nothing to do."""
    return find_spec("model_signing") is not None or is_ready(ENVIRONMENT)


def prepare() -> Path:
    """The Python that has model-signing: this one, or that of an environment, made if need be.

    Raises:
        ExportError: it could not be made.
        RuntimeMissingError: there is no Python for it.
    """
    return Path(sys.executable) if find_spec("model_signing") is not None else make_ready(ENVIRONMENT)


def sign_bundle(bundle: Bundle, key: Path, signature: Path) -> None:
    """Sign every file of a bundle. The signature is other bytes each time, since ECDSA draws a random number.

    Args:
        bundle: that is whole.
        key: the private key, PEM, on the curve P-256, P-384 or P-521; if it is encrypted, ``$LEVIT_MOBILE_KEY_PASSWORD``
            opens it.
        signature: the file to write; an earlier one is replaced.

    Raises:
        BundleError: the bundle is damaged.
        ExportError: the signature cannot be written.
        UsageError: the key cannot be used, or the signature would lie inside the bundle.
    """
    if damage := bundle.damage():
        raise BundleError(f"{bundle.folder} is not signed: {'; '.join(damage)}")
    if signature.absolute().is_relative_to(bundle.folder.absolute()):
        raise UsageError(f"{signature} lies inside the bundle, whose files it is about; name a file beside it")
    if not key.is_file():
        raise UsageError(f"{key}: no such file; docs/trust.md says how a key is made")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{signature.name}.", dir=signature.absolute().parent) as folder:
            part = Path(folder) / "signature"
            refused = _ask(True, bundle.folder, key, part, os.environ.get(PASSWORD, ""))
            if refused is not None:
                raise UsageError(f"{key}: cannot sign with it ({refused}); docs/trust.md says how a key is made")
            part.replace(signature)
    except OSError as error:
        raise ExportError(f"cannot write {signature}: {error.strerror or error}") from error


def check_signature(bundle: Bundle, key: Path, signature: Path) -> list[str]:
    """What differs from what the key's owner signed, file by file. Empty when all is well.

    Args:
        bundle: whose files are looked at.
        key: the public key, PEM.
        signature: made by ``sign_bundle``, or by model-signing's own command.

    Raises:
        UsageError: no such files.
    """
    for path, what in ((signature, "signature"), (key, "public key")):
        if not path.is_file():
            raise UsageError(f"{path}: no such file; name the {what}")
    refused = _ask(False, bundle.folder, key, signature, "")
    if refused is not None and not refused.startswith("Signature mismatch"):
        return [f"{signature}: not a signature by {key} ({refused})"]
    # By now the key's owner is known to have signed this list. It may leave files out, which then nobody vouches for.
    try:
        signed = _signed_files(signature)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"{signature}: cannot be read ({error!r})"]
    inside = [path for path in bundle.folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    present = {path.relative_to(bundle.folder).as_posix(): path for path in inside}
    found = [f"{name} is missing, and was signed" for name in sorted(signed.keys() - present.keys())]
    found += [f"{name} is not signed" for name in sorted(present.keys() - signed.keys())]
    for name in sorted(signed.keys() & present.keys()):
        if present[name].is_symlink() or signed[name] != file_digest(present[name]):
            found.append(f"{name} is not what was signed")
    return found or ([f"{signature}: {refused}"] if refused is not None else [])


def _signed_files(signature: Path) -> Mapping[str, str]:
    """{file: sha256} of a signature that has been verified."""
    payload = json.loads(base64.b64decode(json.loads(signature.read_text("utf-8"))["dsseEnvelope"]["payload"]))
    return {str(row["name"]): str(row["digest"]) for row in payload["predicate"]["resources"]}


def _ask(sign: bool, bundle: Path, key: Path, signature: Path, password: str) -> str | None:
    """Let the worker do it; why it could not, or None."""
    asked = {
        "sign": sign,
        "bundle": str(bundle.absolute()),
        "key": str(key.absolute()),
        "signature": str(signature.absolute()),
        "password": password,
    }
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") and name != PASSWORD}
    done = subprocess.run(
        [str(prepare()), "-I", str(_WORKER)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        env=settings,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        words = " ".join(done.stderr.split())[-300:]
        raise LevitMobileError(f"model-signing did not answer ({words or done.returncode})") from error
    refused: str | None = answer.get("refused")
    return None if refused is None else " ".join(refused.split())
