import numpy as np
import pytest

from lsi.data.labels import UNLABELLED, LabelRules, class_positions, encode_labels
from lsi.errors import DataError

NAN = float("nan")


def encoded(values, **rules):
    return encode_labels(values, LabelRules("m.csv, column label", **rules))


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        ([1, 2, 1], ("1", "2"), [0, 1, 0]),
        ([101, 199, 101], ("101", "199"), [0, 1, 0]),
        ([10, 9, 10], ("9", "10"), [1, 0, 1]),
        (["001", "010", "001"], ("001", "010"), [0, 1, 0]),
        (["10", "9"], ("9", "10"), [1, 0]),
        (["b", "a", "10"], ("10", "a", "b"), [2, 1, 0]),
        ([-1, 1], ("-1", "1"), [0, 1]),
        ([1.0, 10.0, 2.0], ("1", "2", "10"), [0, 2, 1]),
        ([0.5, 1.0], ("0.5", "1.0"), [0, 1]),
        ([True, False], ("False", "True"), [1, 0]),
        ([b"cat", b"dog"], ("cat", "dog"), [0, 1]),
        (["NA", "None", "null"], ("NA", "None", "null"), [0, 1, 2]),
        (np.array([[2], [0], [2]]), ("0", "2"), [1, 0, 1]),
        ([[2], [0]], ("0", "2"), [1, 0]),
        (np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]), ("0", "1"), [1, 0]),
        ([[0, 1], [1, 0], None], ("0", "1"), [1, 0, UNLABELLED]),
    ],
)
def test_distinct_labels_are_the_classes_and_keep_their_text(values, names, expected):
    labels = encoded(values)
    assert labels.names == names
    np.testing.assert_array_equal(labels.values, expected)


@pytest.mark.parametrize("missing", [None, NAN, "", "  ", np.float64("nan")])
def test_a_missing_label_is_no_class_wherever_it_comes_from(missing):
    labels = encoded(["cat", missing, "dog"])
    assert labels.names == ("cat", "dog")
    np.testing.assert_array_equal(labels.values, [0, UNLABELLED, 1])


@pytest.mark.parametrize(
    ("values", "rules", "expected"),
    [
        ([0, -1, 1], {"class_names": ["yes", "no"]}, [0, UNLABELLED, 1]),
        ([0, -1, 1], {"minus_one_is_missing": True}, [0, UNLABELLED, 1]),
        ([-1, -1], {}, [UNLABELLED, UNLABELLED]),
    ],
)
def test_minus_one_is_a_missing_label_where_the_hub_writes_it_so(values, rules, expected):
    np.testing.assert_array_equal(encoded(values, **rules).values, expected)


def test_minus_one_beside_other_numbers_is_a_class_and_that_is_said():
    assert any('"-1" is taken for a class' in note for note in encoded([-1, 0, 1]).notes)


def test_texts_that_could_be_names_and_positions_are_names():
    assert encoded(["1", "2"], class_names=["0", "2", "1"]).values.tolist() == [1, 0]
    assert encoded([1, 2], class_names=["0", "2", "1"]).names == ("2", "1")
    assert encoded([1, 2], class_names=["0", "2", "1"]).values.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 0, 1], [1, 0, 1]),
        ([1.0, 0.0, NAN], [1, 0, UNLABELLED]),
        (["no", "yes"], [1, 0]),
        (["1", "0"], [1, 0]),
    ],
)
def test_with_class_names_numbers_are_positions_and_text_is_one_of_them(values, expected):
    labels = encoded(values, class_names=["yes", "no"])
    assert labels.names == ("yes", "no")
    np.testing.assert_array_equal(labels.values, expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 2], r"expected one of the 2 classes yes, no or its number 0 … 1, got '2' in row 1"),
        (["yes", "maybe"], "got 'maybe' in row 1"),
        ([0.5, 1.0], "got '0.5' in row 0"),
        ([[0], [0, 1]], r"got several \(row 1: \[0, 1\]\); multi-label"),
        ([[0, 1], [1, 1]], r"got several \(row 1: \[1, 1\]\); multi-label"),
        ([[0, 1], [0, 0]], r"got several \(row 1: \[0, 0\]\); multi-label"),
        ([{"a": 1}, "x"], "got a dict in row 0"),
        ([b"\xff\xfe", b"x"], "label of row 0 is no UTF-8"),
    ],
)
def test_what_is_no_label_is_named_with_its_row(values, message):
    with pytest.raises(DataError, match=f"m.csv, column label: .*{message}"):
        encoded(values, class_names=["yes", "no"])


def test_blanks_around_labels_do_not_count_and_that_is_said():
    labels = encoded(["cat", "cat ", "dog"])
    assert labels.names == ("cat", "dog")
    assert "blanks around 1 label do not count" in labels.notes[0]


@pytest.mark.parametrize(
    "values",
    [["0", "1", "0|1"], ["cat;dog", "dog", "cat"], ["cat", "cat, dog", "dog"], ["16 0", "0", "16"], ["a|b|c", *"abc"]],
)
def test_text_that_joins_labels_of_other_samples_is_several_labels(values):
    with pytest.raises(DataError, match=r"expected one label a sample, got several \(row"):
        encoded(values)


