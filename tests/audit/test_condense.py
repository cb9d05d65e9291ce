"""Subsets that are spread over the information."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsi.audit.condense import condense
from lsi.errors import UsageError


def test_ranks_at_even_steps_of_each_class_stay_and_suspects_go():
    lsi = np.array([9.0, 1.0, 5.0, 3.0, 7.0, 2.0, 4.0, 6.0, 8.0, 10.0])
    strata = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    eligible = np.ones(10, dtype=bool)
    # class 0 in rising order: 1 5 3 2 4 0; three of six are ranks 1, 3, 5. Class 1: 6 7 8 9; two of four are 1 and 3
    assert condense(lsi, strata, eligible, 5).tolist() == [0, 2, 5, 7, 9]
    eligible[0] = False  # then ranks 0, 2, 4 of five: 1, 3, 4
    assert condense(lsi, strata, eligible, 5).tolist() == [1, 3, 4, 7, 9]


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 5), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 80),
)
def test_any_subset_has_its_size_its_classes_and_no_suspect(samples, count):
    lsi, strata, eligible = (np.array(part) for part in zip(*samples, strict=True))
    kept = condense(lsi, strata, eligible, count)
    assert len(kept) == min(count, eligible.sum())
    assert len(set(kept.tolist())) == len(kept)
    assert eligible[kept].all()
    sizes = np.bincount(strata[eligible], minlength=6)
    shares = np.bincount(strata[kept], minlength=6)
    if count >= (sizes > 0).sum():
        assert ((shares > 0) == (sizes > 0)).all()
    if eligible.sum():
        assert (np.abs(shares - sizes * len(kept) / eligible.sum()) < 1 + (sizes > 0).sum()).all()


def test_all_of_them_is_everything_that_may_stay():
    rng = np.random.default_rng(0)
    lsi, strata, eligible = rng.random(50), rng.integers(0, 3, 50), rng.random(50) < 0.8
    np.testing.assert_array_equal(condense(lsi, strata, eligible, 50), np.flatnonzero(eligible))
    assert len(condense(lsi, strata, np.zeros(50, dtype=bool), 5)) == 0
    with pytest.raises(UsageError, match="at least one"):
        condense(lsi, strata, eligible, 0)
