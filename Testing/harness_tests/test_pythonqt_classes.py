"""Classes, identity, ownership and overrides (rules 3, 7 and 10)."""

from __future__ import annotations

import gc

import pytest

from Testing.harness.pythonqt import implementations
from Testing.harness.pythonqt.errors import takeRecordedErrors
from Testing.harness.pythonqt.facts import classFacts, classNames, parseSignature
from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots  # noqa: F401
from Testing.harness.pythonqt.modules import modules

qt, ctk = modules["qt"], modules["ctk"]
pytestmark = pytest.mark.usefixtures("a_pythonqt")

CTK = """ctkCollapsibleButton ctkSliderWidget ctkDoubleSpinBox ctkPathLineEdit
ctkDirectoryButton ctkComboBox ctkSettingsPanel ctkSettingsDialog
ctkMenuButton ctkCheckBox""".split()
SLICER = """qMRMLWidget qSlicerWidget qMRMLNodeComboBox qMRMLSegmentsTableView qMRMLSegmentationShow3DButton
qMRMLSegmentEditorWidget
""".split()


def made(name):
    import slicer

    return getattr(ctk if name.startswith("ctk") else slicer, name)()


def test_there_is_no_inheritance_between_the_classes():
    button = qt.QPushButton()
    assert type(button) == qt.QPushButton  # noqa: E721 (what Slicer's own code does)
    assert not isinstance(button, qt.QWidget)
    assert button.inherits("QWidget") and not button.inherits("QLabel")
    assert button.className() == "QPushButton"


def test_an_unknown_class_is_no_attribute_of_the_module():
    for module, name in ((qt, "QNope"), (qt, "ctkComboBox"), (ctk, "ctkNope")):
        with pytest.raises(AttributeError):
            getattr(module, name)


def test_a_class_that_the_harness_lacks_says_so():
    with pytest.raises(NotImplementedError, match="ctkDICOMBrowser"):
        ctk.ctkDICOMBrowser()


def test_an_abstract_class_cannot_be_made():
    import slicer

    with pytest.raises(TypeError, match="No constructors"):
        slicer.qSlicerSegmentEditorAbstractEffect()


def test_the_same_object_has_the_same_proxy():
    parent = qt.QWidget()
    layout = qt.QVBoxLayout(parent)
    label = qt.QLabel()
    layout.addWidget(label)
    assert label.parent() is parent and parent.layout() is layout
    assert layout.itemAt(0).widget() is label
    assert parent.children() == (layout, label)


def test_an_item_of_a_table_keeps_its_identity():
    table = qt.QTableWidget(1, 1)
    item = qt.QTableWidgetItem("text")
    table.setItem(0, 0, item)
    assert table.item(0, 0) is item and table.item(0, 0).text() == "text"


def test_what_nobody_holds_and_has_no_parent_is_deleted():
    gone, parent = [], qt.QWidget()
    qt.QLabel().connect("destroyed()", lambda: gone.append("alone"))
    qt.QLabel(parent).connect("destroyed()", lambda: gone.append("child"))
    gc.collect()
    assert gone == ["alone"]
    assert [child.className() for child in parent.children()] == ["QLabel"]


def test_a_python_subclass_has_attributes_of_its_own():
    class Panel(qt.QWidget):
        def __init__(self, parent=None):
            qt.QWidget.__init__(self, parent)
            self.clicks = 0

    panel = Panel()
    panel.clicks += 1
    assert (panel.clicks, panel.className(), panel.inherits("QWidget")) == (1, "Panel", True)
    with pytest.raises(AttributeError, match="can not be overwritten"):
        panel.layout = None


def test_super_reaches_the_constructor():
    class Panel(qt.QWidget):
        def __init__(self):
            super().__init__()
            self.ready = True

    assert Panel().ready


def test_an_event_filter_in_python_is_asked():
    class Filter(qt.QObject):
        def __init__(self):
            qt.QObject.__init__(self)
            self.seen = []

        def eventFilter(self, watched, event):
            self.seen.append((watched, event.type()))
            return event.type() == qt.QEvent.EnabledChange

    watched, memory_settings = qt.QWidget(), Filter()
    watched.installEventFilter(memory_settings)
    watched.enabled = False
    assert (watched, qt.QEvent.EnabledChange) in memory_settings.seen


def test_an_override_can_call_what_it_overrides():
    class Label(qt.QLabel):
        def __init__(self):
            qt.QLabel.__init__(self)
            self.events = 0

        def event(self, event):
            self.events += 1
            return qt.QLabel.event(self, event)

    label = Label()
    label.text = "x"
    label.show()
    qt.QApplication.processEvents()
    assert label.events > 0 and label.visible


def test_an_exception_in_an_override_is_recorded():
    class Label(qt.QLabel):
        def event(self, _event):
            raise RuntimeError("broken override")

    label = Label()
    label.show()
    assert any("broken override" in error.text for error in takeRecordedErrors())
    label.delete()
    takeRecordedErrors()


def test_find_child_takes_the_class_and_the_name():
    parent = qt.QWidget()
    child = qt.QLabel("x", parent)
    child.objectName = "hint"
    assert parent.findChild(qt.QLabel, "hint") is child
    assert parent.findChild("QPushButton", "hint") is None
    assert parent.findChildren("QLabel") == (child,)


@pytest.mark.parametrize("name", CTK + SLICER)
def test_every_property_of_a_widget_can_be_read_and_written_back(name):
    widget = made(name)
    facts = classFacts(name)
    for key, known in facts.properties.items():
        if known.owner.startswith("Q"):
            continue
        value = getattr(widget, key)
        if known.writable and value is not None:
            setattr(widget, key, value)
            # Qt cannot compare icons.
            assert known.type == "QIcon" or getattr(widget, key) == value, key


@pytest.mark.parametrize("name", CTK + SLICER)
def test_every_signal_of_a_widget_can_be_connected(name):
    widget = made(name)
    for signatures in classFacts(name).signals.values():
        for signature in signatures:
            assert widget.connect(signature.text, lambda: None), signature.text


@pytest.mark.parametrize("name", CTK + SLICER)
def test_every_slot_of_a_widget_is_there(name):
    implementation = implementations.implementationOf(name)
    missing = []
    for method, known in classFacts(name).methods.items():
        sets_property = method.startswith("set") and hasattr(implementation, method[3].lower() + method[4:])
        if not known.owner.startswith("Q") and not hasattr(implementation, method) and not sets_property:
            missing.append(method)
    assert missing == []


def test_every_class_of_the_reference_can_be_looked_up():
    assert len(classNames()) > 1300
    assert all(classFacts(name).name == name for name in classNames())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clicked( bool )", "clicked(bool)"),
        ("currentNodeChanged(vtkMRMLNode *)", "currentNodeChanged(vtkMRMLNode*)"),
        ("a(const QString &, int)", "a(QString,int)"),
        ("a(QMap<QString, int>)", "a(QMap<QString,int>)"),
        ("QString name(int=)", "name(int)"),
    ],
)
def test_signatures_are_normalised_as_moc_does(text, expected):
    assert parseSignature(text).text == expected
