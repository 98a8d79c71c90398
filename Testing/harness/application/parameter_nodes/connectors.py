"""Which widgets can show which types of parameters, and how: the table in Slicer's gui_connection.md."""

from __future__ import annotations

import enum
import pathlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from Testing.harness.application.parameter_nodes.annotations import (
    Choice,
    Decimals,
    Maximum,
    Minimum,
    SingleStep,
    WithinRange,
    findFirstAnnotation,
    getNodeTypes,
    isNodeOrUnionOfNodes,
    splitAnnotations,
    unannotatedType,
)

_SMALLEST_INT, _LARGEST_INT = -(2**31), 2**31 - 1


class Connector(ABC):
    """One widget that shows one parameter. Making it prepares the widget: range, steps, choices, node types."""

    def __init__(self, widget: Any, dataType: Any) -> None:
        self.widget = widget
        self._callback: Callable[[], None] | None = None
        self._prepare(dataType)

    @abstractmethod
    def read(self) -> Any: ...

    @abstractmethod
    def write(self, value: Any) -> None: ...

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        """Called when the user changes the widget; None disconnects."""
        if (self._callback is None) is not (callback is None):
            (self._signal.disconnect if callback is None else self._signal.connect)(self._changed)
        self._callback = callback

    @property
    @abstractmethod
    def _signal(self) -> Any: ...

    def _prepare(self, dataType: Any) -> None:  # noqa: B027 (most widgets need nothing)
        """Before the first value is written."""

    def _changed(self) -> None:
        if self._callback is not None:
            self._callback()


class PropertyConnector(Connector):
    """The parameter is a property of the widget, with a signal."""

    def __init__(self, widget: Any, dataType: Any, name: str, signal: str) -> None:
        self._name, self._signalName = name, signal
        self._type = unannotatedType(dataType)
        super().__init__(widget, dataType)

    @property
    def _signal(self) -> Any:
        return getattr(self.widget, self._signalName)

    def read(self) -> Any:
        value = getattr(self.widget, self._name)
        return self._type(value) if issubclass(self._type, pathlib.PurePath) else value

    def write(self, value: Any) -> None:
        setattr(self.widget, self._name, str(value) if isinstance(value, pathlib.PurePath) else value)


class ButtonConnector(PropertyConnector):
    def _prepare(self, dataType: Any) -> None:
        self.widget.checkable = True


class NumberConnector(PropertyConnector):
    """The limits come from the annotations alone; those of the .ui file are overwritten, as in Slicer."""

    def _prepare(self, dataType: Any) -> None:
        annotations = splitAnnotations(dataType)[1]
        step = findFirstAnnotation(annotations, SingleStep)
        decimals = findFirstAnnotation(annotations, Decimals)
        within = findFirstAnnotation(annotations, WithinRange)
        low = within or findFirstAnnotation(annotations, Minimum)
        high = within or findFirstAnnotation(annotations, Maximum)
        if self.widget.className() in ("QSlider", "ctkSliderWidget", "ctkDoubleSlider") and not (low and high):
            raise RuntimeError(f"A {self.widget.className()} needs a parameter with a minimum and a maximum.")
        if decimals is not None:
            self.widget.decimals = decimals.value
        if step is not None:
            self.widget.singleStep = step.value
        integer = self._type is int
        self.widget.minimum = low.minimum if low else (_SMALLEST_INT if integer else float("-inf"))
        self.widget.maximum = high.maximum if high else (_LARGEST_INT if integer else float("inf"))


class ChoiceConnector(Connector):
    """The items of the .ui file are replaced by the choices."""

    def _prepare(self, dataType: Any) -> None:
        actual, annotations = splitAnnotations(dataType)
        if issubclass(actual, enum.Enum):
            self._choices = list(actual)
            labelOf = getattr(actual, "label", lambda member: member.name)
        else:
            choice = findFirstAnnotation(annotations, Choice)
            if choice is None:
                raise RuntimeError("A combo box needs a parameter that is annotated with Choice.")
            self._choices = list(choice.choices)
            labelOf = str
        self.widget.clear()
        for item in self._choices:
            self.widget.addItem(labelOf(item))

    @property
    def _signal(self) -> Any:
        return self.widget.currentIndexChanged

    def read(self) -> Any:
        return self._choices[self.widget.currentIndex]

    def write(self, value: Any) -> None:
        self.widget.currentIndex = self._choices.index(value)


