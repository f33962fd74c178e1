"""results/*.json → RESULTS.md, and the comparison of a quick run with the stored ratios.

``python -m benchmarks.report`` writes the table anew from the JSON that is there.
"""

from __future__ import annotations

import json
import operator
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "baseline.json"
TOLERATED_LOSS = 0.30
ORDER = ("parse", "build", "growth", "startup", "windows", "feed", "train_step", "sampling", "serving", "tracking")
TESTS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

# Question, benchmark, contender.
Peer = tuple[str, str, str]

HEAD = """# Results

Written by `python -m benchmarks.report` from `results/*.json`; measured by `make bench`. Do not edit.

How to read it: all contenders of a table ran in interleaved rounds on the same machine, with the files in the
page cache, and gave the same answer before a time was kept. Times are medians per unit, with the quartiles in
brackets. **Ratio** is the contender's time divided by the time of the first row, the reference, in the same round
(median, quartiles): how many times faster the reference is. A floor is the same work with everything left out
that could be left out; its row gives how many times its time the reference takes.
Before a full run most of the free memory is written to once, because a virtual machine is slow to provide new pages.
"""


def _load(results: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Give (question's file, machine, benchmark) of everything measured, in the order of `ORDER`."""
    stems = [
        path.stem for path in results.glob("*.json") if path.stem not in ("profile", "ratios") and path.stat().st_size
    ]
    for stem in sorted(stems, key=lambda stem: (ORDER.index(stem) if stem in ORDER else len(ORDER), stem)):
        data = json.loads((results / f"{stem}.json").read_text())
        for benchmark in data["benchmarks"]:
            if "seconds" in benchmark["extra_info"]:
                yield stem, data["machine_info"], benchmark


def _duration(seconds: float) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def _table(info: dict[str, Any]) -> Iterator[str]:
    reference, unit = info["reference"], info["unit"]
    yield f"### {info['question']}\n"
    yield f"{info['rounds']} rounds.\n"
    yield f"| | time per {unit} | per second | ratio | target |"
    yield "|---|---|---|---|---|"
    for name, spread in info["seconds"].items():
        rate = 1 / spread["median"]
        cells = f"{_duration(spread['median'])} ({_duration(spread['low'])} to {_duration(spread['high'])})"
        times = target = ""
        if name == reference:
            times = "1"
            if info["rate_target"]:
                target = f"≥ {info['rate_target']:,} {unit}s a second: {_verdict(rate >= info['rate_target'])}"
            if info["seconds_target"]:
                met = spread["median"] < info["seconds_target"]
                target = f"< {_duration(info['seconds_target'])}: {_verdict(met)}"
        else:
            ratio, wanted = info["ratios"][name], info["targets"].get(name)
            median, low, high = (ratio[key] for key in ("median", "low", "high"))
            if name.startswith("floor"):
                times = f"{_number(1 / median)} ({_number(1 / high)} to {_number(1 / low)}) times the floor"
                target = f"≤ {_number(1 / wanted)} times the floor: {_verdict(median >= wanted)}" if wanted else ""
            else:
                times = f"{_number(median)} ({_number(low)} to {_number(high)})"
                target = f"≥ {_number(wanted)}: {_verdict(median >= wanted)}" if wanted else ""
        yield f"| {name} | {cells} | {_number(rate)} | {times} | {target} |"
    yield ""
    if info["facts"]:
        yield "| | | target |"
        yield "|---|---|---|"
        for fact in info["facts"]:
            target = fact["target"]
            if target:
                symbol, limit = target.split()
                target += f": {_verdict(TESTS[symbol](fact['value'], float(limit)))}"
            yield f"| {fact['what']} | {_number(fact['value'])} {fact['unit']} | {target} |"
        yield ""
    for note in info.get("notes", ()):
        yield f"{note}\n"


def _host(machine: dict[str, Any]) -> Iterator[str]:
    cpu = machine["cpu"].get("brand_raw", machine["cpu"].get("arch", "unknown processor"))
    yield "## Host and versions\n"
    yield (
        f"{cpu}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']} {machine['release']}, "
        f"Python {machine['python_version']}; corpora: {machine['corpus']}.\n"
    )
    yield ", ".join(f"{name} {version}" for name, version in machine["versions"].items()) + "."


def write(results: Path = HERE / "results", page: Path = HERE / "RESULTS.md") -> None:
    """Write the readable table of everything that `results` holds."""
    lines, seen, machine = [HEAD], None, None
    for stem, machine_info, benchmark in _load(results):
        machine = machine or machine_info
        if stem != seen:
            lines.append(f"## {stem.replace('_', ' ').capitalize()}\n")
            seen = stem
        lines.extend(_table(benchmark["extra_info"]))
    profile = results / "profile.json"
    if profile.exists():
        lines.extend(_profile(json.loads(profile.read_text())))
    if machine:
        lines.extend(_host(machine))
    page.write_text("\n".join(lines) + "\n")


def _profile(data: dict[str, Any]) -> Iterator[str]:
    yield "## Where the time of a build goes\n"
    yield f"`{data['command']}`, {data['samples']:,} samples of {data['event']} by perf, all threads: "
    yield f"{data['cpu_seconds']:.2f} s of processor time.\n"
    yield "| part | share |"
    yield "|---|---|"
    for part, share in data["parts"]:
        yield f"| {part} | {share:.1f} % |"
    yield "\n| hottest function | in | share |"
    yield "|---|---|---|"
    for symbol, place, share in data["functions"]:
        yield f"| `{symbol}` | {place} | {share:.1f} % |"
    yield ""


def ratios(results: Path) -> dict[Peer, float]:
    """Give the median ratio to every peer; other seed files make another benchmark.

    Floors and our own variants are left out: how far those are depends on the machine more than on the program.
    """
    return {
        (question, f"{benchmark['name']}, {machine['seed_files']}", name): ratio["median"]
        for question, machine, benchmark in _load(results)
        for name, ratio in benchmark["extra_info"]["ratios"].items()
        if not name.startswith(("floor", "rollcore", "seq2seq"))
    }


def _baseline() -> dict[Peer, float]:
    stored = json.loads(BASELINE.read_text()) if BASELINE.exists() else []
    return {(question, benchmark, name): ratio for question, benchmark, name, ratio in stored}


def save_baseline(results: Path) -> None:
    """Store this run's ratios for later ones to be held against, or the stored ones where they are lower."""
    stored = _baseline()
    stored |= {peer: min(ratio, stored.get(peer, ratio)) for peer, ratio in ratios(results).items()}
    BASELINE.write_text(json.dumps([[*peer, ratio] for peer, ratio in sorted(stored.items())], indent=1) + "\n")


def write_ratios(results: Path) -> None:
    """Write this run's ratios beside its results, as tools that keep series of benchmarks read them."""
    entries = [{"name": ": ".join(peer), "unit": "times", "value": ratio} for peer, ratio in ratios(results).items()]
    (results / "ratios.json").write_text(json.dumps(entries, indent=1) + "\n")


def compare(results: Path) -> dict[Peer, str]:
    """Print this run's ratios beside the stored ones; give a line for each peer against which too much was lost."""
    stored, worse = _baseline(), {}
    for peer, ratio in ratios(results).items():
        line = f"{': '.join(peer)}: {_number(ratio)} times"
        if peer in stored:
            line += f", stored {_number(stored[peer])} times"
            if ratio < stored[peer] * (1 - TOLERATED_LOSS):
                worse[peer] = line
        print(line)
    return worse


if __name__ == "__main__":
    write()
    sys.exit(0)
