"""Tables of the kernels of pictures and networks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from table_text import markdown, markdown_of_filled, provenance, results


def skeletonize() -> str:
    def ratios(row: dict[str, Any], bold: str) -> Iterable[str]:
        return (f"**{x:.0f}x**" if name == bold else f"{x:.0f}x" for name, x in row["times"].items())

    parts = []
    for result in results("skeletonize"):
        peers = [f"{name} / ours" for name in result["rows"][0]["times"]]
        drawn = [row for row in result["rows"] if "stroke_width" not in row]
        lines = [row for row in result["rows"] if "stroke_width" in row and row["method"] == "skel"]
        equal = {"skel": "", "thin": "skimage thin", "zhang": "skimage skeletonize"}
        parts.append(
            markdown(
                ("drawings", "method", "passes", "us", "us in a batch", "limit us", *peers),
                (
                    (
                        f"{row['images']} of {row['case']}",
                        row["method"],
                        *(f"{row[key]:.1f}" for key in ("passes", "us", "us_in_batch")),
                        f"{row['limit_us']:.1f}" if "limit_us" in row else "",
                        *ratios(row, equal[row["method"]]),
                    )
                    for row in drawn
                ),
            )
            + '\n\nTwelve polylines, "skel":\n\n'
            + markdown(
                ("canvas", "stroke width", "passes", "us", *peers),
                (
                    (row["size"], row["stroke_width"], row["passes"], f"{row['us']:.1f}", *ratios(row, ""))
                    for row in lines
                ),
            )
            + f"\n\nOne thread, one image a call, path `{result['path_used']}`; bold where both give the same "
            f"picture. Passes count the last one, which deletes nothing; the limit is 5 us and "
            f"20 us more for 16 of them. {provenance(result)}"
        )
    return "\n\n".join(parts)


def contour_points() -> str:
    parts = []
    for result in results("contour_points"):
        timed = [row for row in result["rows"] if row["op"] == "contour_points"]
        spaced = [row for row in result["rows"] if row["op"] == "spacing"]
        first = timed[0]
        threads = f"images/s, {first['threads']} threads"
        head = (
            "drawings",
            "pixels",
            "n",
            "us",
            "thinning us",
            "listing us",
            "sampling us",
            "images/s",
            threads,
        )
        lines = []
        for row in timed:
            parts_us = {name: f"{us:.1f}" for name, us in row["parts_us"].items()}
            if row["size"] != 256:  # differences of long times: noise
                parts_us |= {"listing": "", "sampling": ""}
            everywhere = row["per_second_all_threads"]
            lines.append(
                (
                    f"{row['images']} of {row['case']}" if row["case"] == first["case"] else row["case"],
                    *(row["pixels"], row["n"], f"**{row['us']:.1f}**"),
                    *(parts_us[name] for name in ("thinning", "listing", "sampling")),
                    *(f"{row['per_second']:,}", f"{everywhere:,}" if everywhere else ""),
                    *(f"{x:.0f}x" for x in row["times"].values()),
                )
            )
        head += tuple(f"{name} / ours" for name in first["times"])
        parts.append(
            markdown_of_filled(head, lines)
            + "\n\nSpacing in pixels, each time beside that of n random pixels of the same centreline:\n\n"
            + markdown(
                ("n", "sketches", "smallest gap", "variation of the gaps", "farthest pixel from a point"),
                (
                    (
                        row["n"],
                        row["images"],
                        *(
                            f"**{row['ours'][key]:{form}}**, {row['random'][key]:{form}}"
                            for key, form in (
                                ("smallest_gap", ".1f"),
                                ("gap_variation", ".2f"),
                                ("farthest_pixel", ".1f"),
                            )
                        ),
                    )
                    for row in spaced
                ),
            )
            + f"\n\nBatches, one thread unless said, path `{result['path_used']}`; pixels are those of an average centreline. "
            "Listing and sampling are differences of times, given for 256x256 only. "
            f"Load of the machine: {result['load_average'][0]}. {provenance(result)}"
        )
    return "\n\n".join(parts)


def rasterize() -> str:
    parts = []
    for result in results("rasterize"):
        names = ("Python loop", "cv2", "Pillow")
        lines = []
        for row in result["rows"]:
            shares = ", ".join(f"{name} {row['peers_ink'][name]:.2f}" for name in names[1:])
            ratios = (f"{row['times'][name]:.1f}x" if name in row["times"] else "" for name in names)
            lines.append(
                (
                    row["case"],
                    row["thickness"],
                    "yes" if row["antialias"] else "no",
                    row["threads"],
                    f"**{row['us']:.1f}**",
                    *ratios,
                    shares,
                )
            )
        head = ("sequences", "thickness", "antialiased", "threads", "us an image")
        head += (*(f"{name} / ours" for name in names), "their ink / ours")
        first = result["rows"][0]
        parts.append(
            markdown(head, lines)
            + f"\n\n{first['images']} sequences of up to 100 points at {first['size']}x{first['size']} a call, path "
            f"`{result['path_used']}`. Load of the machine: {result['load_average'][0]}. {provenance(result)}"
        )
    return "\n\n".join(parts)


def landmark_pool() -> str:
    def ratio(row: dict[str, Any], key: str) -> str:
        return f"**{row[key]:.1f}x**" if row[key] else ""

    parts = []
    for result in results("landmark_pool"):
        cases: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
        for row in result["rows"]:
            cases.setdefault(tuple(str(row[key]) for key in ("shape", "n", "layout", "dtype")), {})[
                row["run"]
            ] = row
        head = ("features", "n", "layout", "dtype", "forward ms", "grid_sample / ours", "roi_align / ours")
        head += ("with backward ms", "grid_sample / ours", "roi_align / ours, features only")
        head += ("MB moved", "GB/s", "forward MB", "forward GB/s", "copy GB/s", "fill GB/s")
        lines = [
            (
                *case,
                runs["forward"]["ms"],
                ratio(runs["forward"], "times_grid_sample"),
                ratio(runs["forward"], "times_roi_align"),
                runs["forward+backward"]["ms"],
                ratio(runs["forward+backward"], "times_grid_sample"),
                ratio(runs["features"], "times_roi_align"),
                *(
                    runs[run][key]
                    for run in ("forward+backward", "forward")
                    for key in ("mb_moved", "gb_per_s")
                ),
                *(runs["forward+backward"][key] for key in ("copy_gb_per_s", "fill_gb_per_s")),
            )
            for case, runs in cases.items()
        ]
        parts.append(
            markdown(head, lines)
            + "\n\nOne thread, its CPU time. MB moved and GB/s: forward and backward to features and points, unless said; "
            f"copy and fill: a tensor of that size. Load of the machine: {result['load_average'][0]}. "
            + provenance(result)
        )
    return "\n\n".join(parts)


def soft_weighted_loss() -> str:
    parts = []
    for result in results("soft_weighted_loss"):
        rows = [row for row in result["rows"] if row["op"] == "soft_weighted_loss"]
        (memory,) = (row for row in result["rows"] if row["op"] == "peak_memory")
        parts.append(
            markdown(
                (
                    "logits",
                    "dtype",
                    "labels",
                    "run",
                    "threads",
                    "ms",
                    "GB/s",
                    "copy GB/s",
                    "eager / ours",
                    "torch.compile / ours",
                    "F.cross_entropy / ours",
                ),
                (
                    (
                        *(row[key] for key in ("shape", "dtype", "labels", "run", "threads", "ms")),
                        row["gb_per_s"],
                        row["copy_gb_per_s"],
                        f"**{row['times_eager']:.1f}x**",
                        f"{row['times_compiled']:.1f}x" if row["times_compiled"] else "",
                        f"**{row['times_cross_entropy']:.1f}x**",
                    )
                    for row in rows
                ),
            )
            + f"\n\nPeak memory of {memory['shape']}, float32, forward and backward: {memory['logits_mb']} MB of logits and "
            f"{memory['added_mb']} MB more, {memory['of_logits_and_gradient']} times logits and gradient. {provenance(result)}"
        )
    return "\n\n".join(parts)
