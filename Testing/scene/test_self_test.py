from __future__ import annotations

import pytest

from MemorizingSAM3DLib.scene.click_controller import ClickController
from MemorizingSAM3DLib.scene.self_test import SelfTest, runScenarios
from Testing.scene.quick_model import QuickModel


def test_slicers_own_test_passes_with_the_shipped_model(a_scene):
    controller, said = ClickController(), []

    class ATest:
        def delayDisplay(self, words, milliseconds):
            said.append(words)

    runScenarios(ATest(), controller)
    controller.close()

    assert said[-1] == "All scenarios ended well."
    assert len(said) == 8


def test_it_fails_with_a_model_that_does_not_segment(a_scene):
    controller = ClickController(QuickModel(reach=0.001))
    with pytest.raises(AssertionError):
        SelfTest(controller, lambda words: None).run()
    controller.close()
