"""CTK's widgets: they do what a user sees, and what code relies on."""

from __future__ import annotations

import pytest

from Testing.harness.pythonqt.driver import clickOn, pressKey, typeInto
from Testing.harness.pythonqt.errors import SilentFailure, takeRecordedErrors
from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots  # noqa: F401
from Testing.harness.pythonqt.modules import modules

qt, ctk = modules["qt"], modules["ctk"]
pytestmark = pytest.mark.usefixtures("a_pythonqt")


def section(kind):
    made = kind()
    made.text = "Inputs"
    layout = qt.QVBoxLayout(made)
    label = qt.QLabel("inside")
    layout.addWidget(label)
    made.resize(200, 200)
    made.show()
    return made, label


@pytest.fixture
def collapsible():
    return section(ctk.ctkCollapsibleButton)


def test_a_click_on_the_header_collapses_and_expands(collapsible):
    button, label = collapsible
    heard = []
    button.connect("contentsCollapsed(bool)", heard.append)
    clickOn(button)
    assert button.collapsed and not label.visible
    clickOn(button)
    assert not button.collapsed and label.visible and heard == [True, False]


def test_a_click_on_the_contents_does_not_collapse(collapsible):
    button, _label = collapsible
    clickOn(button, (100, 150))
    assert not button.collapsed


def test_a_collapsed_button_is_low(collapsible):
    button, _label = collapsible
    high = button.sizeHint.height()
    button.collapsed = True
    assert button.maximumHeight < high and button.maximumHeight == button.sizeHint.height()
    button.collapsed = False
    assert button.sizeHint.height() == high and button.maximumHeight > 1000


def test_a_child_that_was_hidden_stays_hidden_after_expanding(collapsible):
    button, label = collapsible
    label.visible = False
    button.collapsed = True
    button.collapsed = False
    assert not label.visible


def test_a_child_shown_while_collapsed_appears_when_expanded(collapsible):
    button, label = collapsible
    label.visible = False
    button.collapsed = True
    label.visible = True
    assert not label.visible
    button.collapsed = False
    assert label.visible


def test_a_child_added_while_collapsed_appears_when_expanded(collapsible):
    button, _label = collapsible
    button.collapsed = True
    late = qt.QLabel("late")
    button.layout().addWidget(late)
    qt.QApplication.processEvents()
    assert not late.visible
    button.collapsed = False
    assert late.visible


def test_a_checkable_button_is_collapsed_while_unchecked(collapsible):
    button, label = collapsible
    button.checkable = True
    button.checked = True
    button.collapsed = True
    assert not button.checked and not label.visible


def test_the_slider_and_its_box_have_one_value():
    slider = ctk.ctkSliderWidget()
    slider.minimum, slider.maximum, slider.singleStep = 0, 10, 0.5
    heard = []
    slider.connect("valueChanged(double)", heard.append)
    slider.value = 2.5
    slider.setValue(99)
    assert heard == [2.5, 10.0] and slider.value == 10.0


def test_a_user_types_a_value():
    slider = ctk.ctkSliderWidget()
    slider.show()
    typeInto(slider, "3.5")
    pressKey(slider, "Return")
    assert slider.value == 3.5


def test_a_new_range_clamps_the_value():
    slider = ctk.ctkSliderWidget()
    slider.value = 50
    slider.maximum = 20
    assert slider.value == 20


def test_a_path_is_valid_when_it_is_there(tmp_path):
    edit = ctk.ctkPathLineEdit()
    edit.filters = ctk.ctkPathLineEdit.Dirs
    heard = []
    edit.connect("validInputChanged(bool)", heard.append)
    edit.connect("currentPathChanged(QString)", heard.append)
    edit.currentPath = str(tmp_path)
    assert heard == [True, str(tmp_path)]
    edit.currentPath = str(tmp_path / "nowhere")
    assert heard[2:] == [False, str(tmp_path / "nowhere")]


def test_the_last_paths_are_remembered(tmp_path):
    edit = ctk.ctkPathLineEdit()
    edit.settingKey = "Test/Paths"
    edit.currentPath = str(tmp_path)
    edit.addCurrentPathToHistory()
    other = ctk.ctkPathLineEdit()
    other.settingKey = "Test/Paths"
    assert other.currentPath == str(tmp_path) and other.comboBox().count == 1
    qt.QSettings().remove("Test")


def test_a_directory_button_tells_a_new_directory(tmp_path):
    button, heard = ctk.ctkDirectoryButton(), []
    button.connect("directoryChanged(QString)", heard.append)
    button.directory = str(tmp_path)
    button.directory = str(tmp_path)
    assert heard == [str(tmp_path)]


# --- settings panel


@pytest.fixture
def settings_file(tmp_path):
    return qt.QSettings(str(tmp_path / "settings.ini"), qt.QSettings.IniFormat)


def bound(settings_file, widget, name, signal, key="Test/Key"):
    panel = ctk.ctkSettingsPanel()
    panel.settings = settings_file
    panel.registerProperty(key, widget, name, qt.SIGNAL(signal), "A label", ctk.ctkSettingsPanel.OptionNone)
    return panel


def test_a_change_in_a_settings_panel_is_written_at_once(settings_file):
    box = qt.QCheckBox()
    panel = bound(settings_file, box, "checked", "toggled(bool)")
    heard = []
    panel.connect("settingChanged(QString,QVariant)", lambda key, value: heard.append((key, value)))
    box.checked = True
    assert settings_file.value("Test/Key") in (True, "true") and heard == [("Test/Key", True)]


@pytest.mark.parametrize(("stored", "expected"), [("true", True), (False, False)])
def test_a_stored_value_is_shown(settings_file, stored, expected):
    settings_file.setValue("Test/Key", stored)
    settings_file.sync()
    box = qt.QCheckBox()
    box.checked = not expected
    panel = bound(settings_file, box, "checked", "toggled(bool)")
    assert box.checked is expected and panel.settings is settings_file


def test_numbers_come_back_as_numbers(settings_file):
    settings_file.setValue("Test/Key", "7")
    box = qt.QSpinBox()
    panel = bound(settings_file, box, "value", "valueChanged(int)")
    assert box.value == 7 and panel.inherits("ctkSettingsPanel")


def test_a_panel_can_be_reset_and_restored(settings_file):
    box = qt.QSpinBox()
    box.value = 1
    panel = bound(settings_file, box, "value", "valueChanged(int)")
    box.value = 2
    panel.applySettings()
    box.value = 3
    panel.resetSettings()
    assert box.value == 2
    panel.restoreDefaultSettings()
    assert box.value == 1 and int(settings_file.value("Test/Key")) == 1


@pytest.mark.parametrize(("name", "signal"), [("chekced", "toggled(bool)"), ("checked", "tggled(bool)")])
def test_a_property_or_signal_that_does_not_exist_cannot_be_registered(settings_file, name, signal):
    with pytest.raises(SilentFailure):
        bound(settings_file, qt.QCheckBox(), name, signal)
    takeRecordedErrors()
