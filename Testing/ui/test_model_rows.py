from __future__ import annotations

from dataclasses import replace

import pytest

from MemorizingSAM3DLib.engine.models.store import ModelStore
from Testing.engine.model_host import TURBO, UNVERIFIED


@pytest.fixture
def ask(slicer_application, a_host):
    """Asks for the licence of a known model, with what is given changed; returns the answer and the question."""
    from MemorizingSAM3DLib.ui.model_rows import licenceAccepted

    def ask(name, answer=True, part=0, **changes):
        model = next(model for model in ModelStore(a_host.folder).models() if model.entry.name == name)
        model = replace(model, entry=replace(model.entry, **changes), part=part)
        slicer_application.dialogs.answer(answer)
        return licenceAccepted(model, None), slicer_application.dialogs.last

    return ask


@pytest.mark.parametrize("answer", [True, False])
def test_the_answer_is_the_users(ask, answer):
    assert ask(TURBO, answer)[0] is answer


def test_the_question_says_what_comes_from_where_to_where_and_under_which_licence(ask, a_host):
    _answer, question = ask(TURBO, size=402_000_000, url="https://huggingface.co/blueyo0/model.pth")

    assert question.windowTitle == "Licence of the model"
    for words in (
        "<b>SAM-Med3D turbo</b> (402 MB)",
        "from huggingface.co to",
        str(a_host.folder),
        "Licence: <b>Apache-2.0</b>",
        "To cite: Wang et al.",
        "Its converted form takes about as much again.",
        "Do you accept the licence",
    ):
        assert words in question.text


def test_the_text_of_the_licence_comes_with_the_question(ask):
    _answer, question = ask(TURBO)

    assert "under the button for details" in question.text
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in question.details["detailedText"]


def test_a_licence_whose_text_is_not_here_is_linked(ask):
    _answer, question = ask(TURBO, licence="CC-BY-NC-4.0")

    assert "detailedText" not in question.details
    assert '<a href="https://spdx.org/licenses/CC-BY-NC-4.0.html">Read it.</a>' in question.text


def test_a_model_that_cannot_be_verified_is_said_to_be(ask):
    assert "publish no SHA-256" in ask(UNVERIFIED)[1].text
    assert "SHA-256" not in ask(TURBO)[1].text


def test_what_came_before_is_said(ask):
    assert "120 MB are here already" in ask(TURBO, part=120_000_000)[1].text
    assert "already" not in ask(TURBO)[1].text


def test_what_the_registry_says_is_shown_as_text(ask):
    assert "Wang &lt;b&gt; &amp; others" in ask(TURBO, citation="Wang <b> & others")[1].text


def test_every_licence_in_the_registry_has_its_text(slicer_application):
    from MemorizingSAM3DLib.engine.models.registry import known_models
    from MemorizingSAM3DLib.ui.model_rows import licenceText

    assert all(licenceText(entry.licence) for entry in known_models())
    assert licenceText("no-such-licence") is None
