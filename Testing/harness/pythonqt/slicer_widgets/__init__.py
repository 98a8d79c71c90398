"""Slicer's widgets on PySide6 and real MRML, one class a module."""

from __future__ import annotations

from Testing.harness.pythonqt.slicer_widgets import (
    mrml_widget,
    node_combo_box,
    segment_editor_widget,
    segmentation_show_3d_button,
    segments_filter_model,
    segments_model,
    segments_table_view,
)

__all__ = [
    "mrml_widget",
    "node_combo_box",
    "segment_editor_widget",
    "segmentation_show_3d_button",
    "segments_filter_model",
    "segments_model",
    "segments_table_view",
]
