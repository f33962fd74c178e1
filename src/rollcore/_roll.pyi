from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATUS_IO: int
STATUS_NO_NOTES: int
STATUS_ONLY_DRUMS: int
STATUS_TOO_LONG: int
STATUS_NO_BEATS: int
STATUS_NO_MEMORY: int
STATUS_BAD_NOTES: int
STATUS_BAD_TEMPOS: int
STATUS_NOT_CHOSEN: int
STATUS_FEW_NOTES: int
STATUS_FEW_PITCHES: int
MAX_VOICES: int
NOTE_BYTES: int
MAX_FILE_BYTES: int
RECORD_BYTES: int
LOAD_BYTES: int
LOAD_SPANS: int

_Chooser = Callable[[memoryview, list[tuple[int, int, int, int]], list[tuple[int, bytes]], int, int], NDArray[np.int8]]

class Batch:
    def __init__(
        self,
        beats: bool,
        numerator: int,
        denominator: int,
        onsets: bool,
        drums: bool,
        sustain: bool,
        align: bool,
        max_seconds: int,
        max_beats: int,
        n_voices: int,
        min_notes: int,
        min_pitches: int,
        chooser: _Chooser | None,
    ) -> None: ...
    def reset(self) -> None: ...
    def load(
        self,
        members: list[bytes],
        from_disk: bool,
        records: NDArray[np.uint8],
        digest: Callable[[Any], bytes],
    ) -> int: ...
    def load_notes(
        self,
        format: int,
        ticks_per_beat: int,
        smpte_fps: int,
        smpte_ticks_per_frame: int,
        notes: NDArray[np.uint8],
        tempos: NDArray[np.uint8],
        pedals: NDArray[np.uint8],
        controls: NDArray[np.uint8],
        voices: NDArray[np.int8],
        records: NDArray[np.uint8],
    ) -> None: ...
    def paint(self, records: NDArray[np.uint8], keep: NDArray[np.uint8], room: int) -> memoryview: ...
    def roll(self, records: NDArray[np.uint8], rows: NDArray[np.uint8]) -> None: ...
