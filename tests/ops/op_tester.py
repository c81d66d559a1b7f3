"""What every operator has to hold, from one list of sample inputs and one of bad inputs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

Arguments = tuple[Any, ...]


def strided(tensor: Tensor) -> Tensor:
    """The same values behind strides that are not those of a fresh tensor, with other values in the gaps."""
    padded = tensor.new_ones([2 * size + 1 for size in tensor.shape])
    view = padded[tuple(slice(1, None, 2) for _ in tensor.shape)]
    view.copy_(tensor)
    return view


def assert_equal(found: Any, expected: Any, relative: float = 0) -> None:
    """Equal in value (bit for bit, or within a relative tolerance), dtype and shape."""
    found, expected = (value if isinstance(value, tuple) else (value,) for value in (found, expected))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=relative, atol=0)


class OpTester:
    """Subclasses name the operator and yield inputs; integer and boolean results are held to be equal bit for bit, those of
    floating point within `relative` of the definition (and to themselves bit for bit).

    function: the public function of sketchfast.ops. operator: torch.ops.sketchfast.<op>.default. reference: its definition.
    """

    function: Callable[..., Any]
    operator: Any
    reference: Callable[..., Any]
    relative: float = 0

    def sample_inputs(self, generator: torch.Generator) -> Iterator[Arguments]:
        """Small inputs that meet each branch: odd sizes, ties, empty, each dtype."""
        raise NotImplementedError

    def operator_arguments(self, arguments: Arguments) -> Arguments:
        """The operator's arguments for those of the public function, where its schema has more."""
        return arguments

    def bad_inputs(self) -> Iterator[tuple[Arguments, type[Exception], str]]:
        """Arguments, the exception of the public function, and a pattern of its message."""
        raise NotImplementedError

    @pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
    def device(self, request: pytest.FixtureRequest) -> str:
        if request.param == "cuda" and not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        return request.param

    @pytest.fixture
    def samples(self, seed: int, device: str) -> list[Arguments]:
        drawn = self.sample_inputs(torch.Generator().manual_seed(seed))
        return [tuple(x.to(device) if isinstance(x, Tensor) else x for x in arguments) for arguments in drawn]

    def test_equals_reference(self, samples: list[Arguments]) -> None:
        for arguments in samples:
            assert_equal(type(self).function(*arguments), type(self).reference(*arguments), self.relative)

    def test_non_contiguous(self, samples: list[Arguments]) -> None:
        for arguments in samples:
            views = tuple(strided(x) if isinstance(x, Tensor) else x for x in arguments)
            assert_equal(type(self).function(*views), type(self).function(*arguments))

    def test_leaves_its_inputs_alone(self, samples: list[Arguments]) -> None:
        for arguments in samples:
            before = tuple(x.clone() if isinstance(x, Tensor) else x for x in arguments)
            type(self).function(*arguments)
            for kept, now in zip(before, arguments, strict=True):
                if isinstance(kept, Tensor):
                    assert torch.equal(kept, now)

    def test_repeats_itself(self, samples: list[Arguments]) -> None:
        for arguments in samples:
            assert_equal(type(self).function(*arguments), type(self).function(*arguments))

    def test_opcheck(self, samples: list[Arguments]) -> None:
        for arguments in samples:
            torch.library.opcheck(self.operator, self.operator_arguments(arguments))

    def test_compiles_without_a_break(self, samples: list[Arguments]) -> None:
        for arguments in samples:
            torch.compiler.reset()  # each dtype and rank is a compilation of its own, and dynamo stops after eight
            compiled = torch.compile(type(self).function, fullgraph=True, dynamic=True, backend="aot_eager")
            assert_equal(compiled(*arguments), type(self).function(*arguments))

    def test_bad_input_is_named(self) -> None:
        for arguments, exception, pattern in self.bad_inputs():
            with pytest.raises(exception, match=pattern):
                type(self).function(*arguments)

    def test_operator_itself_refuses_bad_input(self) -> None:
        for arguments, _, pattern in self.bad_inputs():
            if not all(isinstance(x, Tensor | int) for x in arguments):
                continue  # the dispatcher knows these are no tensors
            with pytest.raises((RuntimeError, ValueError, TypeError, NotImplementedError), match=pattern):
                self.operator(*self.operator_arguments(arguments))
