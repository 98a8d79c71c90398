from __future__ import annotations

import logging

import pytest

from MemorizingSAM3DLib.engine.errors import ClickError
from MemorizingSAM3DLib.scene.failures import messageOf


def test_an_error_that_is_meant_for_the_user_is_told_as_it_is_and_not_logged(caplog):
    assert messageOf(ClickError("It lies outside.", "Move it.")) == "It lies outside. Move it."
    assert caplog.records == []


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    ],
    ids=["Python", "CUDA", "Linux", "Windows"],
)
def test_a_lack_of_memory_is_told_with_what_helps_on_any_system(error, caplog):
    message = messageOf(error)

    assert message.startswith("There is not enough memory")
    assert "Close other scans" in message


@pytest.mark.parametrize(("error", "words"), [(ValueError("so what"), "so what"), (KeyError(), "KeyError")])
def test_what_nobody_foresaw_is_told_briefly_and_logged_with_its_traceback(error, words, caplog):
    with caplog.at_level(logging.ERROR):
        message = messageOf(error)

    assert words in message
    assert "report it" in message
    assert caplog.records[0].exc_info[1] is error
