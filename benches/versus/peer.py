"""One framework running one workload: started by versus.py, told over standard input when to measure.

    python peer.py FRAMEWORK WORKLOAD THREADS FILE

FILE is what `lazulite-bench given` writes. The first line printed tells of the first call and how far the results are from
Lazulite's; each line read, a number of seconds, is answered by a line with what was measured. Memory is what the
process holds at most from the first call on, inputs and parameters included, above what it holds after the smallest
program of the same kind.
"""

import gc
import importlib
import json
import os
import re
import struct
import sys
import time

#: Module, and whether functions are compiled.
FRAMEWORKS = {
    "torch": ("torch_peer", False),
    "torch.compile": ("torch_peer", True),
    "jax": ("jax_peer", True),
    "onnxruntime": ("onnx_peer", True),
}
SAMPLE = 20e-6
SAMPLES = 3
#: Results of different libraries agree so far, relative to the largest element.
TOLERANCE = 2e-3


def limit(threads):
    """Must come before a framework is loaded."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["TORCHINDUCTOR_FX_GRAPH_CACHE"] = "0"
    os.environ["TORCHINDUCTOR_CPP_WRAPPER"] = "0"


def header(file):
    (length,) = struct.unpack("<Q", file.read(8))
    return json.loads(file.read(length)), 8 + length


def read(path, group):
    """The arrays of a group (`given` or `result`) in a file of safetensors, by name."""
    import numpy as np

    kinds = {"F32": np.float32, "I64": np.int64}
    arrays = {}
    with open(path, "rb") as file:
        entries, start = header(file)
        for name, entry in entries.items():
            if not name.startswith(group + "."):
                continue
            begin, end = entry["data_offsets"]
            file.seek(start + begin)
            array = np.fromfile(file, kinds[entry["dtype"]], (end - begin) // np.dtype(kinds[entry["dtype"]]).itemsize)
            arrays[name[len(group) + 1 :]] = array.reshape(entry["shape"])
    return arrays


def status(key):
    with open("/proc/self/status") as file:
        return int(re.search(rf"{key}:\s+(\d+) kB", file.read())[1]) * 1024


def restart_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def distance(framework, results, expected):
    """The largest difference relative to the largest expected element, over all results."""
    import numpy as np

    worst = 0.0
    for i, result in enumerate(results):
        found, wanted = framework.values(result), expected[str(i)]
        if found.shape != wanted.shape:
            raise ValueError(f"result {i} has shape {found.shape}, not {wanted.shape}")
        worst = max(worst, float(np.abs(found - wanted).max()) / max(float(np.abs(wanted).max()), 1e-30))
    return worst


def measure(step, seconds):
    def timed(count):
        begin = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - begin) / count

    quickest, warming = timed(2), time.perf_counter()
    while time.perf_counter() - warming < seconds / 10:
        quickest = min(timed(1), quickest)
    batch, samples = int(-(-SAMPLE // quickest)), []
    begin = time.perf_counter()
    while len(samples) < SAMPLES or time.perf_counter() - begin < seconds:
        samples.append(timed(batch))
    samples.sort()
    return {"median_s": samples[len(samples) // 2], "min_s": samples[0], "reps": len(samples) * batch}


def main(name, workload_name, threads, path):
    limit(threads)
    module, compiled = FRAMEWORKS[name]
    framework = importlib.import_module(module)
    from workloads import table

    workload = table()[workload_name]
    framework.start(threads)
    framework.trivial(workload.kind == "train")
    gc.collect()
    baseline = status("VmRSS")
    p = {key: framework.array(values) for key, values in read(path, "given").items()}
    restart_peak()
    step = framework.build(workload, p, compiled)
    del p
    begin = time.perf_counter()
    results = step()
    first = time.perf_counter() - begin
    for _ in range(2 if workload.kind == "train" else 0):
        results += step()
    peak = status("VmHWM") if framework.FIRST_CALL_COUNTS else 0
    error = distance(framework, results, read(path, "result"))
    if error > TOLERANCE:
        raise ValueError(f"the results are off by {error:.1e}")
    del results
    gc.collect()
    restart_peak()
    print(json.dumps({"first_s": first, "error": error}), flush=True)
    for line in sys.stdin:
        measured = measure(step, float(line))
        peak = max(peak, status("VmHWM"))
        print(json.dumps(measured | {"peak_mb": (peak - baseline) / 1e6}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
