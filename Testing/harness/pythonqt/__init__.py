"""Slicer's Qt as Python sees it (PythonQt), imitated on PySide6 for tests without a Slicer binary.

    from Testing.harness.pythonqt import install

    install()  # then `import qt`, `import ctk`, `slicer.qMRMLNodeComboBox` work as in Slicer

Properties are attributes, slots are callable, `button.connect("clicked(bool)", function)` connects. Strict: a property,
slot, signal or enum value that Slicer does not have raises AttributeError, and where PythonQt would silently return
False (a signal that does not exist, a property of a .ui file that does not exist) `errors.SilentFailure` is raised.
An exception in a slot is printed and recorded; the fixture `no_error_in_slots` of `fixtures` fails the test for it.

In a conftest.py or a test module:

    from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots

`driver` has the user's hands: `clickOn`, `typeInto`, `pressKey`, `choose`, `clickOnCell`, `rename`, `whileModal`,
`processEvents`; `looks` has `grab`, `cutOffWidgets`, `tabOrder`.

To add a widget class: a PySide6 class of the same name with `@implements` (`implementations`), properties as
`QtCore.Property` (`declaring` has short forms), slots as methods, signals as `QtCore.Signal` with `object` for a VTK
class. `Testing/harness_tests/test_pythonqt_classes.py` checks that nothing of the reference is missing.

What exists is read from `slicer_qt_api.json.xz`, a list of facts (names, types, signatures) taken from the C++ headers
of Slicer main 583e9b37 (2026-08-21; Slicer licence, BSD style), CTK 868d56c7 (2026-08-12; Apache 2.0) and the
metaobjects of PySide6 6.12.0 (LGPL 3). It holds no code of theirs. To read it: `xz -dc`, format 1: `meta`, `classes`.
"""

from __future__ import annotations


def install() -> None:
    """Installs `qt`, `ctk` and Slicer's widget classes; see `modules.install`. Needs PySide6."""
    from Testing.harness.pythonqt import modules

    modules.install()


def uninstall() -> None:
    """Undoes `install`."""
    from Testing.harness.pythonqt import modules

    modules.uninstall()
