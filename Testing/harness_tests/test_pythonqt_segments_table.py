"""`qMRMLSegmentsTableView` on a real segmentation."""

from __future__ import annotations

import pytest

from Testing.harness.pythonqt.driver import CannotDoThat, clickOnCell, rename
from Testing.harness.pythonqt.fixtures import a_pythonqt, a_qt_application, no_error_in_slots  # noqa: F401
from Testing.harness.pythonqt.modules import modules

qt = modules["qt"]
pytestmark = pytest.mark.usefixtures("a_pythonqt")
VISIBILITY, NAME, STATE = 0, 3, 5


@pytest.fixture
def segmentation(a_segmentation_node):
    return a_segmentation_node.GetSegmentation()


@pytest.fixture
def three(segmentation):
    return tuple(segmentation.AddEmptySegment("", name) for name in ("liver", "spleen", "kidney"))


@pytest.fixture
def table(a_segmentation_node, three):
    import slicer

    view = slicer.qMRMLSegmentsTableView()
    view.setMRMLScene(slicer.mrmlScene)
    view.setSegmentationNode(a_segmentation_node)
    view.resize(350, 200)
    view.show()
    return view


def names(table):
    proxy = table.sortFilterProxyModel()
    return [proxy.index(row, NAME).data() for row in range(proxy.rowCount())]


def test_it_lists_the_segments_in_their_order(table, three):
    assert table.segmentCount == 3 and table.displayedSegmentIDs() == three
    assert names(table) == ["liver", "spleen", "kidney"]
    assert table.rowForSegmentID(three[2]) == 2 and table.segmentIDForRow(1) == three[1]


def test_it_follows_what_happens_to_the_segmentation(table, segmentation, three):
    segmentation.RemoveSegment(three[0])
    fourth = segmentation.AddEmptySegment("", "tumour")
    segmentation.GetSegment(three[1]).SetName("the spleen")
    assert names(table) == ["the spleen", "kidney", "tumour"]
    assert table.displayedSegmentIDs() == (three[1], three[2], fourth)


def test_it_follows_the_order(table, segmentation, three):
    segmentation.SetSegmentIndex(three[2], 0)
    assert names(table) == ["kidney", "liver", "spleen"]


def test_selecting_segments_is_told_with_qt_selections(table, three):
    heard = []
    table.connect("selectionChanged(QItemSelection,QItemSelection)", lambda *selections: heard.append(selections))
    table.setSelectedSegmentIDs([three[1]])
    assert table.selectedSegmentIDs() == (three[1],)
    assert [selection.className() for selection in heard[-1]] == ["QItemSelection"] * 2


def test_selecting_what_is_selected_already_is_not_told(table, three):
    table.setSelectedSegmentIDs([three[1]])
    heard = []
    table.connect("selectionChanged(QItemSelection,QItemSelection)", lambda: heard.append(1))
    table.setSelectedSegmentIDs([three[1]])
    assert heard == []


def test_a_selection_survives_changes_of_other_segments(table, segmentation, three):
    table.setSelectedSegmentIDs([three[1]])
    segmentation.RemoveSegment(three[0])
    segmentation.AddEmptySegment("", "tumour")
    segmentation.GetSegment(three[1]).SetColor(1.0, 0.0, 0.0)
    assert table.selectedSegmentIDs() == (three[1],)


def test_removing_the_selected_segment_is_told(table, segmentation, three):
    table.setSelectedSegmentIDs([three[1]])
    heard = []
    table.connect("selectionChanged(QItemSelection,QItemSelection)", lambda: heard.append(table.selectedSegmentIDs()))
    segmentation.RemoveSegment(three[1])
    assert heard[-1] == ()


def test_a_user_selects_by_a_click(table, three):
    clickOnCell(table, 2, NAME)
    assert table.selectedSegmentIDs() == (three[2],)
    clickOnCell(table, 0, NAME, qt.Qt.ControlModifier)
    assert table.selectedSegmentIDs() == (three[0], three[2])


def test_one_segment_at_a_time_if_so_set(table, three):
    table.selectionMode = qt.QAbstractItemView.SingleSelection
    clickOnCell(table, 2, NAME)
    clickOnCell(table, 0, NAME, qt.Qt.ControlModifier)
    assert table.selectedSegmentIDs() == (three[0],)


def test_a_user_renames_a_segment(table, segmentation, three):
    heard = []
    table.connect("segmentAboutToBeModified(QString)", heard.append)
    rename(table, 1, NAME, "metastasis")
    assert segmentation.GetSegment(three[1]).GetName() == "metastasis"
    assert heard == [three[1]] and names(table)[1] == "metastasis"


def test_a_user_cannot_rename_in_a_read_only_table(table):
    table.readOnly = True
    with pytest.raises(CannotDoThat, match="cannot be edited"):
        rename(table, 1, NAME, "metastasis")


def test_a_user_hides_and_shows_a_segment(table, a_segmentation_node, three):
    display = a_segmentation_node.GetDisplayNode()
    clickOnCell(table, 1, VISIBILITY)
    assert [bool(display.GetSegmentVisibility(segment)) for segment in three] == [True, False, True]
    clickOnCell(table, 1, VISIBILITY)
    assert display.GetSegmentVisibility(three[1])


def test_the_state_goes_round_with_clicks(table, segmentation, three):
    import slicer

    table.statusColumnVisible = True
    clickOnCell(table, 0, STATE)
    status = slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentStatus(segmentation.GetSegment(three[0]))
    assert status == slicer.vtkSlicerSegmentationsModuleLogic.InProgress


def test_columns_can_be_hidden(table):
    view = table.tableWidget()
    table.opacityColumnVisible = False
    table.setVisibilityColumnVisible(False)
    assert view.isColumnHidden(0) and view.isColumnHidden(2) and not view.isColumnHidden(NAME)


def test_the_filter_shows_some_segments_only(table, three):
    table.textFilter = "K"
    assert table.displayedSegmentIDs() == (three[2],)
    table.setTextFilter("")
    table.setHideSegments([three[0]])
    assert table.displayedSegmentIDs() == three[1:]


def test_segments_can_be_moved(table, segmentation, three):
    table.setSelectedSegmentIDs([three[2]])
    table.moveSelectedSegmentsUp()
    assert tuple(segmentation.GetSegmentIDs()) == (three[0], three[2], three[1])
    assert table.selectedSegmentIDs() == (three[2],)


def test_another_segmentation_replaces_the_rows(table, a_scene, three):
    other = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    other.CreateDefaultDisplayNodes()
    table.setSegmentationNode(other)
    assert table.segmentCount == 0 and table.segmentationNode() is other
    table.setSegmentationNode(None)
    assert table.segmentCount == 0 and table.segmentationNode() is None


def test_thirty_segments_are_listed(table, segmentation):
    for number in range(27):
        segmentation.AddEmptySegment("", f"lesion {number}")
    assert table.segmentCount == 30 and names(table)[-1] == "lesion 26"
