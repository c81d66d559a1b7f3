"""Tables of the searches: Hamming distances, evaluation of retrieval, weighted distances."""

from __future__ import annotations

from table_text import markdown, provenance, results


def hamming() -> str:
    parts = []
    for result in results("hamming_topk"):
        rows = [row for row in result["rows"] if row["op"] == "hamming_topk"]
        parts.append(
            markdown(
                (
                    "bits",
                    "codes are",
                    "queries",
                    "k",
                    "threads",
                    "G pairs/s",
                    "faiss G pairs/s",
                    "ours / faiss",
                ),
                (
                    (
                        *(row[key] for key in ("bits", "data", "queries", "k", "threads")),
                        f"{row['gpairs_per_s']:.2f}",
                        f"{row['faiss_gpairs_per_s']:.2f}",
                        f"**{row['times_faiss']:.1f}x**",
                    )
                    for row in rows
                ),
            )
            + f"\n\n{result['codes']:,} codes. {provenance(result)}"
        )
    return "\n\n".join(parts)


def retrieval() -> str:
    parts = []
    for result in results("retrieval"):
        parts.append(
            markdown(
                (
                    "input",
                    "protocol",
                    "threads",
                    "seconds",
                    "ms a query",
                    "scikit-learn ms a query",
                    "faster",
                    "MB above inputs",
                ),
                (
                    (
                        *(row[key] for key in ("case", "protocol", "threads", "seconds", "ms_per_query")),
                        row["sklearn_ms_per_query"],
                        f"**{row['times_sklearn']:.0f}x**",
                        row["peak_mb_above_inputs"],
                    )
                    for row in result["rows"]
                ),
            )
            + f"\n\n{result['rows'][0]['queries']:,} queries, {result['rows'][0]['gallery']:,} photos. {provenance(result)}"
        )
    return "\n\n".join(parts)


def weighted_search() -> str:
    kinds = {"own": "its own for each query", "shared": "those of {descriptors} descriptors"}
    parts = []
    for result in results("weighted_search"):
        head = ("weights", "seconds", "Gflop/s", "naive seconds", "naive / ours", "cdist / ours")
        head += ("differences / ours", "largest relative error", "MB above inputs and result")
        parts.append(
            markdown(
                head,
                (
                    (
                        kinds[row["weights"]].format(**result),
                        *(row[key] for key in ("seconds", "gflop_per_s", "naive_seconds")),
                        *(f"**{row[f'times_{peer}']:.1f}x**" for peer in ("naive", "cdist", "differences")),
                        *(row[key] for key in ("largest_relative_error", "peak_mb_above")),
                    )
                    for row in result["rows"]
                ),
            )
            + f"\n\n{result['queries']:,} queries of {result['samples']} samples, {result['photos']:,} photos, "
            f"{result['dimensions']:,} dimensions; float32, {result['threads']} threads, blocks of {result['block_mb']} MB. "
            f"Peers timed on {', '.join(f'{n} queries ({name})' for name, n in result['peer_queries'].items())}. "
            f"Load of the machine: {result['load_average'][0]}. {provenance(result)}"
        )
    return "\n\n".join(parts)
