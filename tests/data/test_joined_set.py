"""Sets of the same classes as one."""

import numpy as np
import pytest

from sketchfast.data import synthetic
from sketchfast.data.joined_set import JoinedSet


def test_items_follow_one_another_and_decode_as_in_their_sets(seed: int) -> None:
    parts = synthetic.classification(seed % 1000, 32, 2, 1, 2, 1, ("cat", "dog"))
    joined = JoinedSet([parts.train, parts.validation, parts.test])
    own = [(images, i) for images in (parts.train, parts.validation, parts.test) for i in range(len(images))]
    assert len(joined) == len(own) == 10 and joined.names == ["cat", "dog"] and joined.modality == "sketch"
    for k, (images, i) in enumerate(own):
        assert (joined.labels[k], joined.ids[k]) == (images.labels[i], images.ids[i])
        np.testing.assert_array_equal(joined.load(k), images.load(i))
    np.testing.assert_array_equal(joined.subset([9, 0]).load(0), own[9][0].load(own[9][1]))
    with pytest.raises(IndexError):
        joined.load(10)


def test_sets_that_do_not_belong_together_are_refused() -> None:
    one, other = (
        synthetic.classification(0, 32, 1, 1, 1, 1, names).train for names in (("cat", "dog"), ("cow", "dog"))
    )
    with pytest.raises(ValueError, match="same class names"):
        JoinedSet([one, other])
    with pytest.raises(ValueError, match="at least one"):
        JoinedSet([])
