"""The page of figures is what the benchmarks left."""

from benchmarks import tables


def test_the_page_is_what_the_benchmarks_left():
    assert tables.page() == tables.PAGE.read_text(encoding="utf-8")


def test_the_first_minutes_are_told_beside_what_stood_before():
    one = {"first_minute": [3.0, 2.0, 9.0], "opened": [0.5], "filtered": [{"count": 0.1, "image": 0.2}],
           "server_mib": 300,
           "scrolled": [{"frames_a_second": 50.0, "longest_blank": 0.0}],
           "review": {"key_to_next": 0.04, "different": 60, "resumed_at_the_next": True},
           "by_hand": {"export": {"clicks": 2, "keys": 0}, "compute again": {"clicks": 1, "keys": 0}}}  # fmt: skip
    before = one | {"by_hand": {"export": {"clicks": 3, "keys": 0}, "compute again": None}}
    lines = tables.door({"n": 1_000, "now": one, "before": before}).splitlines()
    assert "| empty cache, server up → ranked images and suspects | 3.0 s | 3.0 s |" in lines
    assert "| by hand: export | 2 clicks, 0 keys | 3 clicks, 0 keys |" in lines
    assert "| by hand: compute again | 1 clicks, 0 keys | not possible |" in lines
    assert len(tables.door({"n": 1_000, "now": one}).splitlines()[0].split("|")) == 4
