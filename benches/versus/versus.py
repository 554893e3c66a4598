#!/usr/bin/env python3
"""Runs workloads by Lazulite and by other frameworks in turn, on this machine, and writes the table.

    python3 benches/versus/versus.py                                  everything: takes an hour or more
    python3 benches/versus/versus.py --only matmul gelu --seconds 0.5 --peers torch jax --threads 1

Frameworks take turns: in each round every one is measured once, in the same order, while the others sleep. The ratio of a
row is the median over rounds of peer's median time / Lazulite's. A virtual environment for the peers is made the first
time, under ~/.cache/lazulite-versus or where LAZULITE_VERSUS_VENV says; candle is built beside it. Measurements are kept in a file
(`--results`); a run replaces the rows that it measures.
"""

import argparse
import json
import os
import platform
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from table import write_table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ["torch", "torch.compile", "jax", "onnxruntime", "candle"]
#: The crate that is the peer called candle.
CANDLE = HERE / "candle_peer"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", default=[""], help="beginnings of names of workloads")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=600, help="seconds a peer's first call may take")
    parser.add_argument("--binary", type=Path, help="a lazulite-bench that was built before")
    parser.add_argument("--results", type=Path, default=environment().parent / "results.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--fresh", action="store_true", help="forget the rows that are not measured")
    return parser.parse_args()


def environment():
    named = os.environ.get("LAZULITE_VERSUS_VENV")
    return Path(named) if named else Path.home() / ".cache" / "lazulite-versus" / "venv"


def interpreter():
    """The Python of the peers' environment, which is made if need be."""
    folder = environment()
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"making {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        requirements = str(HERE / "requirements.txt")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
    return python


def build():
    subprocess.run(["cargo", "build", "--release", "-p", "lazulite-bench"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "lazulite-bench"


def candle_target():
    return environment().absolute().parent / "candle"


def build_candle():
    """Compiled for this processor, as Lazulite's kernels are."""
    command = ["cargo", "build", "--release", "--locked", "--target-dir", candle_target()]
    flags = os.environ | {"RUSTFLAGS": "-C target-cpu=native"}
    subprocess.run(command, cwd=CANDLE, env=flags, check=True)


def peer_command(python, name):
    """What starts a peer; workload, threads and file follow."""
    if name == "candle":
        return [candle_target() / "release" / "candle-peer"]
    return [python, HERE / "peer.py", name]


def on_cores(threads):
    """Keeps a process on as many cores as it may have threads, the last ones."""
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, cores[-threads:])


class Lazulite:
    """Runs once a round, in a process of its own each time."""

    def __init__(self, binary, workload, threads, seconds):
        options = ["--threads", str(threads), "--seconds", str(seconds), "--json"]
        self.command, self.threads = [binary, "run", workload, *options], threads
        self.first = []

    def measure(self, _seconds):
        done = subprocess.run(
            self.command, capture_output=True, text=True, preexec_fn=on_cores(self.threads)
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        measured = json.loads(done.stdout)
        self.first.append(measured.pop("first_s"))
        return measured

    def first_call(self):
        return statistics.median(self.first)

    def close(self):
        pass


class Peer:
    """A process that waits between rounds."""

    def __init__(self, command, workload, threads, given, limit):
        self.complaints = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [*command, workload, str(threads), given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.complaints,
            preexec_fn=on_cores(threads),
        )
        self.started = self.answer(limit)

    def answer(self, limit):
        end, text = time.monotonic() + limit, b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))
            if not ready:
                self.close()
                raise RuntimeError(f"took longer than {limit:.0f} s")
            part = os.read(self.process.stdout.fileno(), 1 << 16)
            if not part:
                self.process.wait()
                raise RuntimeError(self.complaint())
            text += part
        # What libraries print comes before the answer.
        return json.loads(text.strip().splitlines()[-1])

    def complaint(self):
        self.complaints.seek(0)
        lines = self.complaints.read().strip().splitlines()
        return lines[-1] if lines else f"ended with {self.process.returncode}"

    def measure(self, seconds):
        self.process.stdin.write(f"{seconds}\n".encode())
        self.process.stdin.flush()
        return self.answer(60 + 20 * seconds)

    def first_call(self):
        return self.started["first_s"]

    def close(self):
        self.process.kill()
        self.process.wait()


