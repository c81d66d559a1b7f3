"""Definitions of skeletonize and homogeneous_transform in plain torch: neighbourhoods as nine shifted copies of the images.

"skel" is MATLAB's bwmorph 'skel': the templates are written out below and generate the deletions. "thin" is bwmorph's 'thin',
Guo and Hall, "Parallel thinning with two-subiteration algorithms" (1989), algorithm A1. "zhang" is Zhang and Suen, "A fast
parallel algorithm for thinning digital patterns" (1984), as scikit-image has it. Outside an image is background.
"""

from collections.abc import Callable, Iterable
from itertools import count

import torch
from torch import Tensor
from torch.nn.functional import pad

# 1 stroke, 0 background, x either; rows from top to bottom. A pixel whose neighbourhood matches is deleted.
SKEL_TEMPLATES = (
    "111/x1x/000",
    "x1x/011/00x",
    "1x0/110/1x0",
    "x1x/110/x00",
    "0x1/011/0x1",
    "x00/110/x1x",
    "000/x1x/111",
    "00x/011/x1x",
)
# Where scikit-image's table departs from the rule of Zhang and Suen: what each subiteration deletes besides (corners of
# staircases, which have two transitions), and what it keeps (so that ends of lines two pixels wide and 2x2 squares survive).
ZHANG_EXCEPTIONS = (
    (
        "010/011/000 110/011/000 000/011/010 010/110/000 011/110/000 000/110/010 100/110/010 010/110/100 011/110/100",
        "000/011/001 000/010/011 000/011/011 000/010/110 100/110/000 000/110/100 000/110/110",
    ),
    (
        "010/011/000 010/011/001 000/011/010 000/011/110 001/011/110 010/110/000 000/110/010 000/110/011",
        "110/010/000 011/010/000 001/011/000 011/011/000 000/010/011 100/110/000 110/110/000",
    ),
)
# Row and column of the neighbours E, NE, N, NW, W, SW, S, SE: counter-clockwise, as Guo and Hall number them.
RING = ((1, 2), (0, 2), (0, 1), (0, 0), (1, 0), (2, 0), (2, 1), (2, 2))

Deletion = Callable[[Tensor], Tensor]  # images bool [N, H, W] -> the pixels to delete


def neighbourhoods(images: Tensor) -> list[list[Tensor]]:
    """The 3x3 neighbours of every pixel as bool [N, H, W], by row and column."""
    height, width = images.shape[-2:]
    framed = pad(images, (1, 1, 1, 1))
    return [[framed[:, y : y + height, x : x + width] for x in range(3)] for y in range(3)]


def matches(template: str) -> Deletion:
    """The deletion that one template describes."""

    def deleted(images: Tensor) -> Tensor:
        match = torch.ones_like(images)
        for line, neighbours in zip(template.split("/"), neighbourhoods(images), strict=True):
            for wanted, neighbour in zip(line, neighbours, strict=True):
                if wanted != "x":
                    match &= neighbour == (wanted == "1")
        return match

    return deleted


def number(conditions: Iterable[Tensor]) -> Tensor:
    """How many of the conditions hold, by pixel."""
    return torch.stack(list(conditions)).sum(dim=0, dtype=torch.uint8)


def guo_hall(second: bool) -> Deletion:
    """A subiteration of Guo and Hall: G1, G2 and G3, in the second one G3'."""

    def deleted(images: Tensor) -> Tensor:
        around = neighbourhoods(images)
        x = [
            around[row][column] for row, column in RING
        ] * 2  # x[0] is x_1 of the paper, and x_9 is x_1 again
        crossings = number(~x[2 * i] & (x[2 * i + 1] | x[2 * i + 2]) for i in range(4))
        n1 = number(x[2 * i] | x[2 * i + 1] for i in range(4))
        n2 = number(x[2 * i + 1] | x[2 * i + 2] for i in range(4))
        fewest = torch.minimum(n1, n2)
        half = (x[5] | x[6] | ~x[3]) & x[4] if second else (x[1] | x[2] | ~x[7]) & x[0]
        return images & (crossings == 1) & (fewest >= 2) & (fewest <= 3) & ~half

    return deleted


def among(templates: list[str]) -> Callable[[list[Tensor]], Tensor]:
    """Whether the ring of neighbours is one of some templates without an x; one look into a table for all of them."""
    table = torch.zeros(256, dtype=torch.bool)
    for template in templates:
        lines = template.split("/")
        table[sum((lines[row][column] == "1") << i for i, (row, column) in enumerate(RING))] = True

    def found(ring: list[Tensor]) -> Tensor:
        code = torch.stack([x.to(torch.uint8) << i for i, x in enumerate(ring)]).sum(dim=0)
        return table.to(code.device)[code]

    return found


def zhang_suen(second: bool) -> Deletion:
    """A subiteration of Zhang and Suen, 2 <= B <= 6, A = 1 and two products that have to be 0, with the exceptions above."""
    too, but_not = (among(templates.split()) for templates in ZHANG_EXCEPTIONS[second])

    def deleted(images: Tensor) -> Tensor:
        around = neighbourhoods(images)
        ring = [around[row][column] for row, column in RING]
        east, north, west, south = ring[::2]
        neighbours = number(ring)
        # Counter-clockwise and clockwise there are equally many transitions.
        transitions = number(~ring[i - 1] & ring[i] for i in range(8))
        if second:
            half = (north & east & west) | (north & south & west)
        else:
            half = (north & east & south) | (east & south & west)
        rule = (neighbours >= 2) & (neighbours <= 6) & (transitions == 1) & ~half
        return images & ((rule & ~but_not(ring)) | too(ring))

    return deleted


METHODS: dict[str, list[Deletion]] = {
    "skel": [matches(template) for template in SKEL_TEMPLATES],
    "thin": [guo_hall(False), guo_hall(True)],
    "zhang": [zhang_suen(False), zhang_suen(True)],
}


def skeletonize(images: Tensor, method: str = "skel", max_iter: int | None = None) -> Tensor:
    """bool or uint8 [H, W] or [N, H, W] -> bool of the same shape: the deletions in turn until a whole round deletes nothing.

    An image is finished when a round changes nothing in it, and that cannot change what later rounds do to the others.
    """
    if images.numel() == 0:
        return images != 0
    skeletons = images.reshape(-1, *images.shape[-2:]) != 0
    for iteration in count():
        if iteration == max_iter:
            break
        before = skeletons
        for deletion in METHODS[method]:
            skeletons = skeletons & ~deletion(skeletons)
        if torch.equal(before, skeletons):
            break
    return skeletons.reshape(images.shape)


def homogeneous_transform(images: Tensor, threshold: int = 128) -> Tensor:
    """Algorithm 1 of the part-parsing paper: uint8 gray -> uint8, 0 on the centreline of value < threshold, 255 elsewhere."""
    # int16: a threshold of 256 makes every pixel stroke and is no uint8.
    return torch.where(skeletonize(images.to(torch.int16) < threshold), 0, 255).to(torch.uint8)
