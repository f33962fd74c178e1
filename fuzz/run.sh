#!/bin/sh
# Fuzz parse + quantise + paint under AddressSanitizer and UndefinedBehaviorSanitizer.
# Usage: sh fuzz/run.sh [RUNS] [libFuzzer options]; a finding is left in build/fuzz/ and ends with exit code 77 or 1.
set -eu
cd "$(dirname "$0")/.."
runs=${1:-10000000}
[ $# -gt 0 ] && shift
CLANG=${CLANG:-clang}
command -v "$CLANG" >/dev/null || {
  echo "error: fuzzing needs clang with libFuzzer (package clang); set CLANG= to name it" >&2
  exit 2
}
out=build/fuzz
mkdir -p "$out/corpus" "$out/seeds"

for module in _smf _roll; do
  python -m cython -3 -X boundscheck=False,wraparound=False,initializedcheck=False,cdivision=True \
    "src/rollcore/$module.pyx" -o "$out/$module.c"
done
# Only the kernels are instrumented for coverage, not Cython's glue around them.
printf 'src:*\nfun:__pyx_f_8rollcore_*\n' >"$out/kernels.txt"
include=$(python -c 'import sysconfig; print(sysconfig.get_path("include"))')
for unit in parse target; do
  "$CLANG" -c -g -O2 -w -fno-strict-aliasing -fno-omit-frame-pointer -I"$out" -I"$include" \
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-sanitize=function \
    -fsanitize-coverage-allowlist="$out/kernels.txt" "fuzz/$unit.c" -o "$out/$unit.o"
done
# The interpreter is never started; only the names that Cython's glue mentions must resolve.
python - "$out/libs" <<'PY'
import sys
import sysconfig
get = sysconfig.get_config_var
open(sys.argv[1], "w").write(f"-L{get('LIBDIR')} -L{get('LIBPL')} -lpython{get('LDVERSION')} -Wl,-rpath,{get('LIBDIR')} {get('LIBS')} -lm")
PY
# shellcheck disable=SC2046
"$CLANG" -fsanitize=fuzzer,address,undefined "$out/parse.o" "$out/target.o" $(cat "$out/libs") -o "$out/target"
python fuzz/seeds.py "$out/seeds"

export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1:malloc_context_size=0:quarantine_size_mb=4
exec "$out/target" -runs="$runs" -max_len=600 -seed=1 -dict=fuzz/smf.dict -artifact_prefix="$out/" \
  -print_final_stats=1 -timeout=60 -malloc_limit_mb=64 "$@" "$out/corpus" "$out/seeds"
