"""What tests of the interface ask for. A test module imports those that it uses, by the names of the fixtures.

They last for one test module: afterwards there is no `slicer.app`, and other tests run on the headless application.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from Testing.harness.application.slicer_application import SlicerApplication, slicerApplication
from Testing.harness.application.views import SliceViews, openSliceViews


@pytest.fixture(scope="module")
def slice_views(a_headless_application: Any) -> Iterator[SliceViews]:
    """Red, Green and Yellow, 400 x 300 pixels, open for the whole test module.

    Where there is a `slicer_application`, its layout manager has them.
    """
    pytest.importorskip("trame_slicer", reason="needs trame-slicer: pip install memorizing-sam3d[scene]")
    with openSliceViews(a_headless_application) as views:
        yield views


@pytest.fixture(scope="module")
def installed_application(a_headless_application: Any) -> Iterator[SlicerApplication]:
    """`slicer.app` and all that comes with it, for the whole test module, without views."""
    with slicerApplication(a_headless_application) as application:
        yield application


@pytest.fixture
def slicer_application(
    installed_application: SlicerApplication, a_scene: Any, request: pytest.FixtureRequest
) -> Iterator[SlicerApplication]:
    """The application with an empty scene, no open modules, no messages; modules that a test opens are closed.

    Fails the test for an exception in a slot or observer, which Slicer would only print, unless the test took it with
    `pythonqt.errors.takeRecordedErrors`.
    """
    from Testing.harness.pythonqt.errors import takeRecordedErrors

    takeRecordedErrors()
    application = installed_application
    views = request.getfixturevalue("slice_views") if "slice_views" in request.fixturenames else None
    application.attachViews(views)
    yield application
    if views is not None:
        views.renderLive(False)
        views.leave()
    for module in list(application.modules):
        module.close()
    application.attachViews(None)
    application.closeMainWindow()
    application.forget()
    assert not (errors := takeRecordedErrors()), "\n".join(error.text for error in errors)
