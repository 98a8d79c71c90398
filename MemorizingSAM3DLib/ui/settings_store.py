"""A text that outlives a restart, in Slicer's settings."""

from __future__ import annotations

import slicer

from MemorizingSAM3DLib.ui.settings import PREFIX

_KEY = f"{PREFIX}PendingInstallation"


class SettingsStore:
    """An `installation.pending.Store`."""

    def read(self) -> str:
        return slicer.util.settingsValue(_KEY, "", converter=str)

    def write(self, text: str) -> None:
        settings = slicer.app.userSettings()
        if text:
            settings.setValue(_KEY, text)
        else:
            settings.remove(_KEY)
        settings.sync()  # a restart may follow at once
