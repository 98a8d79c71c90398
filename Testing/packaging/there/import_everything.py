"""Imports all of the library but `scene` and `ui`, where Slicer's own packages cannot be imported."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

SLICERS = ("slicer", "vtk", "vtkmodules", "qt", "ctk", "PythonQt")


class _NotHere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in SLICERS:
            raise ModuleNotFoundError(f"No module named {name!r}: Slicer is not here", name=name)
        return None


sys.meta_path.insert(0, _NotHere())

folder = Path(sys.argv[1])
names = []
for path in sorted((folder / "MemorizingSAM3DLib").rglob("*.py")):
    parts = path.relative_to(folder).with_suffix("").parts
    if parts[1] in ("scene", "ui") or parts[-1] == "__main__":  # __main__ runs the program
        continue
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    importlib.import_module(name)
    names.append(name)
files = [module.__file__ for name, module in sys.modules.items() if name.startswith("MemorizingSAM3DLib")]
print(json.dumps({"imported": names, "files": files}))
