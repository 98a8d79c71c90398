"""The Python in the pages runs, and does what it says."""

from __future__ import annotations

from Testing.docs.pages import NAMES, Page


def run_examples(name: str) -> dict[str, object]:
    """Runs the blocks of a page, one after the other, and returns the names that they made."""
    names: dict[str, object] = {}
    for block in Page(name).blocks("python"):
        exec(compile(block, name, "exec"), names)
    return names


def test_the_readmes_session_segments_something_and_undoes_the_drag(a_readers_folder):
    names = run_examples("README.md")
    session, mask = names["session"], names["mask"]

    assert mask.shape == session.volume.shape
    assert [click.ras for click in session.clicks] == [(42.0, -18.0, 105.0), (60.0, -10.0, 98.0)]
    assert mask.any()


def test_a_structure_is_remembered_as_the_page_on_memories_says(a_readers_folder):
    session = run_examples("docs/memory.md")["session"]
    (case,) = session.predictor.case_retrieval.memory.cases

    assert case.facts.structure == "liver"
    assert (a_readers_folder / "my_memory").is_dir()


def test_no_page_with_python_is_left_out():
    in_slicer = ["docs/offline.md"]
    found = [name for name in NAMES if "python" in Page(name).languages]

    assert found == ["README.md", "docs/memory.md", *in_slicer]
    for name in in_slicer:
        for block in Page(name).blocks("python"):
            compile(block, name, "exec")
