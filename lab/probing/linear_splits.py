"""Training and test rows of a probe: types shared and contexts apart, or types apart; and folds that keep units whole.

N counts rows.
"""

from dataclasses import dataclass

import numpy as np

from lab.errors import DataError

TEST_SHARE = 0.3  # of the rows, about
FOLDS = 3
_LEAST_UNITS = 4
_APART = 0.4  # of types and of groups: 16 % of the rows are then tested, 36 % fitted


@dataclass(frozen=True)
class Split:
    """Rows to fit on, rows to be judged on, and what may not be torn apart within the former.

    Attributes:
        train: Indices of rows.
        test: Likewise.
        units: [N], what cross-validation within the training rows keeps together.
        crossed: Whether types and groups were drawn apart, so that test rows of one type may be in several groups.
    """

    train: np.ndarray
    test: np.ndarray
    units: np.ndarray
    crossed: bool = False


def shared_types(types: np.ndarray, contexts: np.ndarray, *, seed: int) -> Split:
    """Returns a split whose test rows have types seen in training, in contexts that were not.

    Rows of the test's contexts whose type has no row left in training are in neither part.

    Args:
        types: [N].
        contexts: [N].
        seed: Of which contexts are tested.

    Raises:
        DataError: There are fewer than 3 contexts, or no type occurs in two.
    """
    count = len(np.unique(contexts))
    if count < 3:
        raise DataError(f"{count} contexts: a split that shares types needs at least 3, one to test and two to choose the "
                        "penalty with; give rows in more contexts")
    tested = _drawn(contexts, TEST_SHARE, seed, most=count - 2)
    train = np.flatnonzero(~tested)
    test = np.flatnonzero(tested & np.isin(types, types[train]))
    if not len(test):
        raise DataError("no type occurs in two contexts, so none can be in training and test; give rows of the same types "
                        "in several contexts")
    return Split(train, test, contexts)


def disjoint_types(types: np.ndarray, groups: np.ndarray, labels: np.ndarray, *, seed: int) -> Split:
    """Returns a split whose test rows have types and groups that training never saw.

    What hangs together by a type or a group goes to one side whole, of each class about the same share. Where nearly
    everything hangs together, as tokens of few types that occur in all texts, types and groups are drawn apart, and rows
    with one of each side are in neither part.

    Args:
        types: [N].
        groups: [N].
        labels: [N].
        seed: Of which are tested.

    Raises:
        DataError: There are fewer than 4 types or groups, or no rows are left.
    """
    for name, values in (("types", types), ("groups", groups)):
        if len(np.unique(values)) < _LEAST_UNITS:
            raise DataError(f"{len(np.unique(values))} {name}: a split that keeps them apart needs at least "
                            f"{_LEAST_UNITS}; give rows of more {name}")
    units = together(types, groups)
    sizes = np.bincount(units)
    if len(sizes) >= _LEAST_UNITS and sizes.max() <= (1 - TEST_SHARE) * len(units):
        tested = _drawn(units, TEST_SHARE, seed, most=len(sizes) - 2, labels=labels)
        return Split(np.flatnonzero(~tested), np.flatnonzero(tested), units)
    by_type, by_group = _drawn(types, _APART, seed), _drawn(groups, _APART, seed + 1)
    split = Split(np.flatnonzero(~by_type & ~by_group), np.flatnonzero(by_type & by_group), groups, crossed=True)
    if not (len(split.train) and len(split.test)):
        raise DataError("types and groups are so entangled that no rows are left once both are kept apart; give rows of "
                        "more types and groups")
    return split


def together(types: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns [N], the number of the set of rows that hang together by a type or a group."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    one, other = (np.unique(values, return_inverse=True)[1] for values in (types, groups))
    size = one.max() + other.max() + 2
    edges = coo_matrix((np.ones(len(one)), (one, one.max() + 1 + other)), shape=(size, size))
    return np.unique(connected_components(edges, directed=False)[1][one], return_inverse=True)[1]


def folds(units: np.ndarray, *, seed: int, count: int = FOLDS) -> np.ndarray:
    """Returns [N], which of at most `count` parts of about equal size each row is in, units whole.

    Args:
        units: [N], of the rows to be parted.
        seed: Decides ties between units of one size.
        count: Fewer where there are fewer units.

    Raises:
        DataError: There is one unit.
    """
    _, inverse, sizes = np.unique(units, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise DataError("the training rows are all of one unit, so no penalty can be chosen on some of them held out; "
                        "give more rows")
    count = min(count, len(sizes))
    order = np.lexsort((np.random.default_rng(seed).random(len(sizes)), -sizes))
    part, filled = np.empty(len(sizes), dtype=np.int64), np.zeros(count)
    for unit in order:  # the largest first, each into the part that holds least
        part[unit] = filled.argmin()
        filled[part[unit]] += sizes[unit]
    return part[inverse]


def _drawn(units: np.ndarray, share: float, seed: int, most: int | None = None, labels: np.ndarray | None = None
           ) -> np.ndarray:
    """[N], true for the rows of randomly drawn whole units that make up about a share of all rows, one unit at least.

    With labels, units of each class (the most frequent of a unit) are drawn in their turn.
    """
    _, inverse, sizes = np.unique(units, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sizes))
    if labels is not None:
        own = np.array([np.bincount(labels[inverse == unit]).argmax() for unit in order])
        turn = np.empty(len(order))
        for one in np.unique(own):
            mine = np.flatnonzero(own == one)
            turn[mine] = (np.arange(len(mine)) + rng.random()) / len(mine)
        order = order[np.argsort(turn, kind="stable")]
    before = np.cumsum(sizes[order]) - sizes[order]
    number = int((before + sizes[order] / 2 <= share * len(units)).sum())
    number = min(max(1, number), len(sizes) - 1 if most is None else most)
    chosen = np.zeros(len(sizes), dtype=bool)
    chosen[order[:number]] = True
    return chosen[inverse]
