from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Add point", "⟦Add point⟧"),
        ("Add point (Liver (left))", "⟦Add point⟧ (Liver (left))"),
        ("Something new (Liver)", "Something new (Liver)"),
    ],
)
def test_the_edit_is_translated_and_the_segments_name_is_not(slicer_application, monkeypatch, name, shown):
    from MemorizingSAM3DLib.ui import edit_names

    monkeypatch.setattr(edit_names, "_", lambda text: f"⟦{text}⟧")

    assert edit_names.editName(name) == shown


def test_every_name_that_the_scene_gives_is_known(slicer_application, monkeypatch):
    from MemorizingSAM3DLib.engine.prompts import Click, Prompts
    from MemorizingSAM3DLib.scene.edit_history import describeEdit
    from MemorizingSAM3DLib.ui import edit_names

    monkeypatch.setattr(edit_names, "_", lambda text: f"⟦{text}⟧")
    a, b, c = (Click((float(x), 0.0, 0.0), True) for x in range(3))
    outside = Click(a.ras, False)
    histories = [(), (a,), (b,), (outside,), (a, b), (b, a), (a, b, c)]
    pairs = [(before, after) for before in histories for after in histories if before != after]
    names = {describeEdit(Prompts(0, before), Prompts(0, after)) for before, after in pairs}
    names.add(describeEdit(Prompts(0, (a,)), Prompts(1, (a,))))

    assert len(names) >= 7
    assert {edit_names.editName(name) for name in names} == {f"⟦{name}⟧" for name in names}
