"""Data sets as sketch and photo collections with classes; nothing here imports torch.

`load_zero_shot`, `load_instances`, `load_semi_supervised`, `load_parts` and `load_classification` read every layout of
docs/data.md; `sketchfast.data.check` says what is wrong with one.
"""

from sketchfast.data.classification import ClassificationSplit
from sketchfast.data.image_set import FileImageSet, ImageSet
from sketchfast.data.instances import InstanceSplit, PairedSet
from sketchfast.data.load import load_zero_shot
from sketchfast.data.load_classification import load_classification
from sketchfast.data.load_instances import load_instances
from sketchfast.data.load_parts import load_parts
from sketchfast.data.load_semi_supervised import load_semi_supervised
from sketchfast.data.part_set import PartSet, PartSplit
from sketchfast.data.semi_supervised import SemiSupervisedSplit
from sketchfast.data.splits import ZeroShotSplit

__all__ = [
    "ClassificationSplit",
    "FileImageSet",
    "ImageSet",
    "InstanceSplit",
    "PairedSet",
    "PartSet",
    "PartSplit",
    "SemiSupervisedSplit",
    "ZeroShotSplit",
    "load_classification",
    "load_instances",
    "load_parts",
    "load_semi_supervised",
    "load_zero_shot",
]
