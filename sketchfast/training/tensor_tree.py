"""Nested state (an optimizer's, a scheduler's) as safetensors plus JSON: nothing in a checkpoint can run code."""

from typing import Any

from torch import Tensor


def flatten(tree: Any, prefix: str) -> tuple[Any, dict[str, Tensor]]:
    """Nested dicts (str or int keys), lists, tuples, tensors, numbers, strings, None -> (JSON-able structure, tensors by path).

    TypeError names the path of anything else."""
    tensors: dict[str, Tensor] = {}

    def walk(node: Any, path: str) -> Any:
        if isinstance(node, Tensor):
            # A copy: safetensors refuses tensors that share memory, and the loop may go on changing the original.
            tensors[path] = node.detach().to("cpu", copy=True).contiguous()
            return {"tensor": path}
        if node is None or isinstance(node, bool | int | float | str):
            return {"value": node}
        if isinstance(node, dict):
            for key in node:
                if not isinstance(key, str | int):
                    raise TypeError(f"{path}: a dict key must be str or int, found {type(key).__name__}")
            return {"dict": [[key, walk(value, f"{path}/{key}")] for key, value in node.items()]}
        if isinstance(node, list | tuple):
            kind = "list" if isinstance(node, list) else "tuple"
            return {kind: [walk(value, f"{path}/{index}") for index, value in enumerate(node)]}
        raise TypeError(
            f"{path}: cannot keep a {type(node).__name__} in a checkpoint;"
            " use tensors, numbers, strings, dicts, lists"
        )

    return walk(tree, prefix), tensors


def unflatten(structure: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `flatten`."""
    ((kind, content),) = structure.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "value":
        return content
    if kind == "dict":
        return {key: unflatten(value, tensors) for key, value in content}
    items = [unflatten(value, tensors) for value in content]
    return items if kind == "list" else tuple(items)


def split_aliases(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name -> (each storage once, {other name: kept name}): weights that two modules share are saved once."""
    kept: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    for name, tensor in state.items():
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and place in first:
            aliases[name] = first[place]
            continue
        first[place] = name
        kept[name] = tensor.detach().to("cpu", copy=True).contiguous()
    return kept, aliases


def num_bytes(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
