import numpy as np
from numpy.typing import NDArray

LONGEST: int
TOLD: int

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
