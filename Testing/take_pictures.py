"""The README's picture of the panel at work: `python -m Testing.take_pictures [--out Resources/Screenshots]`.

The real module with the shipped model on the MNI152 template, clicked by mouse events in real slice views.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

ROOT = Path(__file__).resolve().parents[1]
# World RAS, mm, in the template.
VENTRICLES = ((-8.0, 4.0, 14.0), (-20.0, -34.0, 10.0))
BRAIN_STEM = ((0.0, -28.0, -32.0),)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "Resources" / "Screenshots")
    out: Path = parser.parse_args().out

    from MemorizingSAM3DLib.scene.headless.application import headlessApplication
    from MemorizingSAM3DLib.scene.headless.demonstration import writeDemoScan
    from MemorizingSAM3DLib.scene.scan import volumeNodeFromFile
    from Testing.harness.application.slicer_application import slicerApplication
    from Testing.harness.application.views import openSliceViews
    from Testing.harness.application.waiting import waitFor
    from Testing.harness.pythonqt.driver import clickOn

    headless = headlessApplication()
    with openSliceViews(headless, (560, 420)) as views, slicerApplication(headless) as application:
        application.attachViews(views)
        application.openMainWindow()
        module = application.openModule(ROOT / "MemorizingSAM3D" / "MemorizingSAM3D.py", width=380, height=1000)
        module.enter()
        ui, controller = module.widget.ui, module.logic.controller

        def idle() -> bool:
            return not controller._touched and controller.status.busy is None

        with tempfile.TemporaryDirectory() as folder:
            scan = volumeNodeFromFile(writeDemoScan(Path(folder))[0], "MNI152 T1")
        ui.scanSelector.setCurrentNode(scan)
        waitFor(idle, 120)
        views.show(scan)
        ui.pointsSection.collapsed = False
        clickOn(ui.insideButton)
        for number, (name, points) in enumerate((("Brain stem", BRAIN_STEM), ("Ventricles", VENTRICLES))):
            if number:
                clickOn(ui.nextSegmentButton)
            for ras in points:
                views.red.clickAt(ras)
                waitFor(idle, 60)
            controller.segmentationNode.GetSegmentation().GetNthSegment(number).SetName(name)
        for view in views:
            view.scrollTo(VENTRICLES[0])
        views.leave()
        application.picture(out / "module.png")
        module.picture(out / "panel.png")
        print(f"Wrote {out / 'module.png'} and {out / 'panel.png'}.")
        module.close()
        application.closeMainWindow()


if __name__ == "__main__":
    main()
