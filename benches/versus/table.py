"""The table of docs/benchmarks.md, from measurements."""

import math
import statistics

BEGIN, END = "<!-- versus: begin -->", "<!-- versus: end -->"
PEERS = ["torch", "torch.compile", "jax", "onnxruntime", "candle"]
#: Beginnings of names of workloads that are held to limits.
BOUND = ("dispatch", "gelu", "chain", "sumsq", "softmax", "layernorm", "linear_ln", "matmul", "bmm", "train_mlp")


def ratio(row, name):
    """A peer's time over Lazulite's: the median over rounds."""
    own, other = row["results"]["lazulite"]["medians_s"], row["results"][name]["medians_s"]
    return statistics.median(b / a for a, b in zip(own, other))


def duration(seconds):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        # What rounds to a thousand is one of the next unit.
        if seconds >= scale * 0.9995:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def peers_of(row):
    return [name for name in PEERS if name in row["results"]]


def times(rows):
    """Ratios by peer, the best peer's in bold where it is ahead of Lazulite."""
    lines = ["| workload | Lazulite | " + " | ".join(PEERS) + " | best peer |", "|---" * (len(PEERS) + 3) + "|"]
    for row in rows:
        if "lazulite" not in row["results"]:
            why = row["refused"].get("lazulite", "not measured")
            lines.append(f"| {row['workload']} | {why} |" + " |" * (len(PEERS) + 1))
            continue
        own = duration(statistics.median(row["results"]["lazulite"]["medians_s"]))
        ratios = {name: ratio(row, name) for name in peers_of(row)}
        cells = [f"{ratios[name]:.2f}" if name in ratios else "" for name in PEERS]
        least = min(ratios.values(), default=None)
        best = "" if least is None else f"{least:.2f}" if least >= 1 else f"**{least:.2f}**"
        lines.append(f"| {row['workload']} | {own} | " + " | ".join(cells) + f" | {best} |")
    return lines


def first_calls(rows):
    """First calls and memory."""
    lines = ["| workload | " + " | ".join(["Lazulite"] + PEERS) + " |", "|---" * (len(PEERS) + 2) + "|"]
    for row in rows:
        cells = []
        for name in ["lazulite"] + PEERS:
            found = row["results"].get(name)
            cells.append(f"{duration(found['first_s'])}, {found['peak_mb']:.0f} MB" if found else "")
        lines.append(f"| {row['workload']} | " + " | ".join(cells) + " |")
    return lines


def mean(values):
    return math.exp(statistics.mean(math.log(v) for v in values)) if values else float("nan")


def summary(rows, threads):
    """Geometric means of those workloads that are held to limits."""
    rows = [r for r in rows if r["workload"].startswith(BOUND) and "lazulite" in r["results"]]
    best = [min(ratio(r, name) for name in peers_of(r)) for r in rows if peers_of(r)]
    eager = [ratio(r, "torch") for r in rows if "torch" in r["results"]]
    behind = [r["workload"] for r, b in zip([r for r in rows if peers_of(r)], best) if b < 1]
    lines = [
        f"Over the {len(best)} workloads that are held to limits, the geometric mean at {threads} "
        f"thread{'s' if threads > 1 else ''} is {mean(best):.2f} against the best peer of each, and {mean(eager):.2f} "
        f"against PyTorch eager; {len(behind)} are behind the best peer.",
    ]
    return lines


def conditions(known):
    found = known["conditions"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    loads = [row["load"] for row in known["rows"]] or [0.0]
    return [
        f"Measured on {found['processor']}, {found['cores']} cores, Python {found['python']}, {versions}. "
        f"Other work on the machine while measuring: load average {min(loads):.1f} to {max(loads):.1f}.",
    ]


def block(names, known):
    lines = conditions(known)
    by_threads = sorted({row["threads"] for row in known["rows"]})
    for threads in by_threads:
        rows = [row for row in known["rows"] if row["threads"] == threads]
        rows.sort(key=lambda row: names.index(row["workload"]))
        title = f"{threads} thread{'s' if threads > 1 else ''}"
        lines += ["", f"### Time, {title}", "", *summary(rows, threads), "", *times(rows)]
        lines += ["", f"### First call and peak memory, {title}", "", *first_calls(rows)]
    return "\n".join(lines)


def write_table(path, names, known):
    """Replaces what lies between the marks."""
    text = path.read_text() if path.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{block(names, known)}\n{END}{after}")
