"""`qMRMLNodeComboBox`: selects a node of the scene. Its selection rules are those of Slicer's source.

The rows (None, the nodes in the scene's order, a separator, the menu items) are those of Slicer's model, and the
combo box is a real one, so that what Qt does when rows come and go happens here too.
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.harness.pythonqt.ctk_widgets.combo_box import ctkComboBox
from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.observing import Observations
from Testing.harness.pythonqt.slicer_widgets.node_filter import NodeFilter

_ID = QtCore.Qt.ItemDataRole.UserRole
_ACTION = QtCore.Qt.ItemDataRole.UserRole + 1


@implements
class qMRMLNodeComboBox(QtWidgets.QWidget):
    currentNodeChanged = QtCore.Signal((object,), (bool,))
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAddedByUserAction = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    currentNodeRenamed = QtCore.Signal(str)
    nodeAboutToBeEdited = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._filter = NodeFilter()
        self._observations = Observations(self)
        self._nodeObservations = Observations(self)
        self._requested: str | None = None
        self._switchingScene = False
        self._baseNames: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._newAttributes: dict[str, str] = {}
        self._userActions: list[QtGui.QAction] = []
        self._actionRows = 0
        self._shown: tuple[str | None, str] = (None, "")
        self._combo = ctkComboBox(self)
        self._combo.elideMode = QtCore.Qt.TextElideMode.ElideMiddle
        self._model = QtGui.QStandardItemModel(0, 1, self)
        self._combo.setModel(self._model)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        policy = QtWidgets.QSizePolicy.Policy
        self._combo.setSizePolicy(policy.Expanding, policy.Expanding)
        self.setSizePolicy(
            QtWidgets.QSizePolicy(policy.Preferred, policy.Fixed, QtWidgets.QSizePolicy.ControlType.ComboBox)
        )
        self.setFocusProxy(self._combo)
        self._combo.currentIndexChanged.connect(self._onIndexChanged)
        self._combo.currentTextChanged.connect(self._onTextChanged)
        self._combo.activated.connect(self._onActivated)
        self._combo.view().clicked.connect(self._onViewClicked)
        self._updateDefaultText()
        self.setEnabled(False)

    # --- scene

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        import slicer

        self._observations.removeAll()
        self._nodeObservations.removeAll()
        hadNodes, before = self.nodeCount() > 0, self._readID()
        self._switchingScene = True
        self._scene = scene
        self._rebuild()
        self._switchingScene = False
        if scene is not None:
            events = slicer.vtkMRMLScene
            self._observations.add(scene, events.NodeAddedEvent, self._onNodeAdded, calldata=True)
            self._observations.add(scene, events.NodeAboutToBeRemovedEvent, self._onNodeRemoved, calldata=True)
            for event in (events.EndBatchProcessEvent, events.EndCloseEvent, events.EndImportEvent):
                self._observations.add(scene, event, self._onSceneChanged)
        wanted = before if hadNodes else (self._requested or self._readID())
        self._requested = None
        self._select(wanted)
        self._onIndexChanged(self._combo.currentIndex())
        self._updateDefaultText()
        self.setEnabled(scene is not None)

    def _rebuild(self) -> None:
        self._model.removeRows(0, self._model.rowCount())
        self._actionRows = 0
        if self._scene is None:
            return
        if self._noneEnabled:
            self._model.appendRow(self._noneItem())
        for node in self._listed():
            self._model.appendRow(self._nodeItem(node))
        self._updateActionItems()

    def _onNodeAdded(self, _scene: Any, node: Any) -> None:
        if node is not None and self._filter.mayAccept(node):
            self._sync()

    def _onNodeRemoved(self, _scene: Any, node: Any) -> None:
        # Slicer's model takes the row away before the node leaves the scene.
        if node is not None and self._filter.mayAccept(node):
            self._sync(without=node)

    def _onSceneChanged(self, _scene: Any) -> None:
        self._sync()

    def _onNodeModified(self, node: Any) -> None:
        row = self._rowOf(node.GetID())
        if row >= 0 and self._filter.accepts(node):
            item = self._model.item(row)
            if item.text() != (node.GetName() or ""):
                item.setText(node.GetName() or "")
            return
        if row >= 0 or self._filter.accepts(node):
            self._sync()

    def _sync(self, without: Any = None) -> None:
        """Inserts and removes single rows, so that Qt keeps or moves the current one as it does in Slicer."""
        nodes = self._listed(without)
        wanted = [node.GetID() for node in nodes]
        removed = False
        for row in reversed(range(self._firstRow(), self._firstRow() + self.nodeCount())):
            nodeID = self._model.item(row).data(_ID)
            if nodeID not in wanted:
                leaving = self._scene.GetNodeByID(nodeID) if self._scene is not None else None
                if leaving is not None:
                    self.nodeAboutToBeRemoved.emit(leaving)
                self._model.removeRow(row)
                removed = True
        for position, node in enumerate(nodes):
            row = self._firstRow() + position
            item = self._model.item(row)
            if item is None or item.data(_ID) != node.GetID():
                self._model.insertRow(row, self._nodeItem(node))
                self.nodeAdded.emit(node)
        if removed and self.currentNode() is None:
            self.setCurrentNode(None)

    def _listed(self, without: Any = None) -> list[Any]:
        """The nodes to show. Those that may come to be shown are observed."""
        from vtkmodules.vtkCommonCore import vtkCommand

        self._nodeObservations.removeAll()
        candidates = [node for node in self._filter.candidates(self._scene) if node is not without]
        for node in candidates:
            self._nodeObservations.add(node, vtkCommand.ModifiedEvent, self._onNodeModified)
        return [node for node in candidates if self._filter.accepts(node)]

    # --- rows

    def _firstRow(self) -> int:
        return 1 if self._noneEnabled and self._scene is not None else 0

    def _noneItem(self) -> QtGui.QStandardItem:
        item = QtGui.QStandardItem(self._noneDisplay)
        item.setData("", _ID)
        return item

    @staticmethod
    def _nodeItem(node: Any) -> QtGui.QStandardItem:
        item = QtGui.QStandardItem(node.GetName() or "")
        item.setData(node.GetID(), _ID)
        return item

    def _rowOf(self, nodeID: str | None) -> int:
        for row in range(self._model.rowCount()):
            if nodeID and self._model.item(row).data(_ID) == nodeID:
                return row
        return -1

    def _updateActionItems(self) -> None:
        current = self._combo.currentIndex()
        start = self._model.rowCount() - self._actionRows
        self._model.removeRows(start, self._actionRows)
        items = self._actionItems() if self._scene is not None else []
        for item in items:
            self._model.appendRow(item)
        self._actionRows = len(items)
        self._combo.setCurrentIndex(current)

    def _actionItems(self) -> list[QtGui.QStandardItem]:
        types = self._filter.nodeTypes
        label = self.nodeTypeLabel(types[0] if len(types) == 1 else "")
        texts: list[tuple[str, str]] = []
        if self._renameEnabled:
            texts.append((f"Rename current {label}", "RENAME"))
        if self._editEnabled:
            texts.append((f"Edit current {label}", "EDIT"))
        for kind in types if self._addEnabled else ():
            texts.append((f"Create new {self.nodeTypeLabel(kind)}", f"CREATE/{kind}"))
            if self._renameEnabled:
                texts.append((f"Create new {self.nodeTypeLabel(kind)} as...", f"CREATE_AS/{kind}"))
        if self._removeEnabled:
            texts.append((f"Delete current {label}", "DELETE"))
        texts += [(action.text(), f"USER/{number}") for number, action in enumerate(self._userActions)]
        items = []
        if texts or self._addEnabled:
            separator = QtGui.QStandardItem()
            separator.setFlags(QtCore.Qt.ItemFlag.NoItemFlags)
            separator.setData("separator", QtCore.Qt.ItemDataRole.AccessibleDescriptionRole)
            items.append(separator)
        for text, command in texts:
            item = QtGui.QStandardItem(text)
            item.setData(command, _ACTION)
            # Not selectable: choosing it runs the command and leaves the current node.
            item.setFlags(QtCore.Qt.ItemFlag.ItemIsEnabled)
            items.append(item)
        return items

    def _onViewClicked(self, index: QtCore.QModelIndex) -> None:
        command = index.data(_ACTION)
        if not command:
            return
        self._combo.hidePopup()
        kind, _, detail = command.partition("/")
        if kind in ("CREATE", "CREATE_AS"):
            self._create(detail, askName=kind == "CREATE_AS")
        elif kind == "DELETE":
            self.removeCurrentNode()
        elif kind == "EDIT":
            self.editCurrentNode()
        elif kind == "RENAME":
            self.renameCurrentNode()
        else:
            self._userActions[int(detail)].trigger()

    def _create(self, nodeType: str, askName: bool) -> None:
        name = None
        if askName:
            title = f"Create new {self.nodeTypeLabel(nodeType)}"
            name, accepted = QtWidgets.QInputDialog.getText(self, title, "New name:")
            if not accepted or not name:
                return
        node = self.addNode(nodeType)
        if node is not None:
            if name is not None:
                node.SetName(name)
            self.setCurrentNode(node)
            self.nodeAddedByUserAction.emit(node)

    # --- current node

    def _nodeAt(self, row: int) -> Any:
        item = self._model.item(row) if row >= 0 else None
        nodeID = item.data(_ID) if item is not None else None
        return self._scene.GetNodeByID(nodeID) if nodeID and self._scene is not None else None

    def _onIndexChanged(self, row: int) -> None:
        if self._switchingScene:
            return
        node = self._nodeAt(row)
        if node is None and row != (0 if self._firstRow() else -1):
            # Qt went on to a menu item: the last node is taken instead.
            last = self.nodeFromIndex(self.nodeCount() - 1)
            if last is not None:
                self.setCurrentNode(last)
            return
        shown = (node.GetID() if node is not None else None, self._combo.currentText())
        if shown == self._shown:
            return
        onlyNoneRenamed = node is None and self._shown[0] is None
        self._shown = shown
        if onlyNoneRenamed:
            return
        self.currentNodeChanged.emit(node)
        self.currentNodeChanged[bool].emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def _onTextChanged(self, _text: str) -> None:
        self._onIndexChanged(self._combo.currentIndex())

    def _onActivated(self, row: int) -> None:
        node = self._nodeAt(row)
        if node is not None or (self._noneEnabled and row == 0):
            self.nodeActivated.emit(node)

    def _select(self, nodeID: str | None) -> None:
        row = self._rowOf(nodeID)
        if row < 0 and self._scene is not None:
            row = 0 if self._noneEnabled else -1
        self._combo.setCurrentIndex(row)

    def currentNode(self) -> Any:
        return self._nodeAt(self._combo.currentIndex())

    def _readID(self) -> str:
        node = self.currentNode()
        return node.GetID() if node is not None else ""

    def setCurrentNode(self, node: Any) -> None:
        """A node, or (deprecated in Slicer) its ID."""
        self.setCurrentNodeID(node if isinstance(node, str) else node.GetID() if node is not None else "")

    def setCurrentNodeID(self, nodeID: str) -> None:
        if self._scene is None:
            self._requested = nodeID
            return
        self._select(nodeID)

    def setCurrentNodeIndex(self, index: int) -> None:
        index = -1 if index >= self.nodeCount() else index
        self._combo.setCurrentIndex(index + self._firstRow())

    def nodeCount(self) -> int:
        return self._model.rowCount() - self._firstRow() - self._actionRows if self._model.rowCount() else 0

    def nodeFromIndex(self, index: int) -> Any:
        return self._nodeAt(index + self._firstRow()) if index >= 0 else None

    # --- making, removing, editing

    def addNode(self, nodeType: str | None = None) -> Any:
        types = self._filter.nodeTypes
        nodeType = (types[0] if types else None) if nodeType is None else nodeType
        if self._scene is None or nodeType not in types:
            return None
        node = self._scene.CreateNodeByClass(nodeType)
        if node is None:
            return None
        node.UnRegister(None)
        base = self._baseNames.get(nodeType) or node.GetNodeTagName()
        node.SetName(self._scene.GetUniqueNameByString(base))
        for name, value in self._newAttributes.items():
            node.SetAttribute(name, value)
        self._scene.AddNode(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        node = self.currentNode()
        if node is not None:
            self._scene.RemoveNode(node)

    def editCurrentNode(self) -> None:
        node = self.currentNode()
        self.nodeAboutToBeEdited.emit(node)
        tag = self.interactionNodeSingletonTag
        interaction = self._scene.GetSingletonNode(tag, "vtkMRMLInteractionNode") if tag else None
        if interaction is not None:
            interaction.EditNode(node)

    def renameCurrentNode(self) -> None:
        node = self.currentNode()
        if node is None:
            return
        title = f"Rename {self.nodeTypeLabel(node.GetClassName())}"
        name, accepted = QtWidgets.QInputDialog.getText(self, title, "New name:", text=node.GetName())
        if accepted and name:
            node.SetName(name)
            self.currentNodeRenamed.emit(name)

    # --- what is listed and how

    def _refilter(self) -> None:
        if self._scene is not None:
            self._sync()
            if self.currentNode() is None:
                self.setCurrentNode(None)
        self._updateDefaultText()
        self._updateActionItems()

    def _setNodeTypes(self, types: list[str]) -> None:
        self._filter.nodeTypes = [kind for kind in types if kind]
        self._refilter()

    def addAttribute(self, nodeType: str, name: str, value: Any = None) -> None:
        text = None if value is None else str(value)
        self._newAttributes[name] = text or ""
        self._filter.attributes.setdefault(nodeType, {})[name] = text
        self._refilter()

    def removeAttribute(self, nodeType: str, name: str) -> None:
        self._newAttributes.pop(name, None)
        self._filter.attributes.get(nodeType, {}).pop(name, None)
        self._refilter()

    def nodeTypeLabel(self, nodeType: str) -> str:
        if nodeType in self._labels:
            return self._labels[nodeType]
        naming = getattr(self._scene, "GetTypeDisplayNameByClassName", None)
        label = naming(nodeType) if naming is not None and nodeType else ""
        return label or "node"

    def setNodeTypeLabel(self, label: str, nodeType: str) -> None:
        if label:
            self._labels[nodeType] = label
        else:
            self._labels.pop(nodeType, None)
        self._updateDefaultText()
        self._updateActionItems()

    def addMenuAction(self, action: QtGui.QAction) -> None:
        self._userActions.append(action)
        self._updateActionItems()

    def _updateDefaultText(self) -> None:
        types = self._filter.nodeTypes
        self._combo.defaultText = f"Select a {self.nodeTypeLabel(types[0] if types else '')}"

    def sortFilterProxyModel(self) -> Any:
        raise NotImplementedError("The harness has no qMRMLNodeComboBox.sortFilterProxyModel().")

    def _setNoneEnabled(self, enabled: bool) -> None:
        if enabled == self._noneEnabled:
            return
        if self._scene is None:
            self._noneEnabled = enabled
        elif enabled:
            self._noneEnabled = True
            self._model.insertRow(0, self._noneItem())
        else:
            self._noneEnabled = False
            self._model.removeRow(0)
            if self.currentNode() is None:
                self.setCurrentNode(None)

    def _setNoneDisplay(self, text: str) -> None:
        self._noneDisplay = text
        if self._firstRow():
            self._model.item(0).setText(text)

    def _setBaseName(self, name: str) -> None:
        for kind in self._filter.nodeTypes:
            self._baseNames[kind] = name

    def _readBaseName(self) -> str:
        types = self._filter.nodeTypes
        return self._baseNames.get(types[0], "") if types else ""

    def _readPolicy(self) -> Any:
        return self._combo.sizeAdjustPolicy()

    def _setPolicy(self, policy: Any) -> None:
        self._combo.setSizeAdjustPolicy(policy)

    def _setFilter(self, name: str, value: Any) -> None:
        setattr(self._filter, name, value)
        self._refilter()

    _noneEnabled = False
    _noneDisplay = "None"
    _addEnabled = stored(bool, True, "_updateActionItems")
    _removeEnabled = stored(bool, True, "_updateActionItems")
    _editEnabled = stored(bool, False, "_updateActionItems")
    _renameEnabled = stored(bool, False, "_updateActionItems")
    addEnabled, removeEnabled, editEnabled, renameEnabled = _addEnabled, _removeEnabled, _editEnabled, _renameEnabled
    currentNodeID = QtCore.Property(str, _readID, setCurrentNodeID)
    currentNodeId = QtCore.Property(str, _readID, setCurrentNodeID)
    nodeTypes = QtCore.Property("QStringList", lambda self: list(self._filter.nodeTypes), _setNodeTypes)
    showHidden = QtCore.Property(
        bool, lambda self: self._filter.showHidden, lambda self, value: self._setFilter("showHidden", value)
    )
    showChildNodeTypes = QtCore.Property(
        bool,
        lambda self: self._filter.showChildNodeTypes,
        lambda self, value: self._setFilter("showChildNodeTypes", value),
    )
    hideChildNodeTypes = QtCore.Property(
        "QStringList",
        lambda self: list(self._filter.hideChildNodeTypes),
        lambda self, value: self._setFilter("hideChildNodeTypes", value),
    )
    baseName = QtCore.Property(str, _readBaseName, _setBaseName)
    noneEnabled = QtCore.Property(bool, lambda self: self._noneEnabled, _setNoneEnabled)
    noneDisplay = QtCore.Property(str, lambda self: self._noneDisplay, _setNoneDisplay)
    interactionNodeSingletonTag = stored(str, "Singleton")
    selectNodeUponCreation = stored(bool, True)
    sizeAdjustPolicy = QtCore.Property(object, _readPolicy, _setPolicy)
