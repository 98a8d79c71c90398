"""The decorator `parameterNodeWrapper`: typed attributes over a vtkMRMLScriptedModuleNode, bound to widgets."""

from __future__ import annotations

import logging
import typing
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from Testing.harness.application.parameter_nodes.annotations import Default
from Testing.harness.application.parameter_nodes.connectors import Connector, connectorFor
from Testing.harness.application.parameter_nodes.storage import Storage, storageFor

SlicerParameterNamePropertyName = "SlicerParameterName"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parameter:
    name: str
    storage: Storage
    default: Default
    dataType: Any

    def read(self, node: Any) -> Any:
        """The value in the node, which gets the default if it has none."""
        if not self.storage.isIn(node, self.name):
            self.storage.write(node, self.name, self.default.value)
        return self.storage.read(node, self.name)


class _ParameterAttribute:
    def __init__(self, parameter: Parameter) -> None:
        self._parameter = parameter

    def __get__(self, wrapper: Any, owner: type | None = None) -> Any:
        return self if wrapper is None else wrapper.getValue(self._parameter.name)

    def __set__(self, wrapper: Any, value: Any) -> None:
        wrapper.setValue(self._parameter.name, value)


class _Members:
    """What the decorator adds to a class; `allParameters` is added by it too."""

    allParameters: Mapping[str, Parameter]

    def __init__(self, parameterNode: Any) -> None:
        from vtkmodules.vtkCommonCore import vtkCommand

        self.parameterNode = parameterNode
        self._values: dict[str, Any] = {}
        self._writing: set[str] = set()
        self._connectors: dict[int, dict[str, Connector]] = {}
        self._nextTag = 0
        self._updatingGui = False
        self._guiObserved = False
        for parameter in self.allParameters.values():
            self._values[parameter.name] = parameter.read(parameterNode)
        # Values are kept until the node changes. Weak: the node must not keep its wrapper alive.
        reference = weakref.ref(self)

        def refresh(*_: Any) -> None:
            wrapper = reference()
            if wrapper is not None:
                wrapper._refreshValues()

        self._observerTag = parameterNode.AddObserver(vtkCommand.ModifiedEvent, refresh)
        weakref.finalize(self, parameterNode.RemoveObserver, self._observerTag)

    def _refreshValues(self) -> None:
        for name, parameter in self.allParameters.items():
            if name not in self._writing:
                self._values[name] = parameter.read(self.parameterNode)

    def getValue(self, name: str) -> Any:
        self._parameter(name)
        return self._values[name]

    def setValue(self, name: str, value: Any) -> None:
        import slicer

        parameter = self._parameter(name)
        self._writing.add(name)
        try:
            with slicer.util.NodeModify(self.parameterNode):
                parameter.storage.write(self.parameterNode, name, value)
                self._values[name] = parameter.storage.read(self.parameterNode, name)
        finally:
            self._writing.discard(name)

    def default(self, name: str) -> Default:
        return self._parameter(name).default

    def dataType(self, name: str) -> Any:
        return self._parameter(name).dataType

    def isCached(self, name: str) -> bool:
        self._parameter(name)
        return True

    def _parameter(self, name: str) -> Parameter:
        if name not in self.allParameters:
            raise ValueError(f"There is no parameter {name!r}, but {', '.join(self.allParameters)}")
        return self.allParameters[name]

    def connectGui(self, gui: Any) -> int:
        """Binds the widgets that have a property SlicerParameterName. Returns a tag for `disconnectGui`."""
        if getattr(gui, "isWidgetType", lambda: False)():
            widgets = gui.findChildren("QWidget")
        else:
            widgets = vars(gui).values()
        named = ((widget.property(SlicerParameterNamePropertyName), widget) for widget in widgets)
        return self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping: Mapping[str, Any]) -> int:
        """Binds by name of parameter. Raises ValueError for an unknown name, RuntimeError for an unfit widget."""
        from vtkmodules.vtkCommonCore import vtkCommand

        connectors = {name: connectorFor(widget, self.dataType(name)) for name, widget in mapping.items()}
        tag, self._nextTag = self._nextTag, self._nextTag + 1
        self._connectors[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._writerOf(name, connector))
        if not self._guiObserved:
            self._guiObserved = True
            self.parameterNode.AddObserver(vtkCommand.ModifiedEvent, lambda *_: self._updateGui())
        return tag

    def disconnectGui(self, tag: int | None) -> None:
        """Nothing happens for a tag that is not connected."""
        for connector in self._connectors.pop(tag, {}).values():  # type: ignore[arg-type]
            connector.onChanged(None)

    def _writerOf(self, name: str, connector: Connector) -> Callable[[], None]:
        import slicer

        def write() -> None:
            with slicer.util.NodeModify(self):
                if not self._updatingGui:
                    self.setValue(name, connector.read())

        return write

    def _updateGui(self) -> None:
        import slicer

        if self._updatingGui:
            return
        self._updatingGui = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in self._connectors.values():
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updatingGui = False

    def StartModify(self) -> int:
        return int(self.parameterNode.StartModify())

    def EndModify(self, wasModified: int) -> int:
        return int(self.parameterNode.EndModify(wasModified))

    def AddObserver(self, event: Any, callback: Callable[..., Any], priority: float = 0.0) -> int:
        return int(self.parameterNode.AddObserver(event, callback, priority))

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


_RESERVED = tuple(name for name in vars(_Members) if not name.startswith("_"))


def parameterNodeWrapper(classtype: type | None = None) -> Any:
    """Class decorator, with or without brackets.

    Raises:
        TypeError: Slicer cannot keep a parameter of such a type.
        ValueError: a parameter has a name that the wrapper needs itself.
    """
    if classtype is None:
        return parameterNodeWrapper
    parameters = {}
    for name, dataType in typing.get_type_hints(classtype, include_extras=True).items():
        storage, others = storageFor(dataType)
        default = next((item for item in others if isinstance(item, Default)), None)
        if hasattr(classtype, name):
            default = Default(getattr(classtype, name))
        parameters[name] = Parameter(name, storage, default or Default(storage.impliedDefault()), dataType)
    for reserved in _RESERVED:
        if hasattr(classtype, reserved):
            raise ValueError(f"The name {reserved!r} is reserved in a parameterNodeWrapper")
        setattr(classtype, reserved, vars(_Members)[reserved])
    for name, member in vars(_Members).items():
        if name == "__init__" or (name.startswith("_") and not name.startswith("__")):
            setattr(classtype, name, member)
    classtype.allParameters = parameters  # type: ignore[attr-defined]
    classtype._is_parameter_node_wrapper = True  # type: ignore[attr-defined]
    for name, parameter in parameters.items():
        setattr(classtype, name, _ParameterAttribute(parameter))
    return classtype


def isParameterNodeWrapper(classOrObject: Any) -> bool:
    return bool(getattr(classOrObject, "_is_parameter_node_wrapper", False))


def findChildWidgetForParameter(widget: Any, parameter: str) -> Any:
    """The child that is bound to the parameter by its property, or None."""
    for child in widget.findChildren("QWidget"):
        if child.property(SlicerParameterNamePropertyName) == parameter:
            return child
    return None
