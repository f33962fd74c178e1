"""Measure the quick benchmarks of two checkouts in turns, and compare what rollcore takes in each.

The ratio of a question is the median over the rounds of head's best time to base's. Above 1.1 it is a warning; above
1.3 in every round it is a failure. Written as JSON too, for those who draw series of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WARN, FAIL = 1.1, 1.3


def measure(checkout: Path, question: str) -> dict[str, float]:
    """Return the best seconds of each benchmark of a question, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [checkout.resolve() / ".venv/bin/python", "-m", "pytest", "-q", f"benchmarks/bench_{question}.py"]
        subprocess.run([*command, "--quick", f"--benchmark-json={result}"], cwd=checkout, check=False)
        if not result.exists():
            return {}
        found = json.loads(result.read_text())["benchmarks"]
    return {one["name"]: one["extra_info"]["seconds"][one["extra_info"]["reference"]]["best"] for one in found}


def main() -> int:
    """Compare, print a table, and return 1 where something has become much slower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("head", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", nargs="+", default=["parse", "build", "windows", "feed"])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    ratios: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for question in options.questions:
            base, head = measure(options.base, question), measure(options.head, question)
            for name in base.keys() & head.keys():
                ratios.setdefault(f"{question}: {name}", []).append(head[name] / base[name])
    failed = False
    for name, found in sorted(ratios.items()):
        worst = min(found) > FAIL
        failed |= worst
        remark = "much slower" if worst else "slower" if statistics.median(found) > WARN else ""
        print(f"{statistics.median(found):6.2f}  {name}  {remark}".rstrip())
    if options.output:
        options.output.write_text(json.dumps(ratios, indent=1) + "\n")
    if not ratios:
        print("nothing was measured in both", file=sys.stderr)
    return int(failed or not ratios)


if __name__ == "__main__":
    raise SystemExit(main())