class TextEditConnector(Connector):
    @property
    def _signal(self) -> Any:
        return self.widget.textChanged

    def read(self) -> Any:
        return self.widget.toPlainText()

    def write(self, value: Any) -> None:
        self.widget.setPlainText(value)


class LabelConnector(Connector):
    """One way only."""

    def onChanged(self, callback: Callable[[], None] | None) -> None: ...

    @property
    def _signal(self) -> Any:
        raise RuntimeError("A label is not changed by the user.")

    def read(self) -> Any:
        return self.widget.text

    def write(self, value: Any) -> None:
        self.widget.text = value


class NodeConnector(Connector):
    """The node types of the .ui file are overwritten by those of the parameter."""

    def _prepare(self, dataType: Any) -> None:
        self.widget.nodeTypes = getNodeTypes(dataType)

    @property
    def _signal(self) -> Any:
        return self.widget.currentNodeChanged

    def read(self) -> Any:
        return self.widget.currentNode()

    def write(self, value: Any) -> None:
        self.widget.setCurrentNode(value)


def _property(cls: type, name: str, signal: str) -> Callable[[Any, Any], Connector]:
    return lambda widget, dataType: cls(widget, dataType, name, signal)


_BY_WIDGET_AND_TYPE: dict[tuple[str, type], Callable[[Any, Any], Connector]] = {
    ("QCheckBox", bool): _property(PropertyConnector, "checked", "stateChanged"),
    ("ctkCheckBox", bool): _property(PropertyConnector, "checked", "stateChanged"),
    ("QPushButton", bool): _property(ButtonConnector, "checked", "toggled"),
    ("QSlider", int): _property(NumberConnector, "value", "valueChanged"),
    ("QSpinBox", int): _property(NumberConnector, "value", "valueChanged"),
    ("QDoubleSpinBox", float): _property(NumberConnector, "value", "valueChanged"),
    ("ctkSliderWidget", float): _property(NumberConnector, "value", "valueChanged"),
    ("ctkDoubleSlider", float): _property(NumberConnector, "value", "valueChanged"),
    ("ctkDoubleSpinBox", float): _property(NumberConnector, "value", "valueChanged"),
    ("QLineEdit", str): _property(PropertyConnector, "text", "textChanged"),
    ("QTextEdit", str): TextEditConnector,
    ("QLabel", str): LabelConnector,
}
for _combo in ("QComboBox", "ctkComboBox"):
    for _type in (int, float, str, bool):
        _BY_WIDGET_AND_TYPE[_combo, _type] = ChoiceConnector


def connectorFor(widget: Any, dataType: Any) -> Connector:
    """Raises RuntimeError where Slicer has no connector, e.g. for a QToolButton or a ctkCollapsibleButton."""
    kind, actual = widget.className(), unannotatedType(dataType)
    if (kind, actual) in _BY_WIDGET_AND_TYPE:
        return _BY_WIDGET_AND_TYPE[kind, actual](widget, dataType)
    if isinstance(actual, type) and issubclass(actual, enum.Enum) and kind in ("QComboBox", "ctkComboBox"):
        return ChoiceConnector(widget, dataType)
    if isinstance(actual, type) and issubclass(actual, pathlib.PurePath):
        if kind == "ctkPathLineEdit":
            return PropertyConnector(widget, dataType, "currentPath", "currentPathChanged")
        if kind == "ctkDirectoryButton":
            return PropertyConnector(widget, dataType, "directory", "directoryChanged")
    if kind == "qMRMLNodeComboBox" and isNodeOrUnionOfNodes(dataType):
        return NodeConnector(widget, dataType)
    raise RuntimeError(f"Slicer cannot connect a parameter of type {dataType} to a {kind}.")
