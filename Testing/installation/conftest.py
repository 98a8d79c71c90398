from __future__ import annotations

import pytest

from Testing.installation.fake_world import FakeInstaller, FakeMachine, FakeStore


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


@pytest.fixture
def installer(machine: FakeMachine) -> FakeInstaller:
    return FakeInstaller(machine)


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()
