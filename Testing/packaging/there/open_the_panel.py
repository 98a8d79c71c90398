"""Opens the module in the stand-in for Slicer's application, segments in it, and tells what came from where."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from Testing.harness.application.slicer_application import slicerApplication

MODULE = Path(sys.argv[1], "MemorizingSAM3D.py")
LIBRARY = "MemorizingSAM3DLib"


def boot() -> Any:
    """The scene that Slicer has before any module is loaded; the repository's library boots it, and is forgotten again.

    It is not installed: in Slicer there is an application. Afterwards it is on no path: the module has to find its own.
    """
    folder = Path(sys.argv[2])
    sys.path.append(str(folder))
    from MemorizingSAM3DLib.scene.headless.application import headlessApplication

    application = headlessApplication()
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == LIBRARY]:
        del sys.modules[name]
    return application


with slicerApplication(boot()) as application:
    opened = application.openModule(MODULE, width=350, height=1000)
    library = Path(sys.modules[LIBRARY].__path__[0])
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library.parent).with_suffix("").parts
        if parts[1] in ("scene", "ui") and parts[-1] != "__init__":
            importlib.import_module(".".join(parts))
    from MemorizingSAM3DLib.scene.self_test import SelfTest

    said: list[str] = []
    test = SelfTest(opened.logic.controller, said.append)
    test.clicksMakeASegment()
    test.close()
    opened.picture("panel.png")
    from MemorizingSAM3DLib.ui.settings_page import registerSettingsPage

    registerSettingsPage()
    names = {name for name in sys.modules if name.partition(".")[0] in (LIBRARY, MODULE.stem)}
    report = {
        "imported": sorted(names),
        "files": sorted(str(sys.modules[name].__file__) for name in names),
        "moduleIconSizes": sorted(size.width() for size in opened.module.icon.availableSizes()),
        "buttonsWithoutIcon": [
            name
            for name in ("insideButton", "undoButton", "cancelButton")
            if getattr(opened.widget.ui, name).icon.isNull()
        ],
        "errors": [str(error) for error in application.dialogs.errors],
    }
print(json.dumps(report))
