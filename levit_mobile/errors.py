"""What goes wrong, by kind. The command line turns each into one sentence and an exit code."""

from __future__ import annotations

__all__ = [
    "BoardError",
    "BundleError",
    "CalibrationError",
    "CheckError",
    "CheckpointError",
    "DownloadError",
    "ExportError",
    "LevitMobileError",
    "NoWheelError",
    "PictureError",
    "RuntimeMissingError",
    "UsageError",
    "cannot_load",
    "install_hint",
]


class LevitMobileError(Exception):
    """Base of every error that this toolkit raises on purpose. ``exit_code`` is what the shell gets."""

    exit_code = 2


class UsageError(LevitMobileError):
    """The request makes no sense as typed; the message says what to type instead."""


class CheckpointError(LevitMobileError):
    """A checkpoint cannot be read, recognised or fitted."""


class DownloadError(LevitMobileError):
    """A file could not be fetched whole."""


class NoWheelError(DownloadError):
    """The index was reached, and has no wheel of a package for a machine."""


class PictureError(LevitMobileError):
    """A file that should be a picture is not, or cannot be decoded."""


class CalibrationError(LevitMobileError):
    """There are no calibration pictures, or ranges that belong to other weights."""


class ExportError(LevitMobileError):
    """A converter failed, or its output cannot be written."""


class RuntimeMissingError(LevitMobileError):
    """A package that this command needs is not installed, with what to install, or is there and cannot be loaded."""


class BundleError(LevitMobileError):
    """A bundle is not there, not whole, or not what its manifest says."""

    exit_code = 1


class CheckError(LevitMobileError):
    """An artifact ran and failed its check against PyTorch."""

    exit_code = 1


class BoardError(LevitMobileError):
    """A board cannot be reached or used, or was lost while it measured."""


def install_hint(*extras: str) -> str:
    """What to type to get the packages of these extras; the toolkit is on no index, so from its checkout."""
    what = f"'.[{','.join(extras)}]'" if extras else "."
    return f"type in the checkout: pip install {what}"


def cannot_load(package: str, error: ImportError) -> RuntimeMissingError:
    """What to say of a package that is there and does not load; installing it once more may not help."""
    return RuntimeMissingError(f"{package} is installed but cannot be loaded: {' '.join(str(error).split())}")
