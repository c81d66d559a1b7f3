"""Hostile pickles are refused by name and run nothing; honest ones come back equal to what pickle itself gives."""

import builtins
import collections
import contextlib
import os
import pickle
import subprocess

import numpy as np
import pytest

from sketchfast.data import safe_pickle

HONEST = {
    "float32": np.linspace(0, 1, 5, dtype=np.float32),
    "scalar": np.float64(2.5),
    "bool": np.array(True),
    "text": np.array(["cat", "dog"]),
    "bytes": np.array([b"cat"]),
    "fortran": np.arange(6).reshape(2, 3).T,
    "big-endian": np.arange(3, dtype=">i2"),
    "empty": np.zeros((0, 3)),
    "objects": np.array([1, "a", None, np.arange(3)], dtype=object),
    "nested": (1, [np.arange(3)], {"x": {1, 2}, "y": frozenset({3})}),
    "ordered": collections.OrderedDict(a=1),
    "plain": [1, -2.5, 1j, True, None, "ü", b"\x00\xff", b"", bytearray(b"1")],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", HONEST)
def test_honest_pickles(name, protocol):
    content = pickle.dumps(HONEST[name], protocol)
    value, expected = safe_pickle.loads(content), pickle.loads(content)
    assert type(value) is type(expected) and repr(value) == repr(expected)
    if isinstance(expected, np.ndarray):
        assert value.dtype == expected.dtype and value.shape == expected.shape


def test_arrays_inside_containers_are_plain():
    value = safe_pickle.loads(pickle.dumps(HONEST["nested"]))
    assert type(value[1][0]) is np.ndarray
    shared = np.arange(3)
    first, second = safe_pickle.loads(pickle.dumps([shared, shared]))
    assert first is second


@pytest.mark.parametrize("old", [b"numpy.core", b"numpy._core"])
def test_module_names_of_both_numpy_generations(old):
    content = pickle.dumps({"a": np.arange(3.0), "b": np.float32(1)}, 2)
    content = content.replace(b"numpy._core", b"numpy.core").replace(b"numpy.core", old)
    value = safe_pickle.loads(content)
    assert value["a"].tolist() == [0, 1, 2] and value["b"] == 1


def test_python_2_pickle():
    # {'cat': numpy.arange(2, dtype='<f4')} as Python 2 wrote it, protocol 0: byte strings, cnumpy.core.multiarray.
    content = (
        b"(dp0\nS'cat'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\ntp6\n"
        b"Rp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\n"
        b"bI00\nS'\\x00\\x00\\x00\\x00\\x00\\x00\\x80?'\np15\ntp16\nbs."
    )
    value = safe_pickle.loads(content)
    assert value["cat"].tolist() == [0, 1] and value["cat"].dtype == np.float32


class Call:
    """Pickles into a call of `function`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def text_opcode(module: str, name: str, argument: str) -> bytes:
    return f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()


MARK = "sketchfast_was_here"
HOSTILE = {
    "os.system": (pickle.dumps(Call(os.system, f"touch {MARK}")), "posix.system"),
    "subprocess": (pickle.dumps(Call(subprocess.check_call, ["touch", MARK])), "subprocess.check_call"),
    "eval": (pickle.dumps(Call(builtins.eval, f"open('{MARK}', 'w')")), "builtins.eval"),
    "exec": (pickle.dumps(Call(builtins.exec, f"open('{MARK}', 'w')")), "builtins.exec"),
    "open": (pickle.dumps(Call(builtins.open, MARK, "w")), "open"),
    "getattr": (pickle.dumps(Call(builtins.getattr, np.ones(1), "tofile")), "builtins.getattr"),
    "import": (pickle.dumps(Call(builtins.__import__, "antigravity")), "builtins.__import__"),
    "bound method": (pickle.dumps(Call("".join)), "getattr"),
    "protocol 0 global": (text_opcode("os", "system", f"touch {MARK}"), "os.system"),
    "Python 2 builtin": (text_opcode("__builtin__", "eval", "1"), "__builtin__.eval"),
    "dotted name": (
        b"\x80\x04\x8c\x05numpy\x8c\x14ndarray.tofile.stuff\x93.",
        "numpy.ndarray.tofile.stuff",
    ),
    "numpy.load": (pickle.dumps(Call(np.load, MARK)), "numpy.load"),
    "numpy testing": (text_opcode("numpy.testing._private.utils", "runstring", "1"), "runstring"),
    "copyreg extension": (b"\x80\x02cos\npopen\n(X\x01\x00\x00\x00atR.", "os.popen"),
    "persistent id": (b"Pfile:/etc/passwd\n.", "file:/etc/passwd"),
    "attribute of an allowed global": (
        b"cnumpy\ndtype\n(NS'_function'\nI1\nsd" + b"b.",
        "",
    ),
    "huge bytearray": (pickle.dumps(Call(bytearray, 10**15)), "bytearray"),
    "huge bytes": (pickle.dumps(Call(bytes, 10**15)), "bytes"),
    "codec bomb": (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00zlitR.", "zli"),
    "structured dtype": (pickle.dumps(np.zeros(1, [("a", "f8"), ("b", "O")])), "dtype"),
    "object dtype from a buffer": (
        b"cnumpy._core.numeric\n_frombuffer\n(C\x08AAAAAAAAcnumpy\ndtype\n(X\x01\x00\x00\x00OtRI1\n\x85X\x01\x00\x00\x00CtR.",
        "buffer",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_and_run_nothing(tmp_path, monkeypatch, name):
    content, named = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hostile.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"hostile\.pkl is (refused|not a readable pickle)") as error:
        safe_pickle.load(path)
    assert named in str(error.value)
    assert [item.name for item in tmp_path.iterdir()] == ["hostile.pkl"]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (b"N}(X\x09\x00\x00\x00_functionI1\nu\x86", "it sets '_function'"),
        (b"}(X\x09\x00\x00\x00_functionI1\nu", "__dict__"),
    ],
)
def test_a_pickle_cannot_change_what_is_allowed(state, message):
    """BUILD with attributes, on a global that is allowed: the next pickle must still read."""
    with pytest.raises(ValueError, match=message):
        safe_pickle.loads(b"cnumpy\ndtype\n" + state + b"b.")
    assert safe_pickle.loads(pickle.dumps(np.arange(2))).tolist() == [0, 1]


def test_object_array_shorter_than_its_shape():
    content = pickle.dumps(np.array([None, "x"], dtype=object), 2)
    assert content.count(b"K\x02\x85") == 1
    with pytest.raises(ValueError, match="must have 200 items"):
        safe_pickle.loads(content.replace(b"K\x02\x85", b"K\xc8\x85"))


def test_damaged_pickles(tmp_path, seed):
    """Any cut, and random bytes changed: an answer or a ValueError, nothing else."""
    content = pickle.dumps({"cat": np.arange(300, dtype=np.float32), "dog": "x"})
    random = np.random.default_rng(seed)
    for cut in random.integers(0, len(content), 50):
        with pytest.raises(ValueError):
            safe_pickle.loads(content[:cut])
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, 120, 3):
            damaged[place] = random.integers(0, 256)
        with contextlib.suppress(ValueError):
            safe_pickle.loads(bytes(damaged))


def test_real_coordinates(data_root):
    path = data_root / "ChairV2" / "ChairV2_Coordinate"
    content = safe_pickle.load(path)
    assert len(content) == 1275
    name, strokes = next(iter(content.items()))
    assert name.startswith(("/train/", "/test/")) and type(strokes) is np.ndarray and strokes.shape[1] == 3