@pytest.mark.parametrize(
    "values", [["a|b", "c"], ["polar bear", "polar", "bear"], ["salt, pepper", "salt"], ["1|7", "1"]]
)
def test_names_with_separators_are_names_where_their_parts_are_none(values):
    assert encoded([*values, None]).names == tuple(sorted(values))


@pytest.mark.parametrize(
    ("values", "names"),
    [(["1", "1.0", "2"], ("1", "2")), (["10.0", "9.0", ""], ("9", "10")), (["-1.0", "-1.0"], ()),
     (["1.0", "1.5"], ("1.0", "1.5")),
     (["1.0", "v1"], ("1.0", "v1")), (["01", "1.0"], ("01", "1.0"))],
)  # fmt: skip
def test_whole_numbers_that_became_text_as_floats_are_whole_numbers(values, names):
    assert encoded(values).names == names


def test_what_is_known_to_be_a_class_stays_as_it_is():
    np.testing.assert_array_equal(class_positions(["1.0", "2.0"], ["1.0", "2.0"], "--labels").values, [0, 1])
    np.testing.assert_array_equal(encoded(["1.0", "2.0"], class_names=["2.0", "1.0"]).values, [1, 0])
    np.testing.assert_array_equal(class_positions(["1", "2"], ["1.0", "2.0"], "--labels").values, [0, 1])
    joined = ["cat", "cat, dog", "dog"]
    np.testing.assert_array_equal(class_positions(joined, joined, "--labels").values, [0, 1, 2])
    assert encoded(joined, class_names=joined).names == tuple(joined)


def test_another_labelling_finds_its_class_whether_it_came_as_float_or_not():
    np.testing.assert_array_equal(class_positions(["10.0", "20"], ["10", "20"], "--labels").values, [0, 1])


def test_names_that_differ_by_case_or_blanks_are_reported_and_joined_on_request():
    values = ["Polar Bear", "polar bear", "polar bear", "polarbear", "dog"]
    apart = encoded(values)
    assert len(apart.names) == 4
    assert "'Polar Bear', 'polar bear', 'polarbear'; --merge-classes case joins them" in apart.notes[0]
    joined = encoded(values, merge="case")
    assert joined.names == ("dog", "polar bear")
    np.testing.assert_array_equal(joined.values, [1, 1, 1, 1, 0])
    assert "joined" in joined.notes[0]


def test_classes_without_samples_are_dropped_with_a_line():
    labels = encoded([2, 0, 2], class_names=["a", "b", "c"])
    assert labels.names == ("a", "c")
    np.testing.assert_array_equal(labels.values, [1, 0, 1])
    assert "1 class without samples left out (b)" in labels.notes[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 0], [1, 0]), (["no", "yes"], [1, 0]), ([0.0, NAN], [0, UNLABELLED]), (np.array([[1], [0]]), [1, 0]),
     (np.eye(2), [0, 1])],
)  # fmt: skip
def test_another_labelling_is_by_name_or_by_number(values, expected):
    np.testing.assert_array_equal(class_positions(values, ["yes", "no"], "--labels l.npy").values, expected)


def test_another_labelling_by_number_is_by_name_where_the_numbers_are_the_names():
    np.testing.assert_array_equal(class_positions([20, 10], ["10", "20"], "--labels").values, [1, 0])
    with pytest.raises(DataError, match=r"--labels: .*got '30' in row 1"):
        class_positions([20, 30], ["10", "20"], "--labels")


def test_another_labelling_keeps_the_classes_and_says_what_was_stripped():
    labels = class_positions([" no", "no"], ["yes", "no"], "--labels")
    assert labels.names == ("yes", "no")
    assert labels.notes == ("--labels: blanks around 1 label do not count.",)


@pytest.mark.parametrize(
    ("values", "class_names", "expected"),
    [(["cat", "dog", "cow"], ["cat", "dog"], "in row 30"), (["cat", "[1, 2]", "dog"], None, r"several \(row 20"),
     (["cat", "dog", "cat;dog"], None, r"several \(row 30"), ([[1], [1, 2], [1]], None, r"several \(row 20"),
     ([b"a", b"\xff", b"b"], None, "the label of row 20"), (["a", {}, "b"], None, "in row 20"),
     ([[0, 1], [1, 0], [1, 1]], None, r"several \(row 30")],
)  # fmt: skip
def test_messages_name_the_row_of_the_source(values, class_names, expected):
    with pytest.raises(DataError, match=expected):
        encode_labels(values, LabelRules("m.csv", class_names, rows=[10, 20, 30]))
    if class_names:
        with pytest.raises(DataError, match=expected):
            class_positions(values, class_names, "m.csv", [10, 20, 30])


def test_another_labelling_names_classes_that_differ_by_blanks_around_them():
    labels = class_positions([" a", "a", "a ", "b"], ["a", " a", "b"], "l.csv")
    assert labels.values.tolist() == [1, 0, 0, 2]
    assert labels.notes == ("l.csv: blanks around 1 label do not count.",)
