"""Sketch-a-Net (Yu et al., Sketch-a-Net that Beats Humans, BMVC 2015 and IJCV 2017), the network of SN-Triplet (Sketch Me That
Shoe, CVPR 2016).

    input 225   conv1 15x15 / 3, 64   pool 3x3 / 2   conv2 5x5, 128   pool 3x3 / 2
                conv3, conv4, conv5 3x3, 256   pool 3x3 / 2   fc6 7x7, 512   fc7 512

ReLU after every layer, dropout of one half after fc6; that after fc7 is the classifier's, and fc7 is compared. (D) Three input
channels, so that photos can go in as sketches do. (D) At another size than 225 the map is pooled to the 7x7 that fc6 reads, as in
torchvision's AlexNet.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

CHANNELS, FEATURES = 256, 512


def sketch_a_net() -> nn.Sequential:
    """``trunk``: images [B, 3, S, S], S >= 81, to the map [B, 256, h, w], 7x7 at 225; ``head``: the map to fc7 [B, 512]."""
    trunk = OrderedDict(
        conv1=nn.Conv2d(3, 64, 15, stride=3), relu1=nn.ReLU(), pool1=nn.MaxPool2d(3, 2),
        conv2=nn.Conv2d(64, 128, 5), relu2=nn.ReLU(), pool2=nn.MaxPool2d(3, 2),
        conv3=nn.Conv2d(128, 256, 3, padding=1), relu3=nn.ReLU(),
        conv4=nn.Conv2d(256, 256, 3, padding=1), relu4=nn.ReLU(),
        conv5=nn.Conv2d(256, CHANNELS, 3, padding=1), relu5=nn.ReLU(), pool5=nn.MaxPool2d(3, 2),
    )  # fmt: skip
    head = OrderedDict(
        pool=nn.AdaptiveAvgPool2d(7), flat=nn.Flatten(),
        fc6=nn.Linear(CHANNELS * 7 * 7, 512), relu6=nn.ReLU(), drop6=nn.Dropout(),
        fc7=nn.Linear(512, FEATURES), relu7=nn.ReLU(),
    )  # fmt: skip
    return nn.Sequential(OrderedDict(trunk=nn.Sequential(trunk), head=nn.Sequential(head)))
