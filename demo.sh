#!/bin/sh
# The whole path, from nothing to music. `make demo` sets up the commands and calls this.
set -eu
step() { printf '\n\033[1m%s\033[0m\n' "$1"; }

step "1/5  Music at once, by a model that comes with the package"
seq2seq generate chorales --seed 1 --output-dir demo/chorales

step "2/5  The sample pack: 156 MIDI files, 12 keys by 13 scales"
[ -d demo/midi ] || rollcore make-chords demo/midi

step "3/5  MIDI files -> piano-roll dataset, 4 steps a beat, with onsets"
[ -f demo/chords.h5 ] || rollcore build-dataset demo/midi demo/chords.h5
rollcore info demo/chords.h5

step "4/5  Train a model on it"
[ -f demo/run/best.keras ] || seq2seq train demo/chords.h5 --run-dir demo/run --epochs 4 --input-frames 32 \
    --target-frames 64 --units 48 --batch-size 4 --learning-rate 0.005 --transpose 0

step "5/5  Generate: three pieces of 16 bars, each the best of four"
seq2seq generate demo/run --bars 16 --num-outputs 3 --candidates 4 --seed 7 --output-dir demo/generated

cat > demo/index.html <<'END'
<!doctype html><html lang="en"><meta charset="utf-8"><title>rollcore: the demo</title>
<style>body { font-family: sans-serif; margin: 1em } iframe { width: 100%; height: 45vh; border: 1px solid #888 }</style>
<h2>By a model that comes with the package</h2><iframe title="chorale" src="chorales/chorales-seed1.html"></iframe>
<h2>By the model that the demo trained</h2><iframe title="demo" src="generated/run-best-of-4-seed7.html"></iframe></html>
END

step "Done"
cat <<'END'
  demo/index.html    the page to open: a chorale by a model of the package, and the music of the model just trained
  demo/chorales/     the chorale: .mid for a score editor, .png, .wav
  demo/generated/    the new music, likewise
  demo/midi/         the 156 files the model learnt from
  demo/chords.h5     the dataset           .venv/bin/rollcore info demo/chords.h5
  demo/run/          the model, its metrics and its loss curves

Next, with your own files:
  .venv/bin/rollcore build-dataset ~/midi my.h5
  .venv/bin/seq2seq train my.h5 --run-dir runs/mine
  .venv/bin/seq2seq generate runs/mine --output-dir generated
END
