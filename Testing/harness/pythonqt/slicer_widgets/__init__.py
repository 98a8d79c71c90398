"""Slicer's widgets on PySide6 and real MRML, one class a module."""

from __future__ import annotations

from Testing.harness.pythonqt.slicer_widgets import (
    markups_place_widget,
    mrml_widget,
    node_combo_box,
    segment_editor_widget,
    segment_selector_widget,
    segmentation_show_3d_button,
    segments_filter_model,
    segments_model,
    segments_table_view,
    simple_markups_widget,
    slider_widget,
    subject_hierarchy_combo_box,
    volume_threshold_widget,
)

__all__ = [
    "markups_place_widget",
    "mrml_widget",
    "node_combo_box",
    "segment_editor_widget",
    "segment_selector_widget",
    "segmentation_show_3d_button",
    "segments_filter_model",
    "segments_model",
    "segments_table_view",
    "simple_markups_widget",
    "slider_widget",
    "subject_hierarchy_combo_box",
    "volume_threshold_widget",
]
