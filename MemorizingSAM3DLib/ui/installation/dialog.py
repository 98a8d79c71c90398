"""The one dialog of the installation: what, how large, why, from where, where to; then its progress and its end.

What the installation's dialog says before it begins and when it is over.
"""

from __future__ import annotations

from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.engine.files import resource_path
from MemorizingSAM3DLib.installation.accelerators import FAISS_GPU, FLASH_ATTENTION, accelerators
from MemorizingSAM3DLib.installation.installation import Installation, Outcome, Result, Store, keep
from MemorizingSAM3DLib.installation.machine import Installer, Machine
from MemorizingSAM3DLib.installation.plan import Choice, Plan, Step, make_plan, size_text
from MemorizingSAM3DLib.installation.requirements import TORCH
from MemorizingSAM3DLib.installation.wheels import WheelFolder
from MemorizingSAM3DLib.ui.controls import Connections, asToolTip, setAvailable
from MemorizingSAM3DLib.ui.error_line import FRAME
from MemorizingSAM3DLib.ui.settings import chooseModelFile


def summary(plan: Plan, free: float) -> str:
    """How much it is, and where it goes.

    Args:
        free: room on that disk, MB.
    """
    if not plan.steps:
        return _("Every package is there.")
    values = {
        "download": size_text(plan.megabytes),
        "disk": size_text(plan.megabytes_on_disk),
        "free": size_text(free),
        "folder": plan.destination,
    }
    if plan.choice.folder is None:
        return _(
            "About {download} are downloaded, with what they need themselves. They go to {folder} and take up to "
            "{disk} there while they are unpacked ({free} are free). No scan leaves this computer."
        ).format(**values)
    return _("They go to {folder} and take up to {disk} there ({free} are free). Nothing is downloaded.").format(
        **values
    )


def sentence(outcome: Outcome) -> str:
    """How it ended, and what is there now."""
    names = ", ".join(outcome.installed) or _("nothing")
    if outcome.result is Result.DONE:
        return _("Everything is installed. You can go on at once.")
    if outcome.result is Result.RESTART and outcome.goes_on:
        return _("Slicer has to be restarted; the installation goes on by itself when the module is opened again.")
    if outcome.result is Result.RESTART:
        return _("Everything is installed. Restart Slicer, since some of it was in use.")
    if outcome.result is Result.DECLINED:
        return _("PyTorch was declined, so it is still missing. Installed: {names}.").format(names=names)
    if outcome.result is Result.CANCELLED:
        return _("Stopped. Installed: {names}. The rest can be installed at any time.").format(names=names)
    return _("It did not work. Installed: {names}.").format(names=names)


AMBER = "#e69f00"
_WHY = 1  # the column that takes what room there is


