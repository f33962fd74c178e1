"""Write the seed corpus: every hexdump of the conformance suite under several options of the target.

Usage: python fuzz/seeds.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from smf_cases import CASES

#: Bits of the target's first byte: beats, onsets, drums, sustain, an odd frame rate.
OPTIONS = (0b00000, 0b00111, 0b01010, 0b01001, 0b11110)


def main(folder: Path) -> None:
    """Fill `folder` with one file for each case and option."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        for options in OPTIONS:
            if len(case.data) < 4096:
                (folder / f"{case.name}-{options}").write_bytes(bytes([options]) + case.data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