def contenders(options, workload, threads, python, given):
    """Whoever can run the workload, Lazulite first, and why others cannot."""
    running = {"lazulite": Lazulite(options.binary, workload, threads, options.seconds)}
    refused = {}
    for name in options.peers:
        try:
            running[name] = Peer(peer_command(python, name), workload, threads, given, options.limit)
        except RuntimeError as error:
            refused[name] = str(error)
    return running, refused


def row(options, workload, threads, python, given):
    """What was measured of a workload at a number of threads."""
    running, refused = contenders(options, workload, threads, python, given)
    rounds = {name: [] for name in running}
    load = os.getloadavg()[0]
    for _ in range(options.rounds):
        for name, contender in list(running.items()):
            try:
                rounds[name].append(contender.measure(options.seconds))
            except RuntimeError as error:
                refused[name] = str(error)
                del running[name], rounds[name]
    result = {}
    for name, contender in running.items():
        measured = rounds[name]
        result[name] = {
            "medians_s": [m["median_s"] for m in measured],
            "min_s": min(m["min_s"] for m in measured),
            "reps": sum(m["reps"] for m in measured),
            "peak_mb": max(m["peak_mb"] for m in measured),
            "first_s": contender.first_call(),
        }
        contender.close()
    return {"workload": workload, "threads": threads, "load": load, "results": result, "refused": refused}


def conditions(python):
    """The machine and the versions."""
    models = [l for l in Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")]
    versions = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True
    )
    versions = {p["name"]: p["version"] for p in json.loads(versions.stdout)}
    versions = {name: versions[name] for name in ("torch", "jax", "onnxruntime") if name in versions}
    if peer_command(python, "candle")[0].exists():
        locked = (CANDLE / "Cargo.lock").read_text()
        versions["candle"] = re.search(r'name = "candle-core"\nversion = "(.*)"', locked)[1]
    return {
        "processor": models[0].split(":")[1].strip() if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": versions,
    }


def main():
    options = arguments()
    python = interpreter()
    options.binary = options.binary or build()
    if "candle" in options.peers:
        build_candle()
    listed = subprocess.run([options.binary, "list"], capture_output=True, text=True, check=True)
    names = listed.stdout.split()
    kept = options.results.exists() and not options.fresh
    known = json.loads(options.results.read_text()) if kept else {"rows": []}
    known["conditions"] = conditions(python)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for workload in (name for name in names if name.startswith(tuple(options.only))):
            given = Path(folder) / "given.safetensors"
            subprocess.run([options.binary, "given", workload, "--out", given], check=True)
            for threads in options.threads:
                measured = row(options, workload, threads, python, given)
                same = lambda r: (r["workload"], r["threads"]) == (workload, threads)
                known["rows"] = [r for r in known["rows"] if not same(r)] + [measured]
                options.results.write_text(json.dumps(known))
                report(measured)
            given.unlink()
    write_table(options.out, names, known)


def report(measured):
    """One line on the screen."""
    results = measured["results"]
    own = statistics.median(results["lazulite"]["medians_s"]) if "lazulite" in results else float("nan")
    peers = [
        f"{name} {statistics.median(r['medians_s']) / own:.2f}x"
        for name, r in results.items()
        if name != "lazulite"
    ]
    refused = [f"{name}: {why}" for name, why in measured["refused"].items()]
    line = f"{measured['workload']:<28} {measured['threads']} threads {own * 1e6:12.1f} us  "
    print(line + "  ".join(peers + refused), flush=True)


if __name__ == "__main__":
    main()
