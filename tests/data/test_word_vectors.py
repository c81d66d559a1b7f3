"""Word vectors in every form people keep them; every trouble is named."""

import pickle
import warnings

import numpy as np
import pytest

from sketchfast.data.word_vectors import load_word_vectors, match_word_vectors

NAMES = ["cat", "alarm clock", "car_(sedan)"]


@pytest.fixture
def vectors(seed):
    return np.random.default_rng(seed).normal(size=(3, 300)).astype(np.float32)


def save(path, form, names, vectors):
    rows = [" ".join(map(repr, row.tolist())) for row in vectors]
    if form == "pickle":
        path.write_bytes(pickle.dumps(dict(zip(names, vectors, strict=True))))
    elif form == "npz":
        np.savez(path, **dict(zip(names, vectors, strict=True)))
    elif form == "npz names":
        np.savez(path, names=np.array(names), vectors=vectors)
    else:
        head = [f"{len(names)} {vectors.shape[1]}"] if form == "word2vec" else []
        path.write_text("\n".join(head + [f"{n} {r}" for n, r in zip(names, rows, strict=True)]) + "\n")
    return path


FORMS = {
    "pickle": "v.pkl",
    "npz": "v.npz",
    "npz names": "w.npz",
    "word2vec": "v.txt",
    "glove": "glove.txt",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form(tmp_path, form, vectors):
    # Text has a leading number as a word, a name with blanks and lines that nobody asked for.
    names = ["cat", "zebra", "alarm clock", "car_(sedan)"]
    table = np.vstack([vectors[:1], np.full((1, 300), 7, np.float32), vectors[1:]])
    path = save(tmp_path / FORMS[form], form, names, table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load_word_vectors(path, NAMES, 300)
    assert found.dtype == np.float32 and np.array_equal(found, vectors)


def test_float64_lists_and_row_matrices_in_a_pickle(tmp_path):
    path = tmp_path / "v.pkl"
    path.write_bytes(
        pickle.dumps({"cat": [1, 2], "alarm clock": np.ones((1, 2)), b"car_(sedan)": (3.0, 4.0)})
    )
    assert load_word_vectors(path, NAMES).tolist() == [[1, 2], [1, 1], [3, 4]]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("alarm_clock", "alarm clock"),
        ("Alarm Clock", "alarm_clock"),
        ("alarm-clock", "Alarm_clock"),
        ("hotair balloon", "hot-air_balloon"),
        ("car", "car_(sedan)"),
        ("jack o lantern", "jack-o-lantern"),
    ],
)
def test_spellings_match_and_are_said(tmp_path, key, name):
    path = tmp_path / "v.pkl"
    path.write_bytes(pickle.dumps({key: np.ones(4), "other": np.zeros(4)}))
    with pytest.warns(UserWarning, match="matched inexactly") as caught:
        assert load_word_vectors(path, [name]).tolist() == [[1] * 4]
    assert repr(name) in str(caught[0].message) and repr(key) in str(caught[0].message)


def test_exact_spelling_wins_over_others(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("Cat 1 1\ncat 2 2\nCAT 3 3\n")
    found, notes = match_word_vectors(path, ["cat"])
    assert found.tolist() == [[2, 2]] and not notes


def test_mean_of_words_where_the_name_is_missing(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("alarm 1 3\nclock 3 5\n2000 9 9\n")
    found, notes = match_word_vectors(path, ["alarm_clock"])
    assert found.tolist() == [[2, 4]] and "the mean of alarm, clock" in notes[0]


@pytest.mark.parametrize(
    ("content", "names", "dim", "message"),
    [
        ({"cat": np.ones(4)}, ["cat", "dog", "yak"], None, "no vector for 2 of 3 names: dog, yak"),
        ({"cat": np.ones(4)}, ["cat"], 300, "'cat' must have 300 numbers, got 4"),
        ({"cat": np.ones(4), "dog": np.ones(5)}, ["cat", "dog"], None, "'dog' must have 4 numbers, got 5"),
        ({"cat": np.array([1, np.nan])}, ["cat"], None, "'cat' holds NaN"),
        ({"cat": np.array([1, np.inf])}, ["cat"], None, "'cat' holds NaN or infinite"),
        ({"cat": ["a", "b"]}, ["cat"], None, "'cat' does not consist of numbers"),
        (
            {"cat": np.ones((2, 2))},
            ["cat"],
            None,
            r"'cat' must have one vector, got an array of shape \(2, 2\)",
        ),
        (
            {"CAT": np.ones(2), "Cat": np.zeros(2)},
            ["cat"],
            None,
            "matches several entries but for case: CAT, Cat",
        ),
        ({1: np.ones(2)}, ["cat"], None, "names must be text, got 1"),
        ([1, 2], ["cat"], None, "must hold a dict of name -> vector, found list"),
        ({"cat": np.ones(2)}, ["cat", "cat"], None, r"\['cat'\] more than once"),
    ],
)
def test_troubles_in_a_pickle_are_named(tmp_path, content, names, dim, message):
    path = tmp_path / "v.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        load_word_vectors(path, names, dim)
    assert "v.pkl" in str(error.value) or "more than once" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat 1 2\ncat 3 4\n", "more than one vector for 'cat'"),
        ("cat 1 2\ndog 1\n", "'dog' must have 2 numbers, got 1"),
        ("2 3\ncat 1 2 3\ndog 1 2\n", "'dog' must have 3 numbers, got 2"),
        ("cat 1 nan\ndog 1 2\n", "'cat' holds NaN"),
        ("\n", "holds no word vectors"),
        ("hello world\n", "line 1: expected `word v1"),
    ],
)
def test_troubles_in_text_are_named(tmp_path, text, message):
    path = tmp_path / "glove.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_word_vectors(path, ["cat", "dog"])


def test_files_that_are_none_of_the_forms(tmp_path):
    (tmp_path / "v.npz").write_bytes(b"PK\x03\x04 broken")
    (tmp_path / "v.bin").write_bytes(b"3 300\ncat \x00\x01")
    (tmp_path / "v.pkl").write_bytes(pickle.dumps(pytest.raises))
    for name, message in (
        ("v.npz", "not a readable .npz"),
        ("v.bin", "binary word2vec"),
        ("v.pkl", "names the global"),
    ):
        with pytest.raises(ValueError, match=message):
            load_word_vectors(tmp_path / name, ["cat"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_word_vectors(tmp_path / "nowhere.txt", ["cat"])
