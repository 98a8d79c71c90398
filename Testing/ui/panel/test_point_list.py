from __future__ import annotations

import pytest

from Testing.harness.pythonqt.driver import clickOn, clickOnCell, doubleClickOnCell

POINT_BUTTONS = ("togglePointButton", "deletePointButton", "jumpToPointButton")


@pytest.fixture
def three_points(ui, controller, a_chosen_scan):
    controller.place((1.04, 2.0, -3.0))
    controller.place((4.0, 5.0, 6.0), positive=False)
    controller.place((7.0, 8.0, 9.0))
    clickOn(ui.pointsSection)
    return controller.points


def rows(table):
    return [[table.item(row, column).text() for column in range(5)] for row in range(table.rowCount)]


def test_the_points_are_listed_in_click_order_with_sign_and_place(ui, three_points):
    assert rows(ui.pointTable) == [
        ["1", "+ inside", "1.0", "2.0", "-3.0"],
        ["2", "\N{MINUS SIGN} outside", "4.0", "5.0", "6.0"],
        ["3", "+ inside", "7.0", "8.0", "9.0"],
    ]
    assert ui.pointsSection.text == "Points (3)"


def test_inside_and_outside_differ_in_more_than_colour(ui, three_points):
    texts = {ui.pointTable.item(row, 1).text() for row in range(3)}

    assert texts == {"+ inside", "\N{MINUS SIGN} outside"}
    assert not any(ui.pointTable.item(row, 1).icon().isNull() for row in range(3))


def test_without_a_selected_point_the_buttons_say_what_to_do(ui, three_points):
    for name in POINT_BUTTONS:
        assert not getattr(ui, name).enabled, name
        assert "Select a point" in getattr(ui, name).toolTip


def test_the_selected_point_is_switched(ui, controller, three_points):
    clickOnCell(ui.pointTable, 1, 2)
    clickOn(ui.togglePointButton)

    assert [point.positive for point in controller.points] == [True, True, True]
    assert rows(ui.pointTable)[1][1] == "+ inside"


def test_the_selected_point_is_deleted_whichever_it_is(ui, controller, three_points):
    clickOnCell(ui.pointTable, 0, 2)
    clickOn(ui.deletePointButton)

    assert [point.ras for point in controller.points] == [(4.0, 5.0, 6.0), (7.0, 8.0, 9.0)]
    assert [row[0] for row in rows(ui.pointTable)] == ["1", "2"]


def test_the_views_go_to_the_selected_point(ui, controller, three_points):
    clickOnCell(ui.pointTable, 2, 2)
    clickOn(ui.jumpToPointButton)

    assert controller.jumpedTo == 2


def test_a_double_click_goes_to_the_point(ui, controller, three_points):
    doubleClickOnCell(ui.pointTable, 1, 1)

    assert controller.jumpedTo == 1


def test_the_selection_stays_when_a_point_is_added_and_goes_with_its_row(ui, controller, three_points):
    clickOnCell(ui.pointTable, 2, 2)
    controller.place((0.0, 0.0, 0.0))
    assert ui.deletePointButton.enabled

    controller.clearPoints()
    assert not ui.deletePointButton.enabled
    assert "no points" in ui.deletePointButton.toolTip
    assert ui.pointsSection.text == "Points"


def test_points_of_a_locked_segment_can_be_visited_only(ui, controller, three_points):
    clickOnCell(ui.pointTable, 0, 2)
    controller.setLocked(controller.selectedSegmentID, True)

    assert ui.jumpToPointButton.enabled
    assert not ui.togglePointButton.enabled
    assert "locked" in ui.deletePointButton.toolTip
