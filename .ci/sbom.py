"""What this project stands on: a CycloneDX document and a list of licences, from the metadata of what is installed.

`make sbom` writes build/sbom.cdx.json and build/licences.md. `refusals` names distributions whose licence the project
does not take; a test asks it.
"""

import json
import re
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOTS = ("crm-pipeline", "crm-sandbox")
EXTRAS = frozenset({"sandbox", "dg", "bench", "dev"})
PERMITTED = re.compile(
    r"(MIT|MIT-0|BSD(-[0-4]-Clause)?|0BSD|Apache-2\.0|ISC|PSF-2\.0|Python-2\.0|CNRI-Python|Unlicense|MPL-2\.0|Zlib|HPND|CC0-1\.0)\Z"
)
EXCEPTIONS: Mapping[str, str] = {
    "psycopg2-binary": "LGPL-3.0 with its own exceptions; dagster-postgres and SQLAlchemy load it as a library, unchanged.",
}
"""Distributions that are taken although their licence is not on the list, each with the reason."""
_NAMES = (  # what metadata calls the licences, in the order in which it is looked for
    (r"apache", "Apache-2.0"),
    (r"mozilla|mpl", "MPL-2.0"),
    (r"lgpl|lesser general", "LGPL-3.0"),
    (r"gpl|general public", "GPL-3.0"),
    (r"python software foundation|psf", "PSF-2.0"),
    (r"\bisc\b", "ISC"),
    (r"unlicense|public domain", "Unlicense"),
    (r"bsd", "BSD"),
    (r"\bmit\b|expat", "MIT"),
)


@dataclass(frozen=True)
class Part:
    """A distribution: its name, version, licence as an SPDX expression, and what it needs."""

    name: str
    version: str
    licence: str
    needs: tuple[str, ...]


def parts(roots: Iterable[str] = ROOTS, extras: frozenset[str] = EXTRAS) -> dict[str, Part]:
    """Return the distributions that the roots need, directly or not, by name; `extras` are those of the roots."""
    found: dict[str, Part] = {}
    waiting: list[tuple[str, frozenset[str]]] = [
        (canonicalize_name(root), extras) for root in roots
    ]
    seen = set(waiting)
    while waiting:
        name, wanted = waiting.pop()
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue  # for another platform or Python, or an extra that is not installed here
        needs = list(_needs(installed, wanted))
        before = found[name].needs if name in found else ()
        names = tuple(sorted({*before, *(need for need, _ in needs)}))
        found[name] = Part(name, installed.version, licence_of(installed), names)
        waiting += (fresh := [need for need in needs if need not in seen])
        seen.update(fresh)
    return dict(sorted(found.items()))


def _needs(installed: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for text in installed.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def licence_of(installed: Distribution) -> str:
    """Return the licence of a distribution as an SPDX expression, "" where its metadata says none."""
    about: Any = installed.metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or ()
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    said = classifiers or [(about.get("License") or "").split("\n", 1)[0]]
    named = {name for text in said for name in [_spdx(text)] if name}
    return " OR ".join(sorted(named)) if classifiers else " ".join(named)


def _spdx(text: str) -> str:
    return next((name for pattern, name in _NAMES if re.search(pattern, text, re.IGNORECASE)), text)


def is_permitted(expression: str) -> bool:
    """Tell whether an expression leaves a choice that the project takes: `A OR B` needs one, `A AND B` both."""
    tokens = re.findall(r"[()]|[^\s()]+", re.sub(r"\s+WITH\s+\S+", "", expression))
    return bool(tokens) and _any(tokens) and not tokens


def _any(tokens: list[str]) -> bool:
    """Take alternatives off the tokens, and tell whether one of them is permitted."""
    is_good = _all(tokens)
    while tokens[:1] == ["OR"]:
        del tokens[0]
        is_good = _all(tokens) or is_good
    return is_good


def _all(tokens: list[str]) -> bool:
    is_good = _one(tokens)
    while tokens[:1] == ["AND"]:
        del tokens[0]
        is_good = _one(tokens) and is_good
    return is_good


def _one(tokens: list[str]) -> bool:
    first = tokens.pop(0) if tokens else ""
    if first != "(":
        return PERMITTED.match(first) is not None
    is_good = _any(tokens)
    del tokens[:1]  # the closing parenthesis
    return is_good


def refusals(found: Mapping[str, Part]) -> list[str]:
    """Return a sentence for each distribution whose licence is not permitted."""
    return [
        f"{part.name} {part.version} has the licence '{part.licence or 'unknown'}': do without it, or give a reason in "
        "EXCEPTIONS of .ci/sbom.py."
        for part in found.values()
        if not is_permitted(part.licence) and part.name not in EXCEPTIONS
    ]


def cyclonedx(found: Mapping[str, Part]) -> dict[str, Any]:
    """Return a CycloneDX 1.6 document; it is the same for the same parts."""
    components = [_component(part) for part in found.values()]
    content = json.dumps(components, sort_keys=True)
    root = found[ROOTS[0]]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {"component": _component(root) | {"type": "application"}},
        "components": [one for one in components if one["bom-ref"] != _reference(root)],
        "dependencies": [
            {
                "ref": _reference(part),
                "dependsOn": [_reference(found[name]) for name in part.needs if name in found],
            }
            for part in found.values()
        ],
    }


def _reference(part: Part) -> str:
    return f"pkg:pypi/{part.name}@{part.version}"


def _component(part: Part) -> dict[str, Any]:
    # "BSD" alone, as older metadata has it, is no SPDX expression.
    is_exact = "BSD" not in part.licence.split() and is_permitted(part.licence)
    said = {"expression": part.licence} if is_exact else {"license": {"name": part.licence}}
    known = {"licenses": [said]}
    where = {"bom-ref": _reference(part), "purl": _reference(part)}
    return {"type": "library", "name": part.name, "version": part.version, **where, **known}


def listing(found: Mapping[str, Part]) -> str:
    """Return the list of licences as Markdown."""
    lines = [f"| {part.name} | {part.version} | {part.licence} |" for part in found.values()]
    return "\n".join(
        ["# Licences", "", "| distribution | version | licence |", "|---|---|---|", *lines, ""]
    )


def main(folder: Path) -> int:
    """Write both files below a folder."""
    found = parts(extras=frozenset({"sandbox"}))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sbom.cdx.json").write_text(
        json.dumps(cyclonedx(found), indent=2) + "\n", encoding="utf-8"
    )
    (folder / "licences.md").write_text(listing(found), encoding="utf-8")
    problems = refusals(found)
    print("\n".join([f"{len(found)} distributions, in {folder}", *problems]))
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "build")))
