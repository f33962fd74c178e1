import numpy as np
from numpy.typing import NDArray

FREE: int
SILENT: int
HELD: int
STRUCK: int

_Floats = NDArray[np.float32]
_Bits = NDArray[np.uint8]

def uniform(states: NDArray[np.uint64], n: int) -> float: ...
def chance(logit: float, temperature: float, top_p: float) -> float: ...
def draw_independent(
    logits: _Floats,
    may_hold: _Bits,
    rules: _Bits,
    bias: NDArray[np.float64],
    temperature: NDArray[np.float64],
    top_p: float,
    states: NDArray[np.uint64],
    todo: NDArray[np.bool_],
    frame: _Bits,
    log_weight: NDArray[np.float64],
) -> None: ...
def draw_framewise(
    base: _Floats,
    entry: _Floats,
    inward: _Floats,
    outward: _Floats,
    logits: _Floats,
    may_hold: _Bits,
    rules: _Bits,
    bias: NDArray[np.float64],
    temperature: NDArray[np.float64],
    top_p: float,
    states: NDArray[np.uint64],
    todo: NDArray[np.bool_],
    frame: _Bits,
    log_weight: NDArray[np.float64],
) -> None: ...
def draw_pitchwise(
    base: _Floats,
    told: _Floats,
    past: _Bits,
    below: _Floats,
    counts: _Floats,
    hidden_kernel: _Floats,
    hidden_bias: _Floats,
    logit_kernel: _Floats,
    logit_bias: _Floats,
    logits: _Floats,
    may_hold: _Bits,
    rules: _Bits,
    bias: NDArray[np.float64],
    temperature: NDArray[np.float64],
    top_p: float,
    states: NDArray[np.uint64],
    todo: NDArray[np.bool_],
    frame: _Bits,
    log_weight: NDArray[np.float64],
) -> None: ...
def hear_past_below(previous: _Bits, past: _Bits, below: _Floats, counts: _Floats, out: _Floats) -> None: ...
def recall(
    window: _Bits, voices: int, first: int, lags: NDArray[np.int64], heard: _Bits, likeness: _Floats
) -> None: ...
def pitch_features(
    frames: _Bits,
    voices: int,
    context: _Floats,
    neighbours: _Floats,
    harmony: _Floats,
    place: _Floats,
    out: _Floats,
) -> None: ...
def hear_around(previous: _Bits, around: _Floats, out: _Floats) -> None: ...
def cell(gates: _Floats, c: _Floats) -> None: ...
def open_output(gates: _Floats, h: _Floats) -> None: ...
def gumbel(states: NDArray[np.uint64], out: NDArray[np.float64]) -> None: ...
def thin(logits: _Floats, rules: _Bits, limit: int, frame: _Bits) -> None: ...
