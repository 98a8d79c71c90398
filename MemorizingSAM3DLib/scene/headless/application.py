"""Real MRML without the Slicer application: boots the `slicer-core` wheel for `slicer.util` and our scene code.

Inside Slicer nothing is booted: the application's own scene is returned. Everything else in `scene/` is written against
`slicer.mrmlScene` and the module logics only, so it does not know which of the two it runs in.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from MemorizingSAM3DLib.scene.vtk_messages import runsInsideSlicer

_application: HeadlessApplication | None = None


class HeadlessApplication:
    """What the Slicer application owns, without Qt: a scene, the application logic and the module logics that we use.

    The logics are kept alive here, since MRML only holds weak references to them.
    """

    def __init__(self) -> None:
        import slicer
        from vtkmodules.vtkCommonCore import vtkCollection

        self.scene = slicer.vtkMRMLScene()
        self.applicationLogic = slicer.vtkSlicerApplicationLogic()
        self.applicationLogic.SetMRMLScene(self.scene)
        self.applicationLogic.GetColorLogic().SetMRMLScene(self.scene)
        self.applicationLogic.GetColorLogic().AddDefaultColorNodes()
        self.applicationLogic.SetSliceLogics(vtkCollection())
        self.applicationLogic.SetViewLogics(vtkCollection())
        # Bundles (.mrb) are packed and unpacked in this folder; without it MRML uses the working directory.
        self._temporaryFolder = tempfile.TemporaryDirectory(prefix="MemorizingSAM3D-", ignore_cleanup_errors=True)
        self.applicationLogic.SetTemporaryPath(self._temporaryFolder.name)
        self._enableDataReading()
        self._addApplicationNodes()

        self._logics: dict[str, Any] = {}
        self._share = Path(self._temporaryFolder.name, "share")
        self._share.mkdir()
        # No terminologies logic: its JSON files are not in the wheel, it would only report their absence.
        # The volumes logic asks for it by this name, to give a loaded scan its grey scale.
        self._register("Colors", self.applicationLogic.GetColorLogic())
        self._register("SubjectHierarchy", slicer.vtkSlicerSubjectHierarchyModuleLogic())
        self._register("Segmentations", slicer.vtkSlicerSegmentationsModuleLogic())
        self._register("Volumes", slicer.vtkSlicerVolumesLogic())
        self._register("Markups", slicer.vtkSlicerMarkupsLogic())
        self._register("Transforms", slicer.vtkSlicerTransformLogic())
        self._register("Models", slicer.vtkSlicerModelsLogic())

    def moduleNamespace(self) -> SimpleNamespace:
        """What `slicer.modules` offers: `slicer.modules.segmentations.logic()` and so on."""

        def module(logic: Any) -> SimpleNamespace:
            return SimpleNamespace(logic=lambda: logic)

        return SimpleNamespace(**{name.lower(): module(logic) for name, logic in self._logics.items()})

    def _register(self, name: str, logic: Any) -> None:
        if hasattr(logic, "SetModuleShareDirectory"):
            logic.SetModuleShareDirectory(self._share.as_posix())
        logic.SetMRMLScene(self.scene)
        logic.SetMRMLApplicationLogic(self.applicationLogic)
        self.applicationLogic.SetModuleLogic(name, logic)
        self._logics[name] = logic

    def _enableDataReading(self) -> None:
        # Storage nodes ask the scene's data IO manager for files; without one, loading a scene reads no data at all.
        import slicer

        self._remoteIO = slicer.vtkMRMLRemoteIOLogic()
        self._remoteIO.SetMRMLScene(self.scene)
        self._remoteIO.SetMRMLApplicationLogic(self.applicationLogic)
        self._remoteIO.GetCacheManager().SetRemoteCacheDirectory(self._temporaryFolder.name)
        self._dataIO = slicer.vtkDataIOManagerLogic()
        self._dataIO.SetMRMLScene(self.scene)
        self._dataIO.SetMRMLApplicationLogic(self.applicationLogic)
        self._dataIO.SetAndObserveDataIOManager(self._remoteIO.GetDataIOManager())
        self._remoteIO.AddDataIOToScene()

    def _addApplicationNodes(self) -> None:
        import slicer

        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        patientRightIsScreenLeft = True
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, patientRightIsScreenLeft)


def bootScene() -> Any:
    """The scene to work in: Slicer's own when running inside Slicer, else that of a headless application.

    May be called any number of times; the application is made once in a process. Afterwards `slicer.mrmlScene` and
    `slicer.modules` exist, so `slicer.util.arrayFromVolume`, `addVolumeFromArray`, `getNode`,
    `arrayFromSegmentBinaryLabelmap` and whatever else of `slicer.util` needs neither Qt nor the application's IO
    manager can be used. For files, which do need the IO manager, there are `scene.volumes.volumeNodeFromFile` and
    `scene.saving`.

    Returns:
        vtkMRMLScene
    """
    import slicer

    if runsInsideSlicer():
        return slicer.mrmlScene
    return headlessApplication().scene


def headlessApplication() -> HeadlessApplication:
    """The one headless application of this process, made on first use. Raises RuntimeError inside Slicer."""
    global _application
    import slicer

    if runsInsideSlicer():
        raise RuntimeError("A headless application cannot be started inside Slicer; use slicer.mrmlScene.")
    if _application is None:
        _application = HeadlessApplication()
        slicer.mrmlScene = _application.scene
        slicer.modules = _application.moduleNamespace()
    return _application
