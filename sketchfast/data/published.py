"""What is published about the data sets: counts to compare with, unseen classes for want of lists."""

from __future__ import annotations

#: (data set, split) -> names of the unseen classes, as in the split's own cname_cid_zero.txt.
UNSEEN: dict[tuple[str, str], tuple[str, ...]] = {
    ("sketchy", "zeroshot1"): (
        "airplane",
        "bell",
        "butterfly",
        "camel",
        "chicken",
        "cup",
        "deer",
        "harp",
        "horse",
        "parrot",
        "pineapple",
        "ray",
        "rifle",
        "scissors",
        "snail",
        "squirrel",
        "swan",
        "tank",
        "teddy_bear",
        "tree",
        "umbrella",
        "volcano",
        "wheelchair",
        "windmill",
        "wine_bottle",
    ),
    ("sketchy", "zeroshot0"): (
        "bat",
        "cabin",
        "cow",
        "dolphin",
        "door",
        "giraffe",
        "helicopter",
        "mouse",
        "pear",
        "raccoon",
        "rhinoceros",
        "saw",
        "scissors",
        "seagull",
        "skyscraper",
        "songbird",
        "sword",
        "tree",
        "wheelchair",
        "windmill",
        "window",
    ),
}

#: data set -> least number of photos of a class that may be drawn as unseen (TCN, Wang et al. 2023, section 4.1).
UNSEEN_MIN_PHOTOS: dict[str, int] = {"tu_berlin": 400}

#: (data set, split) -> counts of the full set: seen and unseen classes, unseen sketches (queries), photos (gallery).
COUNTS: dict[tuple[str, str], dict[str, int]] = {
    ("sketchy", "zeroshot1"): {
        "seen classes": 100,
        "unseen classes": 25,
        "unseen sketches": 15_229,
        "unseen photos": 17_101,
    },
    ("sketchy", "zeroshot0"): {
        "seen classes": 104,
        "unseen classes": 21,
        "unseen sketches": 12_694,
        "unseen photos": 12_553,
    },
    ("tu_berlin", "zeroshot"): {
        "seen classes": 220,
        "unseen classes": 30,
        "unseen sketches": 2_400,
        "unseen photos": 27_989,
    },
    ("quickdraw", "zeroshot"): {
        "seen classes": 80,
        "unseen classes": 30,
        "unseen sketches": 92_291,
        "unseen photos": 54_151,
    },
}

#: category -> counts of QMUL's V2 data sets, by published halves (Shoe-V2: Bhunia et al. 2021, section 4; Chair-V2: its pickle).
QMUL_COUNTS: dict[str, dict[str, int]] = {
    "shoe": {"train sketches": 6_051, "train photos": 1_800, "test sketches": 679, "test photos": 200},
    "chair": {"train sketches": 952, "train photos": 300, "test sketches": 323, "test photos": 100},
}
