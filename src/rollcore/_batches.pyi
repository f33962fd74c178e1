import numpy as np
from numpy.typing import NDArray

def gather(
    source: NDArray[np.uint8],
    at: NDArray[np.int64],
    before: NDArray[np.int64],
    within: NDArray[np.int64],
    size: int,
    begin: int,
    end: int,
    semitones: NDArray[np.int8] | None,
    out: NDArray[np.uint8],
) -> None: ...
def shift(words: NDArray[np.uint64], semitones: NDArray[np.int8], begin: int, end: int, size: int) -> None: ...
def unpack(
    words: NDArray[np.uint64], low: int, pitches: int, table: NDArray[np.uint8], out: NDArray[np.uint8]
) -> None: ...
