"""Information per class."""

from lsi.runs.listing import list_runs
from lsi.ui.filters import Filter
from tests.ui.test_pages import visit, written


def test_classes_that_the_filter_hides_are_not_called_the_lower_ones(app, cache):
    run = next(r for r in list_runs(cache) if r.name.startswith("digits"))
    page = visit(app, "classes")
    page.session_state["filter"] = Filter(classes=(run.class_names[0],))
    page.run()
    assert "Information per class" in written(page)
    assert "of highest median" not in written(page)
