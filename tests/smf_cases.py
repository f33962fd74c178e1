"""The damage that MIDI files come with: one commented hexdump for each rule of docs/reading.md.

Every file is written by hand from the Standard MIDI Files 1.0 specification, with the notes it must give, the
repairs it must count, and the byte offset at which strict reading must raise (None: the standard allows it).
Text in quotes stands for its ASCII bytes; ``#`` starts a comment. Byte 14 is the first track's MTrk, byte 18
its length, byte 22 its first delta time, unless a case says otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


def dump(text: str) -> bytes:
    """Bytes of a commented hexdump."""
    text = re.sub(r"#.*", "", text)
    return b"".join(
        quoted.encode() if quoted else bytes.fromhex(digits)
        for quoted, digits in re.findall(r'"([^"]*)"|([^"]+)', text)
    )


@dataclass(frozen=True)
class Case:
    name: str
    text: str
    notes: list[tuple[int, int, int, int, int, int]]  # onset, offset, pitch, velocity, channel, track
    repairs: dict[str, int] = field(default_factory=dict)
    strict: int | None = None
    tempos: list[tuple[int, int]] = field(default_factory=list)
    pedals: list[tuple[int, int, int, bool]] = field(default_factory=list)  # tick, track, channel, down
    time_signatures: list[tuple[int, int, int, int]] = field(default_factory=list)  # tick, beats, value, track
    parts: list[tuple[int, int, int, bool]] = field(default_factory=list)  # tick, track, channel, drums
    drums: list[int] | None = None  # which notes are drums, in order; by default those of channel 9
    track_names: tuple[str, ...] | None = None
    programs: list[tuple[int, int, int, int]] | None = None  # tick, track, channel, program
    ticks_per_beat: int = 96
    format: int = 1
    smpte: tuple[int, int] | None = None

    @property
    def data(self) -> bytes:
        return dump(self.text)


# One track, and two: format 1, 96 ticks per beat.
ONE = '"MThd" 00000006 0001 0001 0060 '
TWO = '"MThd" 00000006 0001 0002 0060 '
# A whole track of 11 bytes with one note, C4 for a beat: (0, 96, 60, 80, 0, track).
C4 = ' "MTrk" 0000000B  00 90 3C 50  60 3C 00  00 FF 2F 00 '
EMPTY = ' "MTrk" 00000004  00 FF 2F 00 '


def track(events: str) -> str:
    """A whole track of events, with its length and its end."""
    body = dump(events) + dump("00 FF 2F 00")
    return f' "MTrk" {len(body):08X} {body.hex()} '


# System exclusive messages with a delta of 0.
GM_ON = " 00 F0 05 7E7F0901F7 "
GM2_ON = " 00 F0 05 7E7F0903F7 "
GS_RESET = " 00 F0 0A 4110421240007F0041F7 "
XG_ON = " 00 F0 08 43104C00007E00F7 "

ALLOWED = [
    Case(
        "xg_banks_127_and_126_are_drums_and_bank_0_is_not",
        ONE
        + track(
            XG_ON
            + """
            00 B2 00 7F  00 C2 00     # channel 3: bank 127, program 0
            00 B3 00 7E  00 C3 00     # channel 4: bank 126, sound effects
            00 B9 00 00  00 C9 00     # channel 10: bank 0
            00 92 24 50  60 24 00
            00 93 24 50  60 24 00
            00 99 3C 50  60 3C 00
            """
        ),
        [(0, 96, 36, 80, 2, 0), (96, 192, 36, 80, 3, 0), (192, 288, 60, 80, 9, 0)],
        parts=[(0, 0, 2, True), (0, 0, 3, True), (0, 0, 9, False)],
        drums=[0, 1],
        programs=[(0, 0, 2, 0), (0, 0, 3, 0), (0, 0, 9, 0)],
    ),
    Case(
        "xg_program_without_a_bank_leaves_channel_10_its_drums",
        ONE + track(XG_ON + "00 C9 08  00 99 24 50  60 24 00"),
        [(0, 96, 36, 80, 9, 0)],
    ),
    Case(
        "a_bank_says_nothing_without_a_system_that_defines_it",
        ONE + track("00 B2 00 7F  00 C2 00  00 B9 00 00  00 C9 00  00 92 3C 50  60 3C 00  00 99 24 50  60 24 00"),
        [(0, 96, 60, 80, 2, 0), (96, 192, 36, 80, 9, 0)],
    ),
    Case(
        "gm_and_gs_have_no_banks_of_drums",
        ONE
        + track(
            GS_RESET
            + "00 B2 00 7F  00 C2 00  00 92 3C 50  60 3C 00"
            + GM_ON
            + "00 B2 00 78  00 C2 00  00 92 3C 50  60 3C 00"
        ),
        [(0, 96, 60, 80, 2, 0), (96, 192, 60, 80, 2, 0)],
    ),
    Case(
        "gm2_banks_120_and_121",
        ONE
        + track(GM2_ON + "00 B2 00 78  00 C2 00  00 B9 00 79  00 C9 00  00 92 24 50  60 24 00  00 99 3C 50  60 3C 00"),
        [(0, 96, 36, 80, 2, 0), (96, 192, 60, 80, 9, 0)],
        parts=[(0, 0, 2, True), (0, 0, 9, False)],
        drums=[0],
    ),
    Case(
        "gs_use_for_rhythm_part",
        ONE
        + track(
            """
            00 F0 0A 411042124011150219F7       # block 1, channel 1: the second drum map
            00 F0 0A 41104212401015001BF7       # block 0, channel 10: melody
            00 F0 0A 41104212401A150110F7       # block A, channel 11
            00 90 24 50  60 24 00  00 99 3C 50  60 3C 00  00 9A 24 50  60 24 00
            """
        ),
        [(0, 96, 36, 80, 0, 0), (96, 192, 60, 80, 9, 0), (192, 288, 36, 80, 10, 0)],
        parts=[(0, 0, 0, True), (0, 0, 9, False), (0, 0, 10, True)],
        drums=[0, 2],
    ),
    Case(
        "xg_part_mode",
        ONE + track("00 F0 08 43104C08020702F7  00 92 24 50  60 24 00"),
        [(0, 96, 36, 80, 2, 0)],
        parts=[(0, 0, 2, True)],
        drums=[0],
    ),
    Case(
        "a_bank_is_latched_at_the_program_change",
        ONE
        + track(
            XG_ON
            + """
            00 B2 00 7F  00 92 3C 50  60 3C 00      # the bank alone: still a melody
            00 C2 00     00 92 24 50  60 24 00
            00 B2 00 00  00 92 26 50  60 26 00      # still drums
            """
        ),
        [(0, 96, 60, 80, 2, 0), (96, 192, 36, 80, 2, 0), (192, 288, 38, 80, 2, 0)],
        parts=[(96, 0, 2, True)],
        drums=[1, 2],
    ),
    Case(
        "a_system_on_resets_the_parts",
        ONE + track(XG_ON + "00 B2 00 7F  00 C2 00  00 92 24 50  60 24 00" + GM_ON + "00 C2 00  00 92 3C 50  60 3C 00"),
        [(0, 96, 36, 80, 2, 0), (96, 192, 60, 80, 2, 0)],
        parts=[(0, 0, 2, True), (96, 0, 2, False)],
        drums=[0],
    ),
    Case(
        "another_track_sets_up_before_the_notes_of_its_tick",
        TWO + track("60 92 24 50  60 24 00") + track("60 F0 08 43104C00007E00F7  00 B2 00 7F  00 C2 00"),
        [(96, 192, 36, 80, 2, 0)],
        parts=[(96, 1, 2, True)],
        drums=[0],
        programs=[(96, 1, 2, 0)],
    ),
    Case(
        "a_track_sets_up_in_the_order_of_its_events",
        ONE + track(XG_ON + "00 B2 00 7F  00 92 3C 50  00 C2 05  60 92 3C 00  00 92 24 50  60 24 00"),
        [(0, 96, 60, 80, 2, 0), (96, 192, 36, 80, 2, 0)],
        parts=[(1, 0, 2, True)],
        drums=[1],
        programs=[(1, 0, 2, 5)],
    ),
    Case(
        "format_2_sets_up_each_track_for_itself",
        '"MThd" 00000006 0002 0002 0060'
        + track(XG_ON + "00 B2 00 7F  00 C2 00  00 92 24 50  60 24 00")
        + track("00 B2 00 7F  00 C2 00  00 92 3C 50  60 3C 00"),
        [(0, 96, 36, 80, 2, 0), (0, 96, 60, 80, 2, 1)],
        parts=[(0, 0, 2, True)],
        drums=[0],
        format=2,
    ),
    Case(
        "reset_all_controllers_lifts_the_pedal",
        ONE + track("00 B0 40 7F  00 90 3C 50  60 3C 00  60 B0 79 00  60 B0 79 00"),
        [(0, 96, 60, 80, 0, 0)],
        pedals=[(0, 0, 0, True), (192, 0, 0, False)],
    ),
    Case(
        "ports_keep_notes_and_pedals_apart",
        ONE
        + track(
            """
            00 FF 21 01 00  00 B0 40 7F  00 90 3C 50
            00 FF 21 01 02  00 90 3C 40             # the same key of channel 1, on port 2
            30 FF 21 01 00  00 90 3C 00
            30 FF 21 01 02  00 90 3C 00
            00 FF 21 01 00  00 B0 40 00
            """
        ),
        [(0, 48, 60, 80, 0, 0), (0, 96, 60, 64, 32, 0)],
        pedals=[(0, 0, 0, True), (96, 0, 0, False)],
    ),
    Case(
        "device_names_are_ports",
        TWO
        + track('00 FF 09 01 "A"  00 B0 40 7F  00 90 3C 50  60 3C 00')
        + track('00 FF 09 01 "B"  00 90 3C 50  60 3C 00  00 99 24 50  60 24 00'),
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 16, 1), (96, 192, 36, 80, 25, 1)],
        pedals=[(0, 0, 0, True)],
        drums=[2],
    ),
    Case(
        "drums_of_a_port",
        TWO
        + track("00 FF 21 01 01" + XG_ON + "00 B2 00 7F  00 C2 00  00 92 24 50  60 24 00")
        + track("00 FF 21 01 00  00 B2 00 7F  00 C2 00  00 92 3C 50  60 3C 00"),
        [(0, 96, 36, 80, 18, 0), (0, 96, 60, 80, 2, 1)],
        parts=[(0, 0, 18, True)],
        drums=[0],
    ),
    Case(
        "all_notes_off_with_the_note_off_after_it",
        ONE + track("00 90 3C 50  60 B0 7B 00  60 90 3C 00"),
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "a_note_off_that_comes_late_does_not_end_a_note_struck_since",
        ONE + track("00 90 3C 50  60 B0 7B 00  00 90 3C 40  30 90 3C 00  30 90 3C 00"),
        [(0, 96, 60, 80, 0, 0), (96, 192, 60, 64, 0, 0)],
    ),
    Case(
        "all_sound_off_of_another_track",
        TWO
        + track("00 90 3C 50  60 90 3C 40  60 90 3C 00  00 90 3C 00")
        + track("60 B0 78 00"),  # before the note that is struck there
        [(0, 96, 60, 80, 0, 0), (96, 192, 60, 64, 0, 0)],
    ),
    Case(
        "names_of_tracks",
        TWO + track('00 FF 03 05 "Piano"  00 FF 03 01 "B"') + track("00 FF 03 02 E96E"),
        [],
        track_names=("Piano", "\xe9n"),  # Latin-1, as it is not UTF-8
    ),
    Case("plain", ONE + C4, [(0, 96, 60, 80, 0, 0)]),
    Case("header_only", '"MThd" 00000006 0001 0000 0060', []),
    Case("empty_track", ONE + EMPTY, []),
    Case("header_longer_than_6", '"MThd" 00000008 0001 0001 0060 ABCD' + C4, [(0, 96, 60, 80, 0, 0)]),
    Case("format_0", '"MThd" 00000006 0000 0001 0060' + C4, [(0, 96, 60, 80, 0, 0)], format=0),
    Case(
        "format_2_keeps_tempos_by_track",
        '"MThd" 00000006 0002 0002 0060'
        """
        "MTrk" 00000012
        00 FF 51 03 07A120      # 500000 microseconds per beat
        00 90 3C 50  60 3C 00
        00 FF 2F 00
        "MTrk" 00000012
        00 FF 51 03 0F4240      # 1000000
        00 90 3E 50  60 3E 00
        00 FF 2F 00
        """,
        [(0, 96, 60, 80, 0, 0), (0, 96, 62, 80, 0, 1)],
        tempos=[(0, 500000), (0, 1000000)],
        format=2,
    ),
    Case(
        "time_signatures_of_all_tracks_in_order_of_tick",
        TWO
        + """
        "MTrk" 0000001B
        00 FF 58 04 06031808    # 6/8
        60 FF 58 04 FF081808    # 255/256
        00 90 3C 50  60 3C 00
        00 FF 2F 00
        "MTrk" 0000000C
        30 FF 58 04 03012408    # 3/2
        00 FF 2F 00
        """,
        [(96, 192, 60, 80, 0, 0)],
        time_signatures=[(0, 6, 8, 0), (48, 3, 2, 1), (96, 255, 256, 0)],
    ),
    Case(
        "alien_chunks_anywhere",
        TWO + '"XFIH" 00000003 010203' + C4 + '"abcd" 00000000' + C4 + '"KMTr" 00000004 "MTrk"',
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
    ),
    Case(
        "rmid_wrapper",
        '"RIFF" 2D000000 "RMID" "data" 21000000' + ONE + C4 + "00" + '"LIST" 04000000 "INFO"',  # 33 bytes, a pad
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "rmid_wrapper_with_a_chunk_before_its_data",
        '"RIFF" 38000000 "RMID" "DISP" 05000000 0102030405 00 "data" 21000000' + ONE + C4,
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "sysex_in_continued_packets",
        ONE
        + """
        "MTrk" 0000001D
        00 90 3C 50
        00 F0 03 43 12 00       # begins, no F7 at its end
        30 F7 03 43 12 00       # goes on 48 ticks later
        30 F7 02 43 F7          # ends
        00 90 3C 00
        00 FF 2F 00
        """,
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "sysex_never_terminated",
        ONE + '"MTrk" 00000011  00 F0 03 43 12 00  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "escape_packet_with_any_bytes",
        ONE + '"MTrk" 00000010  00 F7 02 F8 90  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "mtrk_as_text_of_a_meta",
        ONE
        + """
        "MTrk" 00000017
        00 FF 03 08 "MTrk" 00000002     # a track name that looks like a track
        00 90 3C 50  60 3C 00  00 FF 2F 00
        """,
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "text_in_any_encoding",
        ONE + '"MTrk" 00000015  00 FF 01 06 FF00 80E3 82D0  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "meta_longer_than_its_definition",
        ONE
        + """
        "MTrk" 00000020
        00 FF 51 04 07A12055            # the standard: ignore everything past what you know
        00 FF 59 03 000055
        00 FF 59 02 F901                # seven flats, minor
        00 90 3C 50  60 3C 00
        00 FF 2F 00
        """,
        [(0, 96, 60, 80, 0, 0)],
        tempos=[(0, 500000)],
    ),
    Case(
        "unknown_meta",
        ONE + '"MTrk" 00000010  00 FF 60 01 00  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "end_of_track_with_a_payload",
        ONE + '"MTrk" 0000000C  00 90 3C 50  60 3C 00  00 FF 2F 01 00',
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "quantities_of_every_length",
        ONE
        + """
        "MTrk" 0000001B
        7F         90 3C 50     # 127
        81 00      3C 00        # + 128
        81 80 00   3C 50        # + 16384
        81 80 80 00 3C 00       # + 2097152
        80 80 80 00 FF 2F 80 00 # 0 in four bytes, 0 in two
        """,
        [(127, 255, 60, 80, 0, 0), (16639, 2113791, 60, 80, 0, 0)],
    ),
    Case(
        "ticks_beyond_32_bits",
        ONE
        + '"MTrk" 00000075  00 90 3C 50'
        + " FF FF FF 7F FF 01 00" * 15  # an empty text after the longest delta time there is
        + " 00 80 3C 00  00 FF 2F 00",
        [(0, 15 * 268435455, 60, 80, 0, 0)],
    ),
    Case(
        "division_of_32767",
        '"MThd" 00000006 0001 0001 7FFF' + C4,
        [(0, 96, 60, 80, 0, 0)],
        ticks_per_beat=32767,
    ),
    Case(
        "smpte_division",
        '"MThd" 00000006 0001 0001 E728' + C4,  # -25 frames per second, 40 ticks each: milliseconds
        [(0, 96, 60, 80, 0, 0)],
        ticks_per_beat=0,
        smpte=(25, 40),
    ),
    Case(
        "smpte_division_drop_frame",
        '"MThd" 00000006 0001 0001 E350' + C4,
        [(0, 96, 60, 80, 0, 0)],
        ticks_per_beat=0,
        smpte=(29, 80),
    ),
    Case(
        "tempos_of_all_tracks_in_order",
        TWO
        + """
        "MTrk" 0000001A
        00 FF 51 03 07A120
        81 40 FF 51 03 0493E0           # tick 192: 300000
        00 FF 51 03 061A80              # the same tick: the later one is last
        00 FF 2F 00
        "MTrk" 00000012
        60 FF 51 03 0F4240              # tick 96: 1000000, in the second track
        60 FF 51 03 000001              # tick 192: file order, after the first track's
        00 FF 2F 00
        """,
        [],
        tempos=[(0, 500000), (96, 1000000), (192, 300000), (192, 400000), (192, 1)],
    ),
    Case(
        "note_on_of_velocity_0_is_a_note_off",
        ONE + '"MTrk" 0000000C  00 90 3C 50  60 90 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "note_off_status_with_a_velocity",
        ONE + '"MTrk" 0000000C  00 90 3C 50  60 80 3C 40  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
    ),
    Case(
        "overlaps_pair_first_in_first_out",
        ONE
        + """
        "MTrk" 00000017
        00 90 3C 50     # first C4
        10 3C 51        # second C4 while the first sounds
        10 3C 52        # third
        10 3C 00        # ends the first: 0 to 48
        10 3C 00        # ends the second: 16 to 64
        10 3C 00        # ends the third: 32 to 80
        00 FF 2F 00
        """,
        [(0, 48, 60, 80, 0, 0), (16, 64, 60, 81, 0, 0), (32, 80, 60, 82, 0, 0)],
    ),
    Case(
        "zero_length_note",
        ONE + '"MTrk" 0000000B  10 90 3C 50  00 3C 00  00 FF 2F 00',
        [(16, 16, 60, 80, 0, 0)],
    ),
    Case(
        "off_before_on_at_one_tick",
        ONE + '"MTrk" 00000011  00 90 3C 50  60 3C 00  00 3C 51  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0), (96, 192, 60, 81, 0, 0)],
    ),
    Case(
        "on_before_off_at_one_tick",
        ONE + '"MTrk" 00000011  00 90 3C 50  60 3C 51  00 3C 00  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0), (96, 192, 60, 81, 0, 0)],
    ),
    Case(
        "one_pitch_on_two_channels",
        ONE
        + """
        "MTrk" 00000014
        00 90 3C 50
        10 91 3C 51
        10 80 3C 00     # channel 0: 0 to 32
        10 81 3C 00     # channel 1: 16 to 48
        00 FF 2F 00
        """,
        [(0, 32, 60, 80, 0, 0), (16, 48, 60, 81, 1, 0)],
    ),
    Case(
        "drums_are_notes_of_channel_9",
        ONE + '"MTrk" 0000000B  00 99 24 64  60 24 00  00 FF 2F 00',
        [(0, 96, 36, 100, 9, 0)],
    ),
    Case(
        "lowest_and_highest_pitch",
        ONE + '"MTrk" 00000011  00 90 00 01  00 7F 7F  60 00 00  00 7F 00  00 FF 2F 00',
        [(0, 96, 0, 1, 0, 0), (0, 96, 127, 127, 0, 0)],
    ),
    Case(
        "pedal_changes_of_state_only",
        ONE
        + """
        "MTrk" 0000001C
        00 B0 40 00     # up, as it starts
        10 40 40        # 64: down
        10 40 7F        # still down
        10 40 3F        # 63: up
        10 40 00        # still up
        10 B2 40 7F     # channel 2 down
        00 B0 41 7F     # portamento, not the pedal
        00 FF 2F 00
        """,
        [],
        pedals=[(16, 0, 0, True), (48, 0, 0, False), (80, 0, 2, True)],
    ),
    Case(
        "tracks_of_one_channel_share_its_pedal",
        TWO
        + """
        "MTrk" 0000000B
        00 B0 40 7F     # down
        60 40 7F        # at 96 once more, after the other track let it up
        00 FF 2F 00
        "MTrk" 0000000E
        10 B0 40 7F     # down as it is
        10 40 00        # at 32 up, though this track alone never saw a change
        60 40 00        # at 128 up for good
        00 FF 2F 00
        """,
        [],
        pedals=[(0, 0, 0, True), (32, 1, 0, False), (96, 0, 0, True), (128, 1, 0, False)],
    ),
    Case(
        "tracks_of_format_2_have_a_pedal_each",
        """
        "MThd" 00000006 0002 0002 0060
        "MTrk" 00000008
        00 B0 40 7F
        00 FF 2F 00
        "MTrk" 0000000B
        10 B0 40 7F
        10 40 00
        00 FF 2F 00
        """,
        [],
        format=2,
        pedals=[(0, 0, 0, True), (16, 1, 0, True), (32, 1, 0, False)],
    ),
    Case(
        "every_channel_message_keeps_its_length",
        ONE
        + """
        "MTrk" 0000001D
        00 A0 3C 10  00 B0 07 64  00 C0 05  00 D0 10  00 E0 00 40
        00 90 3C 50  60 3C 00
        00 FF 2F 00
        """,
        [(0, 96, 60, 80, 0, 0)],
    ),
]

STRUCTURE = [
    Case("header_cut_off", '"MThd" 00000006 0001 00', [], {"header_length": 1}, 11, ticks_per_beat=480),
    Case("header_name_only", '"MThd"', [], {"header_length": 1}, 4, ticks_per_beat=480),
    Case(
        "header_length_0_with_all_fields",
        '"MThd" 00000000 0001 0001 0060' + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"header_length": 1},
        4,
    ),
    Case(
        "header_length_4_without_division",
        '"MThd" 00000004 0001 0001' + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"header_length": 1},
        4,
        ticks_per_beat=480,
    ),
    Case(
        "header_length_past_the_file",
        '"MThd" 06000000 0001 0001 0060' + C4,  # little-endian
        [(0, 96, 60, 80, 0, 0)],
        {"header_length": 1},
        4,
    ),
    Case(
        "header_length_too_long_by_one",
        '"MThd" 00000007 0001 0001 0060' + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"header_length": 1},
        4,
    ),
    Case(
        "track_count_too_high",
        '"MThd" 00000006 0001 0005 0060' + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"track_count": 1},
        10,
    ),
    Case(
        "track_count_too_low",
        ONE + C4 + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_count": 1},
        10,
    ),
    Case(
        "track_count_zero",
        '"MThd" 00000006 0001 0000 0060' + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"track_count": 1},
        10,
    ),
    Case(
        "format_0_with_several_tracks",
        '"MThd" 00000006 0000 0002 0060' + C4 + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"format_0_tracks": 1},
        8,
        format=0,
    ),
    Case(
        "format_7",
        '"MThd" 00000006 0007 0001 0060' + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"unknown_format": 1},
        8,
    ),
    Case(
        "division_zero",
        '"MThd" 00000006 0001 0001 0000' + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"zero_division": 1},
        12,
        ticks_per_beat=480,
    ),
    Case(
        "smpte_division_of_an_unknown_rate",
        '"MThd" 00000006 0001 0001 E428' + C4,  # -28
        [(0, 96, 60, 80, 0, 0)],
        {"smpte_division": 1},
        12,
        ticks_per_beat=0,
        smpte=(29, 40),
    ),
    Case(
        "smpte_division_without_ticks",
        '"MThd" 00000006 0001 0001 E800' + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"smpte_division": 1},
        12,
        ticks_per_beat=0,
        smpte=(24, 40),
    ),
    Case(
        "macbinary_header",
        "00" * 128 + ONE + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"bytes_before_header": 1},
        0,
    ),
    Case(
        "rmid_data_longer_than_the_file",
        '"RIFF" 2D000000 "RMID" "data" 21FF0000' + ONE + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"wrapper_length": 1},
        16,
    ),
    Case(
        "rmid_data_of_length_0",
        '"RIFF" 2D000000 "RMID" "data" 00000000' + ONE + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"wrapper_length": 1},
        16,
    ),
    Case(
        "rmid_data_shorter_than_its_tracks",
        '"RIFF" 2D000000 "RMID" "data" 16000000' + TWO + C4 + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"wrapper_length": 1},
        16,
    ),
    Case("trailing_bytes_few", ONE + C4 + "00 00 1A", [(0, 96, 60, 80, 0, 0)], {"trailing_bytes": 1}, 33),
    Case("trailing_bytes_many", ONE + C4 + "00" * 95, [(0, 96, 60, 80, 0, 0)], {"trailing_bytes": 1}, 33),
    Case(
        "pad_byte_between_tracks",
        TWO + C4 + "00" + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"unknown_bytes": 1},
        33,
    ),
    Case(
        "junk_between_tracks",
        TWO + C4 + "DEADBEEF 00FF2F00 DEADBEEF" + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"unknown_bytes": 1},
        33,
    ),
    Case(
        "alien_chunk_longer_than_the_file",
        TWO + C4 + '"XFIH" 0000FFFF 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"unknown_bytes": 1},
        33,
    ),
    Case(
        "second_file_behind_the_first",
        ONE + C4 + '"MThd" 00000006 0001 0001 01E0' + C4,
        [(0, 96, 60, 80, 0, 0)],
        {"second_header": 1},
        33,
    ),
    Case(
        "track_header_cut_off",
        TWO + C4 + '"MTrk" 0000',
        [(0, 96, 60, 80, 0, 0)],
        {"trailing_bytes": 1, "track_count": 1},
        10,
    ),
    # ---- track lengths
    Case(
        "length_too_long_in_the_last_track",
        ONE + '"MTrk" 00002328  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"track_too_long": 1},
        18,
    ),
    Case(
        "length_of_gigabytes",
        ONE + '"MTrk" FFFFFFFF  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"track_too_long": 1},
        18,
    ),
    Case(
        "length_too_long_before_another_track",
        TWO + '"MTrk" 0000000F  00 90 3C 50  60 3C 00  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_long": 1},
        18,
    ),
    Case(
        "length_covers_the_next_track_too",
        TWO + '"MTrk" 0000001E  00 90 3C 50  60 3C 00  00 FF 2F 00' + C4,  # 11 + 8 + 11
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_long": 1},
        18,
    ),
    Case(
        "length_covers_the_next_track_and_no_end_of_track",
        TWO + '"MTrk" 0000001A  00 90 3C 50  60 3C 00' + C4,  # 7 + 8 + 11
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_long": 1, "missing_end_of_track": 1},
        18,
    ),
    Case(
        "length_too_long_and_no_end_of_track",
        TWO + '"MTrk" 00000009  00 90 3C 50  60 3C 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_long": 1, "missing_end_of_track": 1},
        18,
    ),
    Case(
        "length_too_short",
        TWO + '"MTrk" 00000004  00 90 3C 50  60 3C 00  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_short": 1},
        18,
    ),
    Case(
        "length_too_short_within_an_event",
        TWO + '"MTrk" 00000005  00 90 3C 50  60 3C 00  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_short": 1},
        18,
    ),
    Case(
        "length_without_the_end_of_track",
        TWO + '"MTrk" 00000007  00 90 3C 50  60 3C 00  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_short": 1},
        18,
    ),
    Case(
        "length_zero",
        TWO + '"MTrk" 00000000  00 90 3C 50  60 3C 00  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_short": 1},
        18,
    ),
    Case(
        "length_too_short_and_no_end_of_track",
        TWO + '"MTrk" 00000000  00 90 3C 50  60 3C 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_short": 1, "missing_end_of_track": 1},
        18,
    ),
    Case(
        "mtrk_as_text_under_a_wrong_length",
        TWO
        + """
        "MTrk" 00009999
        00 FF 01 0A "see MTrk.." # text: its MTrk leads nowhere
        00 90 3C 50  60 3C 00  00 FF 2F 00
        """
        + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_long": 1},
        18,
    ),
    Case(
        "mtrk_in_a_sysex_under_a_length_of_zero",
        TWO + '"MTrk" 00000000  00 F0 07 7D "MTrk" 00 F7  00 90 3C 50  60 3C 00  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_short": 1},
        18,
    ),
    Case(
        "missing_end_of_track",
        TWO + '"MTrk" 00000007  00 90 3C 50  60 3C 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"missing_end_of_track": 1},
        29,
    ),
    Case(
        "track_without_bytes",
        TWO + '"MTrk" 00000000' + C4,
        [(0, 96, 60, 80, 0, 1)],
        {"missing_end_of_track": 1},
        22,
    ),
    Case(
        "bytes_after_the_end_of_track",
        TWO + '"MTrk" 00000012  00 90 3C 50  60 3C 00  00 FF 2F 00  00 90 3C 50 60 3C 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"data_after_end_of_track": 1},
        33,
    ),
    Case(
        "cut_within_an_event",
        ONE + '"MTrk" 0000000B  00 90 3C 50  60 3C',
        [],
        {"track_too_long": 1, "truncated_event": 1, "unended_note": 1},
        18,
    ),
    Case(
        "cut_within_a_delta_time",
        ONE + '"MTrk" 0000000E  00 90 3C 50  60 3C 00  81',
        [(0, 96, 60, 80, 0, 0)],
        {"track_too_long": 1, "truncated_event": 1},
        18,
    ),
    Case(
        "event_cut_by_the_next_track",
        TWO + '"MTrk" 00000009  00 90 3C 50  60 3C 00  10 3C' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"truncated_event": 1},
        31,
    ),
    Case(
        "event_cut_by_the_next_track_under_a_wrong_length",
        TWO + '"MTrk" 0000000B  00 90 3C 50  60 3C 00  10 3C' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"track_too_long": 1, "truncated_event": 1},
        18,
    ),
    Case(
        "end_of_track_cut_short",
        ONE + '"MTrk" 0000000A  00 90 3C 50  60 3C 00  00 FF 2F',
        [(0, 96, 60, 80, 0, 0)],
        {"truncated_event": 1},
        32,
    ),
]

EVENTS = [
    Case(
        "delta_time_of_five_bytes",
        TWO + '"MTrk" 00000013  00 90 3C 50  60 3C 00  81 80 80 80 00 90 3E 50  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"long_quantity": 1},
        29,
    ),
    Case(
        "delta_time_of_five_bytes_in_a_track_that_covers_the_next",
        TWO + '"MTrk" 00000026  00 90 3C 50  60 3C 00  81 80 80 80 00 90 3E 50  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"long_quantity": 1, "track_too_long": 1},
        18,
    ),
    Case(
        "meta_length_of_five_bytes",
        TWO + '"MTrk" 0000000F  00 90 3C 50  60 3C 00  00 FF 01 FF FF FF FF 7F' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"long_quantity": 1},
        32,
    ),
    Case(
        "sysex_length_of_five_bytes",
        TWO + '"MTrk" 0000000E  00 90 3C 50  60 3C 00  00 F0 FF FF FF FF 7F' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"long_quantity": 1},
        31,
    ),
    Case(
        "meta_longer_than_the_track",
        TWO + '"MTrk" 00000010  00 90 3C 50  60 3C 00  00 FF 03 30 41  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"payload_past_end": 1},
        32,
    ),
    Case(
        "meta_longer_than_its_track_but_not_than_the_file",
        TWO + '"MTrk" 00000010  00 90 3C 50  60 3C 00  00 FF 03 0B 41  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"payload_past_end": 1},
        32,
    ),
    Case(
        "meta_longer_than_a_track_of_wrong_length",
        TWO + '"MTrk" 00000001  00 90 3C 50  60 3C 00  00 FF 03 10 41  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"payload_past_end": 1, "track_too_short": 1},
        18,
    ),
    Case(
        "meta_longer_than_a_track_that_covers_the_next",
        TWO + '"MTrk" 00000023  00 90 3C 50  60 3C 00  00 FF 03 7F 41  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"payload_past_end": 1, "track_too_long": 1},
        18,
    ),
    Case(
        "sysex_longer_than_the_track",
        TWO + '"MTrk" 00000010  00 90 3C 50  60 3C 00  00 F0 87 68 43  00 FF 2F 00' + C4,
        [(0, 96, 60, 80, 0, 0), (0, 96, 60, 80, 0, 1)],
        {"payload_past_end": 1},
        31,
    ),
    Case(
        "data_without_status",
        ONE + '"MTrk" 0000000F  05 3C 50 00 3E  90 3C 50  60 3C 00  00 FF 2F 00',
        [(5, 101, 60, 80, 0, 0)],  # the delta time before the stray bytes counts
        {"data_without_status": 1},
        23,
    ),
    Case(
        "running_status_survives_meta",
        ONE + '"MTrk" 00000010  00 90 3C 50  00 FF 01 01 41  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"running_status_kept": 1},
        32,
    ),
    Case(
        "running_status_survives_sysex",
        ONE + '"MTrk" 00000012  00 90 3C 50  00 F0 04 7E7F09F7  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"running_status_kept": 1},
        34,
    ),
    Case(
        "system_messages",
        ONE
        + """
        "MTrk" 00000025
        00 90 3C 50
        00 F1 05  00 F2 01 02  00 F3 07         # with the data MIDI gives them
        00 F4  00 F5  00 F6  00 F8  00 F9  00 FA  00 FC  00 FE
        60 3C 00                                # running status survives them
        00 FF 2F 00
        """,
        [(0, 96, 60, 80, 0, 0)],
        {"system_message": 11},
        27,
    ),
    Case(
        "system_messages_without_data",
        ONE + '"MTrk" 00000011  00 F1  00 F2  00 F3  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"system_message": 3},
        23,
    ),
    Case(
        "controller_value_above_127",
        ONE + '"MTrk" 0000000F  00 B0 07 C8  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"data_above_127": 1},
        25,
    ),
    Case(
        "controller_number_above_127",
        ONE + '"MTrk" 0000000F  00 B0 C8 07  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"data_above_127": 1},
        24,
    ),
    Case(
        "pedal_value_above_127_is_no_pedal",
        ONE + '"MTrk" 00000008  00 B0 40 FF  00 FF 2F 00',
        [],
        {"data_above_127": 1},
        25,
    ),
    Case(
        "program_and_bend_above_127",
        ONE + '"MTrk" 00000012  00 C0 FF  00 E0 00 80  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"data_above_127": 2},
        24,
    ),
    Case(
        "pitch_above_127",
        ONE + '"MTrk" 00000012  10 90 BC 50  10 3C 50  60 3C 00  00 80 BC 00  00 FF 2F 00',
        [(32, 128, 60, 80, 0, 0)],  # the dropped note's delta time counts
        {"pitch_above_127": 2},
        24,
    ),
    Case(
        "velocity_above_127",
        ONE + '"MTrk" 0000000B  00 90 3C 80  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 127, 0, 0)],
        {"data_above_127": 1},
        25,
    ),
    Case(
        "meta_type_above_127",
        ONE + '"MTrk" 00000011  00 FF 90 02 3C50  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"meta_type_above_127": 1},
        24,
    ),
    Case(
        "tempo_of_two_bytes",
        ONE + '"MTrk" 00000011  00 FF 51 02 07A1  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"short_meta": 1},
        25,
    ),
    Case(
        "key_signature_of_no_bytes",
        ONE + '"MTrk" 0000000F  00 FF 59 00  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"short_meta": 1},
        25,
    ),
    Case(
        "time_signature_and_smpte_offset_too_short",
        ONE + '"MTrk" 00000016  00 FF 58 01 04  00 FF 54 02 0102  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"short_meta": 2},
        25,
    ),
    Case(
        "absurd_key_signature",
        ONE + '"MTrk" 00000011  00 FF 59 02 0802  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"absurd_signature": 1},
        26,
    ),
    Case(
        "absurd_time_signatures",
        ONE + '"MTrk" 0000001B  00 FF 58 04 00021808  00 FF 58 04 04FF1808  00 90 3C 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"absurd_signature": 2},
        26,
    ),
    Case(
        "tempo_zero",
        ONE + '"MTrk" 00000019  00 FF 51 03 000000  00 90 3C 50  60 3C 00  00 FF 51 03 07A120  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"zero_tempo": 1},
        26,
        tempos=[(96, 500000)],
    ),
    Case(
        "stray_note_off",
        ONE + '"MTrk" 00000012  00 80 3C 40  00 90 3C 50  60 3C 00  00 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0)],
        {"stray_note_off": 2},
        23,
    ),
    Case(
        "note_without_note_off",
        ONE + '"MTrk" 0000000E  00 90 3C 50  00 40 50  60 3C 00  00 FF 2F 00',
        [(0, 96, 60, 80, 0, 0), (0, 96, 64, 80, 0, 0)],
        {"held_to_end": 1},
        27,  # the note-on that only the end of the track ends
    ),
    Case(
        "chord_held_to_the_end_of_its_track",
        ONE + '"MTrk" 0000000F  00 90 3C 50  00 40 50  30 43 50  8C 00 FF 2F 00',  # 12 * 128 = 1536: 16 beats
        [(48, 1584, 67, 80, 0, 0)],
        {"held_to_end": 1, "unended_note": 2},  # two of them would last longer than 16 beats
        23,
    ),
    Case(
        "held_note_struck_again",
        ONE + track("00 90 3C 50  60 90 3C 40  60 90 40 50  60 90 40 00"),
        [(96, 288, 60, 64, 0, 0), (192, 288, 64, 80, 0, 0)],
        {"held_to_end": 1, "unended_note": 1},
        23,
    ),
    Case(
        "held_note_struck_again_in_another_track",
        TWO + track("00 90 3C 50  60 90 40 50  60 90 40 00") + track("70 90 3C 50  60 90 3C 00"),
        [(96, 192, 64, 80, 0, 0), (112, 208, 60, 80, 0, 1)],
        {"unended_note": 1},
        23,
    ),
    Case(
        "held_note_where_the_end_of_the_track_is_missing",
        ONE + '"MTrk" 0000000A  00 90 3C 50  00 40 50  60 3C 00',
        [(0, 96, 60, 80, 0, 0)],
        {"unended_note": 1, "missing_end_of_track": 1},
        27,
    ),
    Case(
        "held_note_in_smpte_time",
        '"MThd" 00000006 0001 0001 E728'  # 25 frames of 40 ticks: 8 seconds are 8000 ticks
        '"MTrk" 0000000C  00 90 3C 50  01 40 50  BE 40 FF 2F 00',
        [(1, 8001, 64, 80, 0, 0)],
        {"held_to_end": 1, "unended_note": 1},
        23,
        ticks_per_beat=0,
        smpte=(25, 40),
    ),
    Case(
        "all_notes_off_for_note_offs",
        ONE + track("00 90 3C 50  00 91 3C 50  60 B0 7B 00  00 90 3C 40  60 B0 78 00  00 91 3C 00"),
        [(0, 96, 60, 80, 0, 0), (0, 192, 60, 80, 1, 0), (96, 192, 60, 64, 0, 0)],
        {"all_notes_off": 2},
        23,
    ),
    Case(
        "all_notes_off_of_another_track",
        TWO + track("00 90 3C 50  60 90 3C 40  60 90 3C 00") + track("30 B0 7B 00"),
        [(0, 48, 60, 80, 0, 0), (96, 192, 60, 64, 0, 0)],
        {"all_notes_off": 1},
        23,
    ),
    Case(
        "notes_do_not_end_in_another_track",
        TWO + '"MTrk" 00000008  00 90 3C 50  00 FF 2F 00' + '"MTrk" 00000008  60 80 3C 00  00 FF 2F 00',
        [],
        {"unended_note": 1, "stray_note_off": 1},
        23,
    ),
]

CASES = ALLOWED + STRUCTURE + EVENTS
