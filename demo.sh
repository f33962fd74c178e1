#!/bin/sh
# The whole path, from nothing to music. `make demo` sets up the commands and calls this.
set -eu
step() { printf '\n\033[1m%s\033[0m\n' "$1"; }

step "1/4  The sample pack: 156 MIDI files of every scale's own chords"
[ -d demo/midi ] || rollcore make-chords demo/midi

step "2/4  MIDI files -> piano-roll dataset, 4 steps per beat, with onsets"
[ -f demo/chords.h5 ] || rollcore build-dataset demo/midi demo/chords.h5
rollcore info demo/chords.h5

step "3/4  Train: 32 steps in, the next 64 out"
[ -f demo/run/best.keras ] || seq2seq-train demo/chords.h5 --run-dir demo/run --epochs 4 --input-frames 32 \
    --target-frames 64 --units 48 --learning-rate 0.005

step "4/4  Generate: three pieces of 32 beats"
seq2seq-generate demo/run --steps 128 --num-outputs 3 --seed 7 --output-dir demo/generated

step "Done"
cat <<'END'
  demo/midi/         the 156 files it learnt from
  demo/chords.h5     the dataset           .venv/bin/rollcore info demo/chords.h5
  demo/run/          the model, its metrics and its loss curves
  demo/generated/    the music: open run-seed7.html to see and hear it; .mid files for a score editor

Next, with your own files:
  .venv/bin/rollcore build-dataset ~/midi my.h5
  .venv/bin/seq2seq-train my.h5 --run-dir runs/mine
  .venv/bin/seq2seq-generate runs/mine --steps 128 --output-dir generated
END
