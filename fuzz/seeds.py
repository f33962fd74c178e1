"""Write the seed corpus: every hexdump of the conformance suite under several options of the target.

Usage: python fuzz/seeds.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from smf_cases import CASES

#: The target's first byte, from its lowest bit: beats, onsets, drums, sustain, then two bits of rate.
OPTIONS = (0b000000, 0b000111, 0b001010, 0b001001, 0b011110, 0b100000, 0b101111, 0b110000, 0b111111)


def main(folder: Path) -> None:
    """Fill `folder` with one file for each case and option."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        for options in OPTIONS:
            if len(case.data) < 4096:
                (folder / f"{case.name}-{options}").write_bytes(bytes([options]) + case.data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
