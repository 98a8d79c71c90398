"""The window with the models: use, download, remove, and add a file of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.files import resource_path
from MemorizingSAM3DLib.scene.compute.model_manager import ModelManager
from MemorizingSAM3DLib.ui import settings
from MemorizingSAM3DLib.ui.controls import Connections, asToolTip, setAvailable
from MemorizingSAM3DLib.ui.error_line import ErrorLine, icon
from MemorizingSAM3DLib.ui.model_rows import ModelRow, licenceAccepted, megabytes, ownFileRow, rowOf
from MemorizingSAM3DLib.ui.poll_timer import PollTimer

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.models.store import CheckedModel

_STEPS = 1000  # of the progress bar
_SIZE = 2  # the column


class ModelsDialog:
    """What can be done with models, one thing at a time. The choice goes to the settings.

    It blocks its parent only if that is modal itself, as the settings are: from the panel, the user works on while a
    model is downloaded. Closing it cancels.

    Args:
        parent: the window in front of which it stands; None for Slicer's.

    Attributes:
        dialog: the QDialog.
    """

    def __init__(self, parent: Any = None) -> None:
        self.dialog = qt.QDialog(parent if parent is not None else slicer.util.mainWindow())
        content = slicer.util.loadUI(str(resource_path("UI", "Models.ui")))
        self.dialog.windowTitle = content.windowTitle
        qt.QVBoxLayout(self.dialog).addWidget(content)
        self.dialog.resize(780, 540)
        self.ui = ui = slicer.util.childWidgetVariables(content)
        self.manager = manager = ModelManager(settings.chosenModel().cacheFolder)
        self._rows: list[ModelRow] = []
        self._shown: list[ModelRow] = []
        self._done = ""
        self._errors = ErrorLine(ui)
        self._timer = PollTimer(manager)
        self._connections = Connections()
        ui.cancelButton.icon = icon("Cancel")
        ui.modelTable.toolTip = asToolTip(ui.modelTable.toolTip)
        self._prepareTable()
        connect = self._connections.toWidget
        connect(ui.modelTable, "itemSelectionChanged()", self._refreshActions)
        connect(ui.useButton, "clicked()", lambda: self._do(self._use))
        connect(ui.downloadButton, "clicked()", lambda: self._do(self._download))
        connect(ui.removeButton, "clicked()", lambda: self._do(self._remove))
        connect(ui.addFileButton, "clicked()", lambda: self._do(self._addFile))
        connect(ui.cancelButton, "clicked()", lambda: self._do(manager.cancel))
        connect(ui.closeButton, "clicked()", self.close)
        connect(self.dialog, "finished(int)", self.close)
        self._connections.toSignal(manager.changed, self.refresh)
        self._connections.toSignal(manager.progressChanged, self._refreshProgress)
        self._connections.toSignal(manager.failed, self._errors.showError)
        self._connections.toSignal(settings.modelChosen, self.refresh)
        self.refresh()

    def show(self) -> None:
        """Opens the window, or brings it to the front."""
        parent = self.dialog.parent()
        self.dialog.setModal(parent is not None and bool(parent.window().modal))
        self.dialog.show()
        self.dialog.raise_()
        self.dialog.activateWindow()

    @property
    def isOpen(self) -> bool:
        """Whether the user sees it."""
        return self.dialog is not None and bool(self.dialog.visible)

    def close(self) -> None:
        """Cancels what is being done, and deletes the window."""
        if self.dialog is None:
            return
        dialog, self.dialog = self.dialog, None
        self._connections.close()
        self._timer.close()
        self._errors.close()
        self.manager.close()
        dialog.close()
        dialog.deleteLater()

    def refresh(self) -> None:
        """Shows the models, and what can be done with the selected one."""
        try:
            self._rows = self._findRows()
            folder = str(self.manager.store.folder)
        except EngineError as error:  # packages are missing, or the installation is damaged
            self._rows, folder = [], ""
            self._errors.showError(str(error))
        self.ui.offlineLabel.setText(_(
            "Without internet: copy the file of the model into {folder}, or anywhere, and press 'Add a file'. The page "
            "docs/offline.md says how."
        ).format(folder=folder))  # fmt: skip
        self.ui.offlineLabel.setVisible(bool(folder))
        self._fillTable()
        self._refreshActions()
        self._refreshProgress()

    def _findRows(self) -> list[ModelRow]:
        chosen, ownFile = settings.chosenModel().model, settings.ownModelFile()
        rows: list[ModelRow] = []
        for model in self.manager.models():
            isInUse = chosen == model.entry.name or (not chosen and not any(row.isShipped for row in rows))
            rows.append(rowOf(model, isInUse))
        if ownFile:
            rows.append(ownFileRow(ownFile, chosen == ownFile))
        return rows

    def _prepareTable(self) -> None:
        table = self.ui.modelTable
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 8)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)

    def _fillTable(self) -> None:
        table = self.ui.modelTable
        selected = self._selected
        wanted = [row for row in self._rows if row.source == selected.source] if selected else []
        wanted = wanted or [row for row in self._rows if row.isInUse]
        wasBlocked = table.blockSignals(True)
        table.setRowCount(len(self._rows))
        for number, row in enumerate(self._rows):
            for column, text in enumerate(row.cells):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(asToolTip(text))  # a long name may not fit
                if column == _SIZE:
                    item.setData(qt.Qt.TextAlignmentRole, int(qt.Qt.AlignRight | qt.Qt.AlignVCenter))
                font = item.font()
                font.setBold(row.isInUse)
                item.setFont(font)
                table.setItem(number, column, item)
        table.clearSelection()
        if wanted:
            table.selectRow(self._rows.index(wanted[0]))
        table.blockSignals(wasBlocked)
        self._shown = list(self._rows)

    @property
    def _selected(self) -> ModelRow | None:
        numbers = {item.row() for item in self.ui.modelTable.selectedItems()}
        return self._shown[min(numbers)] if numbers else None

    def _refreshActions(self) -> None:
        ui, row = self.ui, self._selected
        ui.detailsLabel.setText(row.details if row else "")
        ui.downloadButton.text = _("Go on…") if row and row.stored and row.stored.part else _("Download…")
        reason = _("Something is being done already. Wait for it, or cancel it.") if self.manager.isBusy else None
        anyway = reason or (_("Select a model first.") if row is None else None)
        setAvailable(ui.useButton, _("Segment with the selected model. It is checked first."),
                     anyway or (row.whyNotUse if row else None))  # fmt: skip
        setAvailable(ui.downloadButton, _("Show the licence of the selected model, and download it if you accept."),
                     anyway or (row.whyNotDownload if row else None))  # fmt: skip
        setAvailable(ui.removeButton, _("Remove the selected model from this computer, and free its space."),
                     anyway or (row.whyNotRemove if row else None))  # fmt: skip
        setAvailable(ui.addFileButton, _("Use a model file of your own: .safetensors, or a published .pth of SAM-Med3D "
                     "or FastSAM3D, which is converted once. It is checked at once."), reason)  # fmt: skip

    def _refreshProgress(self) -> None:
        ui, manager = self.ui, self.manager
        does = _("Stops what is being done. What was downloaded is kept, to go on from.")
        reason = None
        text = manager.text or self._done
        if not manager.isBusy:
            reason = _("Nothing is being done.")
        elif manager.isStopping:
            reason = text = _("It is being stopped. A connection that hangs may need a minute for that.")
        ui.busyLabel.setText(text)
        # Equal ends make the bar run to and fro: something happens, nobody knows how long.
        ui.busyBar.setRange(0, 0 if manager.isBusy and manager.fraction is None else _STEPS)
        ui.busyBar.setValue(round(_STEPS * (manager.fraction or 0.0)))
        setAvailable(ui.cancelButton, does, reason)

    def _do(self, action: Callable[[], object]) -> None:
        self._done = ""
        self._errors.run(action)
        self._refreshProgress()

    def _use(self) -> None:
        row = self._selected
        if row is None:
            return
        if row.isShipped:
            settings.chooseModel("")
        elif row.isOwnFile:
            self.manager.check(row.source, self._useFile)
        else:
            self.manager.check(row.source, lambda checked: settings.chooseModel(checked.source))

    def _download(self) -> None:
        row = self._selected
        if row is None or row.stored is None or not licenceAccepted(row.stored, self.dialog):
            return
        entry = row.stored.entry

        def then() -> None:
            if settings.chosenModel().model == entry.name:  # chosen on the settings page before it was here
                settings.chooseModel(entry.name)
                self._done = _("{title} is downloaded, and in use.").format(title=entry.title)
            else:
                self._done = _("{title} is downloaded. Press Use to segment with it.").format(title=entry.title)

        self.manager.download(entry.name, entry.licence, then)

    def _remove(self) -> None:
        row = self._selected
        if row is None:
            return
        title = row.cells[0]
        question = _("Remove {title} from this computer? Your own file stays where it is.") if row.isOwnFile else _(
            "Remove {title} from this computer? That frees {size}.")  # fmt: skip
        question = question.format(title=title, size=megabytes(row.stored.size if row.stored else 0))
        if row.isInUse:
            question += " " + _("It is in use: the model that comes with the extension takes its place.")
        if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("Remove the model"), parent=self.dialog):
            return
        freed = self.manager.forgetFile(row.source) if row.isOwnFile else self.manager.remove(row.source)
        self._done = _("{title} is removed: {size} are free again.").format(title=title, size=megabytes(freed))
        if row.isOwnFile:
            settings.forgetModelFile()
        elif row.isInUse:
            settings.chooseModel("")

    def _addFile(self) -> None:
        path = askForFile(self.dialog)
        if path:
            self.manager.check(path, self._useFile)

    def _useFile(self, checked: CheckedModel) -> None:
        self._done = _("{title} works, and is in use: {parameters} million parameters.").format(
            title=checked.title, parameters=f"{checked.parameters / 1e6:.1f}"
        )
        settings.chooseModelFile(checked.source)
        sources = [row.source for row in self._shown]
        self.ui.modelTable.selectRow(sources.index(checked.source))  # a row that is new, and what the user asked for


def askForFile(parent: Any) -> str:
    """The path of a model file that the user chooses; "" for none."""
    kinds = _("Models") + " (*.safetensors *.pth *.pt)"
    return str(qt.QFileDialog.getOpenFileName(parent, _("A model file of your own"), "", kinds) or "")
