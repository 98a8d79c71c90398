"""Which nodes a selector lists, as Slicer's `qMRMLSortFilterProxyModel` decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class NodeFilter:
    nodeTypes: list[str] = field(default_factory=list)
    showHidden: bool = False
    showChildNodeTypes: bool = True
    hideChildNodeTypes: list[str] = field(default_factory=list)
    attributes: dict[str, dict[str, str | None]] = field(default_factory=dict)

    def mayAccept(self, node: Any) -> bool:
        """Whether it could come to be listed by a change of its own."""
        return not self.nodeTypes or any(node.IsA(kind) for kind in self.nodeTypes)

    def accepts(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if any(node.IsA(kind) for kind in self.hideChildNodeTypes):
            return False
        if not self.nodeTypes:
            return True
        return any(self._isOf(node, kind) and self._hasAttributes(node, kind) for kind in self.nodeTypes)

    def _isOf(self, node: Any, kind: str) -> bool:
        return bool(node.IsA(kind)) if self.showChildNodeTypes else node.GetClassName() == kind

    def _hasAttributes(self, node: Any, kind: str) -> bool:
        for name, wanted in self.attributes.get(kind, {}).items():
            value = node.GetAttribute(name)
            if value is None or (wanted is not None and value != wanted):
                return False
        return True

    def candidates(self, scene: Any) -> list[Any]:
        """Those that may be accepted, in the order of the scene."""
        if scene is None:
            return []
        nodes = scene.GetNodes()
        everything = (nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems()))
        return [node for node in everything if node.GetID() and self.mayAccept(node)]
