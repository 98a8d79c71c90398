"""The Slicer application as a scripted module sees it, on slicer-core's real MRML.

`slicer.app`, `slicer.modules`, ScriptedLoadableModule, parameterNodeWrapper, i18n, packaging, recorded dialogs, a
module runner, and slice views with a mouse. `slicer.util` is Slicer's own, but for what would show a dialog.

Qt, CTK and Slicer's widgets come from `Testing.harness.pythonqt`. `fixtures` has what tests ask for:

    from Testing.harness.application.fixtures import slice_views, slicer_application  # noqa: F401

    def test_a_click_segments(slicer_application, slice_views, a_scan):
        module = slicer_application.openModule("MemorizingSAM3D/MemorizingSAM3D.py", width=350)
        slice_views.show(a_scan)
        clickOn(module.widget.ui.placePositiveButton)  # pythonqt.driver
        with heartbeat() as beat:
            slice_views.red.clickAt((10, -5, 20))
            waitFor(lambda: module.widget.controller.status.busy is None)
        module.picture("panel.png")
        slice_views.red.picture("red.png")
        assert slicer_application.dialogs.errors == []
"""
