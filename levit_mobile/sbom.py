"""The bill of materials of a bundle: which packages an export stands on, as CycloneDX 1.6 JSON.

It has no date and no random number in it: the same environment gives the same bytes. What is installed beside, and no package
in the list needs, is not in it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

from levit_mobile import __version__

__all__ = ["SBOM", "bill_of_materials", "licence_of", "needed"]

SBOM = "sbom.cdx.json"
_LONGEST = 64  # letters of a licence's name; some packages have the whole text in its place, the name in its first line


def needed(roots: Iterable[str]) -> dict[str, list[str]]:
    """What is installed of these packages and of all that they need: {name: the names that it needs}, sorted.

    Args:
        roots: as in a requirement: ``torch``, or ``levit-mobile[tflite]``.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, set[str]] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(r.name), extra) for r in map(Requirement, roots) for extra in ("", *r.extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # installed with pip's --no-deps, as some are
            continue
        needs = found.setdefault(name, set())
        for text in distribution.requires or ():
            requirement = Requirement(text)
            other = canonicalize_name(requirement.name)
            # With an extra, also what needs no extra is listed; it is in found by then.
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(other, wanted) for wanted in ("", *requirement.extras)]
                needs.add(other)
    return {name: sorted(needs & found.keys() - {name}) for name, needs in sorted(found.items())}


def licence_of(about: Any) -> str:
    """A package's licence as its metadata has it: an SPDX expression, or a name, or empty.

    Args:
        about: ``importlib.metadata.metadata`` of it.
    """
    if expression := about.get("License-Expression"):
        return str(expression)
    told = (about.get("License") or "").strip().removeprefix("UNKNOWN")
    names = [entry.rpartition(" :: ")[2] for entry in about.get_all("Classifier") or () if entry.startswith("License")]
    if len(told) > _LONGEST and names:
        return " and ".join(names)
    return told.partition("\n")[0].strip()[:_LONGEST] or " and ".join(names)


def bill_of_materials(extra: str, packages: Iterable[str], others: Mapping[str, str]) -> str:
    """The JSON text.

    Args:
        extra: of this toolkit, whose packages are listed with all that they need.
        packages: listed too, whether or not the extra names them.
        others: {name: version} of packages in an environment of their own that took part.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from packageurl import PackageURL

    graph = needed([f"levit-mobile[{extra}]", *packages])
    own = Component(name="levit-mobile", version=__version__, type=ComponentType.APPLICATION, bom_ref="levit-mobile")
    made = {}
    for name in graph.keys() - {"levit-mobile"}:
        distribution = metadata.distribution(name)
        made[name] = Component(
            name=name,
            version=distribution.version,
            type=ComponentType.LIBRARY,
            licenses=_licences(licence_of(distribution.metadata)),
            purl=PackageURL("pypi", name=name, version=distribution.version),
            bom_ref=name,
        )
    python = platform.python_implementation()
    made["python"] = Component(
        name=python, version=platform.python_version(), type=ComponentType.PLATFORM, bom_ref="python"
    )
    elsewhere = [
        Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=PackageURL("pypi", name=name, version=version),
            bom_ref=f"elsewhere {name}",
        )
        for name, version in others.items()
    ]
    bill = Bom(components=[*made.values(), *elsewhere])
    bill.metadata.component = own
    bill.metadata.timestamp = None  # type: ignore[assignment]  # the default is now
    bill.serial_number = None  # type: ignore[assignment]  # the default is random
    roots = graph.get("levit-mobile") or [name for name in packages if name in made]
    bill.register_dependency(own, [made[name] for name in roots] + [made["python"], *elsewhere])
    for name in graph.keys() - {"levit-mobile"}:
        bill.register_dependency(made[name], [made[other] for other in graph[name] if other in made])
    text: str = make_outputter(bill, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    return text + "\n"


def _licences(told: str) -> list[Any]:
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
    from cyclonedx.spdx import fixup_id, is_expression

    if not told:
        return []
    if known := fixup_id(told):
        return [DisjunctiveLicense(id=known)]
    return [LicenseExpression(told) if is_expression(told) else DisjunctiveLicense(name=told)]
