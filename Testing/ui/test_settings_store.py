from __future__ import annotations


def test_a_text_is_kept_and_forgotten(slicer_application):
    from MemorizingSAM3DLib.ui.settings_store import SettingsStore

    store = SettingsStore()
    assert store.read() == ""

    store.write('{"choice": 1}')
    assert SettingsStore().read() == '{"choice": 1}'
    store.write("")
    assert store.read() == ""
    assert not slicer_application.settings.contains("MemorizingSAM3D/PendingInstallation")
