"""CTK's widgets on PySide6; how far they are imitated, `Testing/harness_tests` shows."""

from __future__ import annotations

from Testing.harness.pythonqt.ctk_widgets import (
    buttons,
    collapsible_button,
    combo_box,
    directory_button,
    double_spin_box,
    path_line_edit,
    settings_dialog,
    settings_panel,
    slider_widget,
)

__all__ = [
    "buttons",
    "collapsible_button",
    "combo_box",
    "directory_button",
    "double_spin_box",
    "path_line_edit",
    "settings_dialog",
    "settings_panel",
    "slider_widget",
]
