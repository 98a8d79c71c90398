"""What a .ui file says: checked against the reference before Qt loads it, since Qt itself ignores what is wrong."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

from Testing.harness.pythonqt import errors
from Testing.harness.pythonqt.facts import ClassFacts, classFacts, isKnownClass
from Testing.harness.pythonqt.implementations import implementationOf

# Designer offers these as properties although the classes have none of that name.
_DESIGNER_ONLY = {"QLabel": {"buddy"}, "QTabWidget": {"currentTabText"}, "QTableView": {"showDropIndicator"}}
_DESIGNER_CLASSES = {"Line": "QFrame", "QLayoutWidget": "QWidget"}


@dataclass(frozen=True)
class UiConnection:
    sender: str
    signal: str
    receiver: str
    slot: str


@dataclass
class UiFile:
    """The XML without what the harness does itself: properties of CTK's and Slicer's own classes, and connections."""

    root: ElementTree.Element
    topLevel: str = ""
    laterProperties: list[tuple[str, str, ElementTree.Element]] = field(default_factory=list)
    connections: list[UiConnection] = field(default_factory=list)

    @property
    def xml(self) -> bytes:
        return ElementTree.tostring(self.root)


def parseUiFile(data: bytes) -> UiFile:
    """Raises SilentFailure: a class, a property, or a connection that does not exist; NotImplementedError."""
    file = UiFile(ElementTree.fromstring(data))
    names: set[str] = set()
    for number, widget in enumerate(file.root.iter("widget")):
        name = widget.get("name") or f"unnamed{number}"
        widget.set("name", name)
        if name in names:
            raise errors.silentFailure(f"The .ui file has two widgets with the name {name!r}.")
        names.add(name)
        _takeProperties(file, widget, name)
    for action in file.root.iter("action"):
        _checkProperties(action, classFacts("QAction"), action.get("name", ""))
    top = file.root.find("widget")
    file.topLevel = top.get("name", "") if top is not None else ""
    _takeConnections(file)
    return file


def _factsOf(widget: ElementTree.Element) -> ClassFacts:
    name = _DESIGNER_CLASSES.get(widget.get("class", ""), widget.get("class", ""))
    if not isKnownClass(name):
        raise errors.silentFailure(f"The .ui file names the class {name!r}, which Slicer does not have.")
    if implementationOf(name) is None:
        raise NotImplementedError(f"The harness does not implement {name}.")
    return classFacts(name)


def _checkProperties(element: ElementTree.Element, facts: ClassFacts, name: str) -> None:
    for item in element.findall("property"):
        key = item.get("name", "")
        fake = any(key in _DESIGNER_ONLY.get(owner, ()) for owner in facts.lineage)
        line = element.get("class") == "Line" and key == "orientation"
        # Designer marks dynamic properties so; Slicer's own begin with its name.
        dynamic = item.get("stdset") == "0" or key.startswith("Slicer")
        if key not in facts.properties and not (fake or line or dynamic):
            raise errors.silentFailure(f"The .ui file sets {name}.{key}, but {facts.name} has no such property.")
        if key in facts.properties and not facts.properties[key].writable:
            raise errors.silentFailure(f"The .ui file sets {name}.{key}, which cannot be written.")


def _takeProperties(file: UiFile, widget: ElementTree.Element, name: str) -> None:
    facts = _factsOf(widget)
    _checkProperties(widget, facts, name)
    for item in widget.findall("property"):
        known = facts.properties.get(item.get("name", ""))
        if known is not None and not known.owner.startswith("Q"):
            file.laterProperties.append((name, known.name, item[0]))
            widget.remove(item)


def _takeConnections(file: UiFile) -> None:
    for group in file.root.findall("connections"):
        for item in group.findall("connection"):
            texts = (item.findtext(key, "") for key in ("sender", "signal", "receiver", "slot"))
            file.connections.append(UiConnection(*texts))
        file.root.remove(group)
