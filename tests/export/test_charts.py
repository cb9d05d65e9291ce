import numpy as np
import pandas as pd

from lsi.export import charts

LONG = ["a crane that stands in shallow water", "a crane that stands on a building site", "a heron"]
TABLE = pd.DataFrame(
    {
        "given_label": [0, 0, 1, 1, 2, 2],
        "suggested_label": [0, 1, 1, 2, 2, 1],
        "is_label_issue": [False, True, False, True, False, True],
        "lsi": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    }
)


def test_classes_whose_names_begin_alike_stay_apart():
    boxes = charts.lsi_boxes_by_class(TABLE, LONG)
    assert [box.x[0] for box in boxes.data] == [0, 1, 2]
    assert [(box.q1[0], box.median[0], box.q3[0]) for box in boxes.data] == [
        (1.25, 1.5, 1.75),
        (3.25, 3.5, 3.75),
        (5.25, 5.5, 5.75),
    ]
    assert len(boxes.layout.xaxis.ticktext) == 3
    heatmap, marks = charts.matrix(TABLE, LONG).data
    assert heatmap.x is None
    assert [tuple(cell) for cell in np.stack([marks.y, marks.x], axis=1)] == [(0, 1), (1, 2), (2, 1)]


def test_a_cell_of_the_matrix_can_be_clicked_and_says_which_classes_it_is():
    figure = charts.matrix(TABLE, LONG)
    marks = figure.data[1]
    assert marks.hoverinfo != "skip", "Plotly selects no point that it skips under the pointer"
    assert marks.marker.size > 0.6 * (figure.layout.height - 100) / 3
    assert marks.text[1] == f"{LONG[1][:23]}… → a heron: 1"


def test_of_many_classes_those_that_matter_are_drawn():
    """The boxes of highest median, and the matrix of the classes with most suspected labels, by their own names."""
    names = [f"class {c}" for c in range(200)]
    given = np.repeat(np.arange(200), 2)
    suspected = np.isin(given, [7, 150])
    table = pd.DataFrame(
        {
            "given_label": given,
            "suggested_label": np.where(given == 7, 150, 9),
            "is_label_issue": suspected,
            "lsi": 1.0 + (given == 150) + 0.5 * (given == 3),
        }
    )
    boxes = charts.lsi_boxes_by_class(table, names, most=2)
    assert list(boxes.layout.xaxis.ticktext) == ["class 3 (2)", "class 150 (2)"]
    _, marks = charts.matrix(table, names, most=3).data
    assert list(marks.text) == ["class 7 → class 150: 2", "class 150 → class 9: 2"]
