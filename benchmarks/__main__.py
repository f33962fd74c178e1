"""Run every benchmark, each file in a process of its own, then write or compare.

``python -m benchmarks`` measures in full (a quarter of an hour or so, on a quiet machine), keeps the JSON in
benchmarks/results and writes benchmarks/RESULTS.md. ``--quick`` takes a few seconds a file and fails where a
ratio to a peer has lost more than 30 % against benchmarks/baseline.json, three times in a row: once may be
the machine's other work. ``--quick --save`` keeps in that baseline the lowest ratio of every run it was given
to; delete the file to begin anew. ``--quick --output FOLDER`` keeps pytest-benchmark's JSON there, and the ratios as
``ratios.json``, for those who draw series of them. Names of questions (``parse build``) limit either to those files.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import process, profile, report

HERE = Path(__file__).resolve().parent
REPEATS = 2  # of a question that seems to have become slower


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    questions = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(questions))
    parser.add_argument("--quick", action="store_true", help="a few seconds a file; compare")
    parser.add_argument("--save", action="store_true", help="with --quick: store the ratios as the baseline")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="with --quick: keep results and ratios there")
    options = parser.parse_args(argv)
    if options.output and not options.quick:
        parser.error("--output goes with --quick: a full run writes into benchmarks/results")
    if unknown := set(options.questions) - set(questions):
        parser.error(f"no such question: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as temporary:
        results = (options.output or Path(temporary)) if options.quick else HERE / "results"
        results.mkdir(parents=True, exist_ok=True)
        failed = []

        def measure(question: str) -> None:
            command = [sys.executable, "-m", "pytest", "-q", f"benchmarks/bench_{question}.py"]
            command.append(f"--benchmark-json={results / question}.json")
            status = subprocess.run([*command, *["--quick"] * options.quick], cwd=HERE.parent).returncode
            if status not in (0, 5):  # 5: no benchmark of this mode in the file
                failed.append(question)

        if not options.quick:
            process.back_memory()
        for question in options.questions or questions:
            measure(question)
        worse: dict[report.Peer, str] = {}
        if not options.quick:
            profile.write(results)
            report.write(results)
        elif options.save:
            report.save_baseline(results)
        else:
            worse = report.compare(results)
            for _ in range(REPEATS):
                if not worse:
                    break
                for question in sorted({question for question, _, _ in worse}):
                    measure(question)
                worse = {peer: line for peer, line in report.compare(results).items() if peer in worse}
        if options.output:
            report.write_ratios(results)
    for line in worse.values():
        print(f"slower than the baseline: {line}", file=sys.stderr)
    for question in failed:
        print(f"failed: benchmarks/bench_{question}.py", file=sys.stderr)
    return 1 if worse or failed else 0


if __name__ == "__main__":
    sys.exit(main())
