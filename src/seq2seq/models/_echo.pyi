import numpy as np
from numpy.typing import NDArray

LONGEST: int
TOLD: int
LANES: int
WIDEST: int

def mix(words: NDArray[np.uint64], keys: NDArray[np.uint64]) -> None: ...
def find(
    keys: NDArray[np.uint64], runs: NDArray[np.uint8], lags: NDArray[np.uint32], match: NDArray[np.uint8]
) -> None: ...
def step(
    words: NDArray[np.uint64],
    keys: NDArray[np.uint64],
    t: int,
    runs: NDArray[np.uint8],
    told: NDArray[np.int64],
    echo: NDArray[np.uint64],
    match: NDArray[np.uint8],
    lags: NDArray[np.int64],
) -> None: ...
def find_varied(
    words: NDArray[np.uint64],
    alike: NDArray[np.int32],
    echoes: NDArray[np.uint64],
    lags: NDArray[np.uint32],
    shifts: NDArray[np.int8],
    degrees: NDArray[np.uint8],
) -> None: ...
def step_varied(
    words: NDArray[np.uint64],
    t: int,
    alike: NDArray[np.int32],
    echoes: NDArray[np.uint64],
    degrees: NDArray[np.uint8],
) -> None: ...
