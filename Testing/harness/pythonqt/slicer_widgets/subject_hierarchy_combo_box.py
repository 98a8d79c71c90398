"""`qMRMLSubjectHierarchyComboBox`: the items of the subject hierarchy, as a flat indented list."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt.ctk_widgets.combo_box import ctkComboBox
from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.observing import Observations


@implements
class qMRMLSubjectHierarchyComboBox(ctkComboBox):
    """Filters by level, node types and attributes; lists of plugins and hidden child types have no effect."""

    currentItemChanged = QtCore.Signal(object)
    currentItemModified = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._hierarchy: Any = None
        self._root = 0
        self._levels: list[str] = []
        self._itemAttributes: dict[str, Any] = {}
        self._nodeAttributes: dict[str, Any] = {}
        self._observations = Observations(self)
        self.defaultText = "Select subject hierarchy item"
        self.currentIndexChanged.connect(self._onRow)

    def _onRow(self, _row: int) -> None:
        self.currentItemChanged.emit(self.currentItem())

    def mrmlScene(self) -> Any:
        return self._scene

    def subjectHierarchyNode(self) -> Any:
        return self._hierarchy

    def setMRMLScene(self, scene: Any) -> None:
        import slicer

        self._observations.removeAll()
        self._scene = scene
        node = slicer.vtkMRMLSubjectHierarchyNode
        self._hierarchy = node.GetSubjectHierarchyNode(scene) if scene is not None else None
        if self._hierarchy is not None:
            node = self._hierarchy
            self._root = node.GetSceneItemID()
            for event in (
                node.SubjectHierarchyItemAddedEvent,
                node.SubjectHierarchyItemRemovedEvent,
                node.SubjectHierarchyItemModifiedEvent,
                node.SubjectHierarchyItemReparentedEvent,
            ):
                self._observations.add(node, event, self._fill)
        self._fill()

    def _fill(self, _caller: Any = None) -> None:
        current = self.currentItem()
        blocker = QtCore.QSignalBlocker(self)
        self.clear()
        if self._hierarchy is not None:
            if self.noneEnabled:
                self.addItem(self.noneDisplay, 0)
            self._addChildren(self._root, 0)
        self.setCurrentIndex(max(self.findData(current), 0 if self.noneEnabled and self.count() else -1))
        blocker.unblock()
        if self.currentItem() != current:
            self.currentItemChanged.emit(self.currentItem())

    def _addChildren(self, parent: int, depth: int) -> None:
        from vtkmodules.vtkCommonCore import vtkIdList

        children = vtkIdList()
        self._hierarchy.GetItemChildren(parent, children, False)
        for number in range(children.GetNumberOfIds()):
            item = children.GetId(number)
            if self._accepts(item):
                self.addItem("  " * depth + self._hierarchy.GetItemName(item), item)
            self._addChildren(item, depth + 1)

    def _accepts(self, item: int) -> bool:
        node = self._hierarchy.GetItemDataNode(item)
        if node is not None and node.GetHideFromEditors():
            return False
        if self.nodeTypes and (node is None or not any(node.IsA(kind) for kind in self.nodeTypes)):
            return False
        if self._levels and self._hierarchy.GetItemLevel(item) not in self._levels:
            return False
        for name, value in self._itemAttributes.items():
            if not self._hierarchy.HasItemAttribute(item, name):
                return False
            if value is not None and self._hierarchy.GetItemAttribute(item, name) != str(value):
                return False
        for name, value in self._nodeAttributes.items():
            if node is None or node.GetAttribute(name) is None:
                return False
            if value is not None and node.GetAttribute(name) != str(value):
                return False
        return True

    def currentItem(self) -> int:
        return int(self.currentData() or 0)

    def setCurrentItem(self, item: int) -> None:
        self.setCurrentIndex(self.findData(item))

    def clearSelection(self) -> None:
        self.setCurrentIndex(0 if self.noneEnabled and self.count() else -1)

    def currentNode(self) -> Any:
        item = self.currentItem()
        return self._hierarchy.GetItemDataNode(item) if item and self._hierarchy is not None else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentItem(self._hierarchy.GetItemByDataNode(node) if node is not None else 0)

    def rootItem(self) -> int:
        return self._root

    def setRootItem(self, item: int) -> None:
        self._root = item
        self._fill()

    def setLevelFilter(self, levels: list[str]) -> None:
        self._levels = list(levels)
        self._fill()

    def addItemAttributeFilter(self, name: str, value: Any = None, include: bool = True) -> None:
        if include:
            self._itemAttributes[name] = value
        self._fill()

    def removeItemAttributeFilter(self, name: str, *_rest: Any) -> None:
        self._itemAttributes.pop(name, None)
        self._fill()

    def addNodeAttributeFilter(self, name: str, value: Any = None, include: bool = True, _kind: str = "") -> None:
        if include:
            self._nodeAttributes[name] = value
        self._fill()

    def removeNodeAttributeFilter(self, name: str, *_rest: Any) -> None:
        self._nodeAttributes.pop(name, None)
        self._fill()

    def _ignore(self, _names: Any) -> None:
        """There are no plugins here."""

    setPluginAllowlist = setPluginBlocklist = setPluginWhitelist = setPluginBlacklist = disablePlugin = _ignore
    setHideChildNodeTypes = _ignore

    def sortFilterProxyModel(self) -> Any:
        raise NotImplementedError("The harness has no qMRMLSubjectHierarchyComboBox.sortFilterProxyModel().")

    nodeTypes = stored("QStringList", [], "_fill")
    noneEnabled = stored(bool, False, "_fill")
    noneDisplay = stored(str, "None", "_fill")
    showRootItem = stored(bool, False)
    highlightReferencedItems = stored(bool, True)
    maximumNumberOfShownItems = stored(int, 20)
    alignPopupVertically = stored(bool, True)
    showCurrentItemParents = stored(bool, True)
    showEmptyHierarchyItems = stored(bool, True)
    includeItemAttributeNamesFilter = stored("QStringList", [])
    includeNodeAttributeNamesFilter = stored("QStringList", [])
    excludeItemAttributeNamesFilter = stored("QStringList", [])
    excludeNodeAttributeNamesFilter = stored("QStringList", [])
    attributeNameFilter = stored(str, "")
    attributeValueFilter = stored(str, "")
