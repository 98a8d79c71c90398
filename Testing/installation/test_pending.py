from __future__ import annotations

from pathlib import Path

import pytest

from MemorizingSAM3DLib.installation import pending
from MemorizingSAM3DLib.installation.choice import Choice


def test_what_was_agreed_to_outlives_a_restart(store):
    choice = Choice(Path("D:/wheels"), True, ("faiss-gpu",), ("torch",))
    pending.keep(store, choice)

    assert pending.take(store) == choice


def test_it_is_gone_on_with_once_only(store):
    pending.keep(store, Choice())

    assert pending.take(store) == Choice()
    assert pending.take(store) is None


def test_after_a_week_it_is_asked_anew(store, monkeypatch):
    pending.keep(store, Choice())
    later = pending.time.time() + 8 * 24 * 3600
    monkeypatch.setattr(pending.time, "time", lambda: later)

    assert pending.take(store) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"choice": {}}', '{"choice": {"folder": 3}, "time": "x"}', "null"])
def test_what_another_version_wrote_is_left_out(store, text):
    store.write(text)

    assert pending.take(store) is None
    assert store.read() == ""
