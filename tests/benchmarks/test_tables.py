"""The page of figures is what the benchmarks left."""

from benchmarks import tables


def test_the_page_is_what_the_benchmarks_left():
    assert tables.page() == tables.PAGE.read_text(encoding="utf-8")
