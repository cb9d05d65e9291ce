import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from lsi.audit.summary import auroc, average_precision


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60))
def test_detection_is_measured_as_scikit_learn_does_ties_included(rows):
    positive, score = np.array([r[0] for r in rows]), np.array([r[1] / 3 for r in rows])
    if positive.all() or not positive.any():
        return
    np.testing.assert_allclose(auroc(positive, score), roc_auc_score(positive, score), rtol=1e-12)
    np.testing.assert_allclose(average_precision(positive, score), average_precision_score(positive, score), rtol=1e-12)
