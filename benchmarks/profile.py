"""Where the time of a build goes: a sampling profile by perf, summed by part of the machine.

``python -m benchmarks.profile`` takes one; where perf is not installed, or may not sample, there is none.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import corpus, process

N_FILES = 20_000
HERTZ = 4999
N_FUNCTIONS = 25

# First match wins: part, pattern of the shared object, pattern of the symbol.
PARTS = (
    ("kernel: copying file contents", "kernel", "copy_|rep_movs"),
    ("kernel: memory pages", "kernel", "clear_(page|huge)|fault|vma|mmap|mprotect|munmap|_pte_|zap_|tlb"),
    (
        "kernel: file pages",
        "kernel",
        "ext4|__es_|mpage|iomap|jbd2|folio|filemap|page_cache|writeback|xas_|balance_dirty",
    ),
    ("kernel: names", "kernel", "lookup|path|dentry|d_|inode|getname|open|close|fput|alloc_fd|getdents|stat"),
    ("kernel: the rest", "kernel", ""),
    ("parse (rollcore._smf)", "_smf", ""),
    ("quantise and paint (rollcore._roll)", "_roll", ""),
    ("checksums (xxhash)", "xxhash", ""),
    ("HDF5 library and h5py", "hdf5|h5py", ""),
    ("NumPy", "numpy|blas|multiarray", ""),
    ("Python interpreter", r"python|\.so", "^_?Py|^_?PyEval|python"),
    ("dynamic loader", "ld-linux|ld-2", ""),
    ("libc: memory copies", "libc", "mem(cpy|move|set)"),
    ("libc: the rest", "libc", ""),
)


def _part(place: str, symbol: str) -> str:
    for part, where, what in PARTS:
        if re.search(where, place) and re.search(what, symbol):
            return part
    return "other"


def take() -> dict[str, object] | None:
    """Profile one build; None where perf cannot."""
    perf = shutil.which("perf")
    if perf is None:
        return None
    folder = corpus.corpus(N_FILES)
    with tempfile.TemporaryDirectory(dir=corpus.cache_folder()) as temporary:
        data, out = Path(temporary) / "perf.data", Path(temporary) / "out.h5"
        command = [*process.command("rollcore"), "build-dataset", folder, out, "--fps", "50", "--planes", "sounding"]
        record = [perf, "record", "-e", "cpu-clock", "-F", HERTZ, "-o", data, "--", *command]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)  # once to warm up
        out.unlink()
        if subprocess.run(list(map(str, record)), capture_output=True).returncode:
            return None
        table = process.run(
            [perf, "report", "-i", data, "--stdio", "--sort", "dso,symbol", "-n", "-t", "\t", "--no-demangle"]
        )
    parts: Counter[str] = Counter()
    functions: Counter[tuple[str, str]] = Counter()
    for line in table.splitlines():
        fields = [field.strip() for field in line.split("\t")]
        if line.startswith("#") or len(fields) < 4:
            continue
        _, samples, place, symbol = fields[:4]
        symbol = re.sub(r"^\[.\]\s*", "", symbol)
        parts[_part(place, symbol)] += int(samples)
        functions[symbol, place] += int(samples)
    total = sum(parts.values())
    return {
        "command": f"rollcore build-dataset, {N_FILES:,} files at 50 fps",
        "event": f"cpu-clock at {HERTZ} Hz",
        "samples": total,
        "cpu_seconds": total / HERTZ,
        "parts": [(part, 100 * n / total) for part, n in parts.most_common()],
        "functions": [(s, place, 100 * n / total) for (s, place), n in functions.most_common(N_FUNCTIONS)],
    }


def write(results: Path) -> None:
    """Take a profile and keep it beside the other results."""
    data = take()
    if data is None:
        print("no profile: perf is not installed here, or may not sample")
        return
    (results / "profile.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent / "results"
    folder.mkdir(exist_ok=True)
    write(folder)
    sys.exit(0)