class InstallationDialog:
    """Asks once, then installs, on the main thread. Closing it while it works stops it after the current package.

    Args:
        machine: what there is. installer: who changes it. store: keeps an agreement over a restart.
        repair: packages to install anew although they look whole.

    Attributes:
        widget: the QDialog. outcome: how it ended; None as long as the user has not agreed.
    """

    def __init__(self, machine: Machine, installer: Installer, store: Store, repair: tuple[str, ...] = ()) -> None:
        self._machine = machine
        self._installer = installer
        self._store = store
        self._repair = repair
        self._isRunning = self._isCancelled = False
        self.outcome: Outcome | None = None
        self.widget = slicer.util.loadUI(str(resource_path("UI", "Installation.ui")))
        if slicer.util.mainWindow() is not None:
            self.widget.setParent(slicer.util.mainWindow(), self.widget.windowFlags())
        self._ui = slicer.util.childWidgetVariables(self.widget)
        self._connections = Connections()
        self._prepare()
        self._connect()
        self.refresh()

    def open(self, resumed: Choice | None = None) -> Outcome | None:
        """Shows the dialog until the user closes it.

        Args:
            resumed: what the user agreed to before a restart; it is begun with at once.
        """
        if resumed is not None:
            self._show(resumed)
            qt.QTimer.singleShot(0, self._install)
        self.widget.exec_()
        self.close()
        return self.outcome

    def close(self) -> None:
        """Takes the dialog away."""
        self._connections.close()
        self.widget.hide()
        self.widget.deleteLater()

    def refresh(self) -> None:
        """Shows the plan of what is chosen now."""
        ui, plan = self._ui, self._plan()
        isOffline = ui.folderRadioButton.checked
        ui.folderEdit.enabled = isOffline
        folder = self._folder()
        offered = {offer.requirement for offer in accelerators(self._machine, folder) if offer.offered}
        ui.faissCheckBox.setVisible(FAISS_GPU in offered)
        ui.flashAttentionCheckBox.setVisible(FLASH_ATTENTION in offered)
        needsTorch = any(step.requirement == TORCH for step in plan.steps)
        hasGpu = self._machine.has_nvidia_driver()
        ui.cpuOnlyCheckBox.setVisible(needsTorch and hasGpu and not isOffline and self._machine.system != "Darwin")
        model = folder.models[0] if folder is not None and folder.models else None
        ui.modelCheckBox.setVisible(model is not None)
        ui.modelCheckBox.setText("" if model is None else _("Use the model {name}").format(name=model.name))
        self._fillTable(plan)
        ui.summaryLabel.setText(summary(plan, self._machine.free_bytes() / 1e6))
        self._showObstacles("\n\n".join(str(obstacle) for obstacle in plan.obstacles))
        does = _("Installs the packages of the list, one after the other.")
        setAvailable(ui.installButton, does, self._whyNot(plan))

    # --- before

    def _prepare(self) -> None:
        ui = self._ui
        ui.obstacleFrame.setStyleSheet(FRAME % ("obstacleFrame", AMBER, AMBER))
        for control in (ui.internetRadioButton, ui.folderRadioButton, ui.folderEdit, ui.cpuOnlyCheckBox,
                        ui.faissCheckBox, ui.flashAttentionCheckBox, ui.modelCheckBox, ui.restartButton):  # fmt: skip
            control.toolTip = asToolTip(control.toolTip)
        header = ui.packageTable.horizontalHeader()
        for column in range(4):
            stretches = column == _WHY
            header.setSectionResizeMode(
                column, qt.QHeaderView.Stretch if stretches else qt.QHeaderView.ResizeToContents
            )
        ui.packageTable.verticalHeader().setVisible(False)
        ui.packageTable.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        for widget in (ui.progressLabel, ui.progressBar, ui.restartButton):
            widget.setVisible(False)
        setAvailable(ui.closeButton, _("Closes this window. Nothing is installed."))

    def _connect(self) -> None:
        ui, connect = self._ui, self._connections.toWidget
        connect(ui.folderRadioButton, "toggled(bool)", self.refresh)
        connect(ui.folderEdit, "currentPathChanged(QString)", self.refresh)
        for box in (ui.cpuOnlyCheckBox, ui.faissCheckBox, ui.flashAttentionCheckBox):
            connect(box, "toggled(bool)", self.refresh)
        connect(ui.installButton, "clicked()", self._install)
        connect(ui.closeButton, "clicked()", self._closeOrCancel)
        connect(ui.restartButton, "clicked()", self._restart)
        connect(self.widget, "rejected()", self._cancel)

    def _plan(self) -> Plan:
        return make_plan(self._machine, self._installer, self._choice())

    def _choice(self) -> Choice:
        ui, folder = self._ui, self._folder()
        boxes = ((ui.faissCheckBox, FAISS_GPU.name), (ui.flashAttentionCheckBox, FLASH_ATTENTION.name))
        return Choice(
            folder=None if folder is None else folder.path,
            cpu_only=ui.cpuOnlyCheckBox.checked,
            extras=tuple(name for box, name in boxes if box.checked),
            repair=self._repair,
        )

    def _folder(self) -> WheelFolder | None:
        ui = self._ui
        if not ui.folderRadioButton.checked or not ui.folderEdit.currentPath:
            return None
        return WheelFolder(Path(ui.folderEdit.currentPath))

    def _show(self, choice: Choice) -> None:
        ui = self._ui
        self._repair = choice.repair
        ui.cpuOnlyCheckBox.checked = choice.cpu_only
        ui.faissCheckBox.checked = FAISS_GPU.name in choice.extras
        ui.flashAttentionCheckBox.checked = FLASH_ATTENTION.name in choice.extras
        if choice.folder is not None:
            ui.folderEdit.currentPath = str(choice.folder)
            ui.folderRadioButton.checked = True
        self.refresh()

    def _fillTable(self, plan: Plan) -> None:
        table = self._ui.packageTable
        table.setRowCount(len(plan.steps))
        for row, step in enumerate(plan.steps):
            name = _("{package} {version} or later").format(package=step.name, version=step.requirement.minimum)
            why = _("Installed anew. {why}").format(why=step.why) if step.anew else step.why
            for column, text in enumerate((name, why, size_text(step.megabytes), step.source)):
                table.setItem(row, column, qt.QTableWidgetItem(text))

    def _whyNot(self, plan: Plan) -> str | None:
        if self._ui.folderRadioButton.checked and self._folder() is None:
            return _("Choose the folder with the wheels.")
        if not plan.steps:
            return _("Every package is there.")
        return plan.obstacles[0].remedy if plan.obstacles else None

    def _showObstacles(self, text: str) -> None:
        self._ui.obstacleLabel.setText(text)
        self._ui.obstacleFrame.setVisible(bool(text))

    # --- while it works

    def _install(self) -> None:
        if self._isRunning:
            return
        plan = self._plan()
        self._begin(plan)
        try:
            outcome = Installation(self._machine, self._installer, plan).run(self._report, self._wasCancelled)
        finally:
            self._isRunning = False
        self.outcome = outcome
        self._end(plan, outcome)

    def _begin(self, plan: Plan) -> None:
        ui = self._ui
        self._isRunning, self._isCancelled = True, False
        ui.choiceFrame.enabled = False
        ui.progressLabel.setVisible(True)
        ui.progressLabel.setText(_("Looking for the package index..."))
        ui.progressBar.setVisible(True)
        ui.progressBar.setRange(0, max(1, len(plan.steps)))
        ui.progressBar.setValue(0)
        setAvailable(ui.installButton, _("Installs the packages of the list."), _("They are being installed."))
        ui.closeButton.setText(_("Stop"))
        setAvailable(ui.closeButton, _("Stops after the package that is being installed now. What is there stays."))
        slicer.app.processEvents()

    def _report(self, done: int, step: Step) -> None:
        ui = self._ui
        text = _("{number} of {all}: {package} ({size}). Slicer may not answer until it is there.").format(
            number=done + 1, all=ui.progressBar.maximum, package=step.name, size=size_text(step.megabytes)
        )
        ui.progressLabel.setText(text)
        ui.progressBar.setValue(done)
        slicer.app.processEvents()

    def _wasCancelled(self) -> bool:
        slicer.app.processEvents()  # so that a press on Stop is seen
        return self._isCancelled

    def _closeOrCancel(self) -> None:
        if self._isRunning:
            self._cancel()
        else:
            self.widget.reject()

    def _cancel(self) -> None:
        if self._isRunning:
            self._isCancelled = True
            self._ui.progressLabel.setText(_("Stopping after this package..."))

    # --- afterwards

    def _end(self, plan: Plan, outcome: Outcome) -> None:
        ui = self._ui
        if outcome.goes_on:
            keep(self._store, plan.choice)
        isOver = outcome.result in (Result.DONE, Result.RESTART)
        if isOver:
            self._useModel()
        ui.choiceFrame.enabled = True
        ui.closeButton.setText(_("Later") if outcome.result is Result.RESTART else _("Close"))
        setAvailable(ui.closeButton, _("Closes this window."))
        self.refresh()
        ui.installButton.setVisible(not isOver)
        ui.installButton.setText(_("Try again"))
        ui.restartButton.setVisible(outcome.result is Result.RESTART)
        ui.progressBar.setVisible(False)
        for widget in (ui.introLabel, ui.packageTable, ui.summaryLabel, ui.choiceFrame):
            widget.setVisible(not isOver)
        ui.progressLabel.setText(sentence(outcome))
        if outcome.obstacle is not None and str(outcome.obstacle) not in ui.obstacleLabel.text:
            self._showObstacles(str(outcome.obstacle))
        if isOver:
            self._showObstacles("")
            self.widget.layout().activate()
            self.widget.resize(self.widget.width, self.widget.sizeHint.height())

    def _useModel(self) -> None:
        folder = self._folder()
        if folder is not None and folder.models and self._ui.modelCheckBox.checked:
            chooseModelFile(str(folder.models[0]))

    def _restart(self) -> None:
        self.widget.accept()
        # slicer.util.restart() would ask nothing and lose what is not saved.
        slicer.app.confirmRestart(_("Slicer closes and starts again. What is not saved will be lost. Restart now?"))
