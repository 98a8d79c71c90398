"""What the reference `slicer_qt_api.json` says about each class: loaded on first use, with inheritance resolved."""

from __future__ import annotations

import json
import lzma
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

API_FILE = Path(__file__).with_name("slicer_qt_api.json.xz")
_SIGNATURE = re.compile(r"^(?P<static>static )?(?:(?P<result>.*?) )?(?P<name>\w+)\((?P<parameters>.*)\)$")


@dataclass(frozen=True)
class Signature:
    """One slot, invokable or signal. `types` are normalised C++ types; the last `optional` of them may be left out."""

    name: str
    types: tuple[str, ...]
    optional: int = 0
    result: str = ""

    @property
    def text(self) -> str:
        return f"{self.name}({','.join(self.types)})"

    def takes(self, count: int) -> bool:
        return len(self.types) - self.optional <= count <= len(self.types)


@dataclass(frozen=True)
class Property:
    name: str
    type: str
    writable: bool
    owner: str


@dataclass(frozen=True)
class EnumFacts:
    name: str
    owner: str
    registered: bool
    values: dict[str, int]


@dataclass(frozen=True)
class Methods:
    """All overloads of one name in the class where it was found. No signatures: a plain public method of Qt."""

    name: str
    owner: str
    signatures: tuple[Signature, ...] = ()


@dataclass
class ClassFacts:
    """One class with everything that it inherits (the nearest class wins)."""

    name: str
    header: str
    isQObject: bool
    constructor: str | None
    lineage: tuple[str, ...]
    properties: dict[str, Property] = field(default_factory=dict)
    methods: dict[str, Methods] = field(default_factory=dict)
    signals: dict[str, tuple[Signature, ...]] = field(default_factory=dict)
    enums: dict[str, EnumFacts] = field(default_factory=dict)

    @property
    def isQtsOwn(self) -> bool:
        return self.name.startswith("Q")

    def enumOfValue(self, name: str) -> EnumFacts | None:
        for enum in self.enums.values():
            if enum.registered and name in enum.values:
                return enum
        return None

    def signalSignature(self, text: str) -> Signature | None:
        """The signal with this signature, written in any way that moc accepts; None if there is none."""
        wanted = parseSignature(text)
        if wanted is None:
            return None
        for signature in self.signals.get(wanted.name, ()):
            if signature.types == wanted.types:
                return signature
        return None


def normaliseType(text: str) -> str:
    """As `QMetaObject::normalizedType`: no blanks around `*` and `&`, no `const X&`."""
    text = re.sub(r"\s+", " ", text.strip())
    text = re.sub(r"\s*([*&<>,])\s*", r"\1", text)
    match = re.fullmatch(r"(?:const )?(.*[^*&])&", text)
    if match:
        return match.group(1)
    match = re.fullmatch(r"const ([^*&]*)", text)
    return match.group(1) if match else text


def splitTypes(text: str) -> list[str]:
    """Splits at the commas that are not inside angle brackets."""
    parts, depth, part = [], 0, ""
    for character in text:
        depth += (character == "<") - (character == ">")
        if character == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += character
    return [*parts, part] if part.strip() or parts else []


@cache
def parseSignature(text: str) -> Signature | None:
    match = _SIGNATURE.match(text.strip().lstrip("12") if text[:1] in "12" else text.strip())
    if match is None:
        return None
    raw = splitTypes(match["parameters"])
    types = tuple(normaliseType(part.rstrip("=")) for part in raw)
    return Signature(match["name"], types, sum(part.endswith("=") for part in raw), match["result"] or "")


@cache
def rawClasses() -> dict[str, dict[str, Any]]:
    with lzma.open(API_FILE) as file:
        return json.load(file)["classes"]


def classNames() -> tuple[str, ...]:
    return tuple(rawClasses())


def isKnownClass(name: str) -> bool:
    return name in rawClasses()


@cache
def classFacts(name: str) -> ClassFacts:
    """The facts of a class. Raises KeyError when the reference does not list it."""
    raw = rawClasses()[name]
    bases = [base for base in raw["bases"] if isKnownClass(base)]
    parents = [classFacts(base) for base in bases]
    lineage = tuple(dict.fromkeys([name, *raw["bases"], *(n for parent in parents for n in parent.lineage)]))
    facts = ClassFacts(name, raw["header"], raw["qobject"], raw["python_constructor"], lineage)
    for parent in reversed(parents):
        facts.properties.update(parent.properties)
        facts.methods.update(parent.methods)
        facts.signals.update(parent.signals)
        facts.enums.update(parent.enums)
    for key, value in raw["properties"].items():
        facts.properties[key] = Property(key, value["type"], value["writable"], name)
    facts.methods.update(_ownMethods(name, raw, facts))
    for signal, signatures in _grouped(raw["signals"]).items():
        facts.signals[signal] = tuple(dict.fromkeys([*signatures, *facts.signals.get(signal, ())]))
    for enum in raw["enums"]:
        numbers = enum.get("numbers") or range(len(enum["values"]))
        values = dict(zip(enum["values"], numbers, strict=True))
        facts.enums[enum["name"]] = EnumFacts(enum["name"], name, enum["registered"], values)
    return facts


def _ownMethods(name: str, raw: dict[str, Any], inherited: ClassFacts) -> dict[str, Methods]:
    own: dict[str, Methods] = {method: Methods(method, name) for method in raw.get("methods", ())}
    texts = [*raw["slots"], *raw["invokables"], *raw.get("decorators", ())]
    for method, signatures in _grouped(texts).items():
        # Python sees the overloads of all classes of the hierarchy together.
        more = inherited.methods[method].signatures if method in inherited.methods else ()
        own[method] = Methods(method, name, tuple(dict.fromkeys([*signatures, *more])))
    return own


def _grouped(texts: list[str]) -> dict[str, tuple[Signature, ...]]:
    grouped: dict[str, tuple[Signature, ...]] = {}
    for text in texts:
        signature = parseSignature(text)
        if signature is not None:
            grouped[signature.name] = (*grouped.get(signature.name, ()), signature)
    return grouped
