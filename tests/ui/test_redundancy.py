"""What of a group of near duplicates can go."""

import numpy as np
import pandas as pd

from lsi.ui.redundancy import redundant

TABLE = pd.DataFrame(
    {"near_duplicate_group": [0, 0, 0, 1, 1, -1], "label_score": [0.9, 0.5, 0.4, 0.8, 0.7, 0.1], "lsi": np.arange(6.0)}
)


def goes(**decided: str) -> list[int]:
    actions = pd.Series({int(name[1:]): action for name, action in decided.items()}, dtype=object)
    return sorted(redundant(TABLE, actions).tolist())


def test_the_likeliest_label_of_a_group_stays():
    assert goes() == [1, 2, 4]


def test_nothing_that_somebody_decided_about_is_excluded():
    assert goes(p1="keep") == [0, 2, 4]  # the kept one stays in place of the likeliest
    assert goes(p1="keep", p2="keep") == [0, 4]
    assert goes(p1="unsure", p4="relabel") == [2, 3]


def test_one_of_a_group_always_stays():
    assert goes(p0="exclude") == [2, 4]
    assert goes(p0="exclude", p1="exclude", p3="exclude") == []
