"""Puts the tables of README.md and train/README.md together from bench/results/*.json, losses included.

    python bench/tables.py            # rewrite the tables
    python bench/tables.py --check    # exit 1 when a table differs from its results

A table stands between `<!-- table NAME -->` and `<!-- end -->`; nothing else in a file is touched.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from table_text import ROOT
from tables_deepssp import ablation, parsing, spg
from tables_kernels import contour_points, landmark_pool, rasterize, skeletonize, soft_weighted_loss
from tables_landmark import landmark_net, landmark_real, landmark_variants
from tables_more_photos import more_photos, more_photos_drawings, more_photos_shares, more_photos_strokes
from tables_search import hamming, retrieval, weighted_search
from tables_tcn import sharing
from tables_vtd import vtd_accuracies, vtd_demo, vtd_traits

from sketchfast.atomic import write_text

PAGES = ("README.md", "train/README.md")
TABLES: dict[str, Callable[[], str]] = {
    "landmark_net": landmark_net,
    "parsing": parsing,
    "spg": spg,
    "soft_weighted_loss": soft_weighted_loss,
    "hamming": hamming,
    "landmark_pool": landmark_pool,
    "skeletonize": skeletonize,
    "contour_points": contour_points,
    "rasterize": rasterize,
    "retrieval": retrieval,
    "weighted_search": weighted_search,
    "sharing": sharing,
    "ablation": ablation,
    "landmark-variants": landmark_variants,
    "landmark-real": landmark_real,
    "vtd-demo": vtd_demo,
    "vtd-methods": lambda: vtd_accuracies("methods", "methods"),
    "vtd-real": lambda: vtd_accuracies("real", "sketchy-small"),
    "vtd-traits": lambda: vtd_traits("demo", "demo"),
    "more-photos-demo": lambda: more_photos("demo"),
    "more-photos-demo-drawings": lambda: more_photos_drawings("demo"),
    "more-photos-methods": lambda: more_photos("methods"),
    "more-photos-methods-drawings": lambda: more_photos_drawings("methods"),
    "more-photos-fractions": more_photos_shares,
    "more-photos-strokes": more_photos_strokes,
    "vtd-traits-real": lambda: vtd_traits("real", "traits-real"),
}


def filled(text: str) -> str:
    def table(match: re.Match[str]) -> str:
        name = match[1]
        if name not in TABLES:
            raise SystemExit(f"no table is named {name!r}; there are {', '.join(TABLES)}")
        return f"<!-- table {name} -->\n{TABLES[name]() or 'Not measured yet.'}\n<!-- end -->"

    return re.sub(r"<!-- table ([\w-]+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def main() -> int:
    stale = []
    for name in PAGES:
        path = ROOT / name
        before = path.read_text()
        after = filled(before)
        if after != before:
            stale.append(name)
            if "--check" not in sys.argv:
                write_text(path, after)
    if "--check" in sys.argv and stale:
        print(f"stale tables in {', '.join(stale)}: run python bench/tables.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
