import numpy as np

from lsi.data.sampling import stratified


def test_stratified_keeps_proportions_and_every_class():
    labels = np.repeat([0, 1, 2], [600, 390, 10])
    chosen = stratified(labels, 100, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [60, 39, 1])
    assert (np.diff(chosen) > 0).all()
    rare = np.r_[np.zeros(999, dtype=int), 1]
    assert 1 in rare[stratified(rare, 10, seed=0)]


def test_with_more_classes_than_the_size_only_so_many_classes_are_kept():
    labels = np.arange(50)
    chosen = stratified(labels, 10, seed=0)
    assert len(np.unique(labels[chosen])) == 10


def test_one_sort_chooses_what_a_loop_over_the_classes_chose():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        labels = rng.choice([-3, 0, 7, 90], 400, p=[0.6, 0.3, 0.09, 0.01])
        shuffled = np.random.default_rng(seed).permutation(400)
        by_class = [shuffled[labels[shuffled] == c] for c in np.unique(labels)]
        rank = np.concatenate([(np.arange(len(rows)) + 0.5) / len(rows) for rows in by_class])
        rank[np.cumsum([0] + [len(rows) for rows in by_class[:-1]])] = -1
        expected = np.sort(np.concatenate(by_class)[np.argsort(rank, kind="stable")[:60]])
        np.testing.assert_array_equal(stratified(labels, 60, seed), expected)
