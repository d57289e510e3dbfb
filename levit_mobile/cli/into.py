"""Where in an app's project the demo apps look for bundles."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from levit_mobile.errors import UsageError

__all__ = ["bundles_of"]


@dataclass(frozen=True)
class _App:
    """A kind of project: what it is recognised by, where its bundles are, and which targets its app runs."""

    name: str
    signs: tuple[str, ...]
    place: str
    targets: tuple[str, ...]


_APPS = (
    _App(
        "an Android project",
        ("settings.gradle.kts", "settings.gradle"),
        "app/src/main/assets/bundles",
        ("tflite", "executorch"),
    ),
    _App("an Xcode project", ("*.xcodeproj",), "Bundles", ("coreml", "executorch")),
)


def bundles_of(project: Path, targets: Collection[str]) -> Path:
    """The folder for bundles in the project of an Android or iOS app, like ``android_demo`` and ``ios_demo``.

    Args:
        project: where ``settings.gradle.kts`` or ``*.xcodeproj`` is.
        targets: what is to be put there.

    Raises:
        UsageError: no such project, or its app does not run one of the targets.
    """
    if not project.is_dir():
        raise UsageError(
            f"--into {project}: no such folder; name the folder of an app, such as android_demo or ios_demo"
        )
    for app in _APPS:
        if any(next(project.glob(sign), None) for sign in app.signs):
            other = [target for target in targets if target not in app.targets]
            if other:
                raise UsageError(
                    f"--into {project}: {app.name}, whose app runs {' and '.join(app.targets)}, not {' and '.join(other)}"
                )
            return project / app.place
    raise UsageError(
        f"--into {project}: neither an Android project (settings.gradle.kts) nor an Xcode project (*.xcodeproj); "
        "name another folder, or type --out DIR"
    )
