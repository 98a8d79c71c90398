"""Property values of a .ui file as PythonQt code would write them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtGui


def uiValue(element: ElementTree.Element) -> Any:
    """From `<string>`, `<bool>`, `<stringlist>`, ... Raises NotImplementedError for other kinds."""
    kind, text = element.tag, element.text or ""
    if kind in ("string", "cstring"):
        return text
    if kind == "bool":
        return text.strip() == "true"
    if kind in ("number", "longlong", "uint"):
        return int(text)
    if kind in ("double", "float"):
        return float(text)
    if kind == "stringlist":
        return [item.text or "" for item in element.findall("string")]
    if kind == "enum":
        return text.rpartition("::")[2]
    if kind == "set":
        return "|".join(part.rpartition("::")[2] for part in text.split("|"))
    if kind == "color":
        red, green, blue = (int(element.findtext(key, "0")) for key in ("red", "green", "blue"))
        return QtGui.QColor(red, green, blue, int(element.get("alpha", "255")))
    if kind == "size":
        return QtCore.QSize(int(element.findtext("width", "0")), int(element.findtext("height", "0")))
    if kind == "iconset":
        return QtGui.QIcon(text.strip())
    raise NotImplementedError(f"The harness does not read <{kind}> in a .ui file.")
