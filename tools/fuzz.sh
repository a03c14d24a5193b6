#!/bin/bash
# Runs each libFuzzer program of a build directory for SECONDS_EACH (60). New inputs stay in the build directory, next
# to a crasher's reproducer; copy what is worth keeping into the target's corpus folder beside its source.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/fuzz}
found=0
for source in $(git ls-files 'ashlar/*_fuzz.cc'); do
  name=$(basename "$source" .cc)
  fuzzer=$(find "$build/modules" -type f -name "$name" -perm -u+x | head -1)
  [ -n "$fuzzer" ] || { echo "$name: not built in $build" >&2; exit 1; }
  found=$((found + 1))
  corpus=$(find ashlar -type d -path "*/corpus/$name")
  [ -n "$corpus" ] || { echo "$name: no corpus" >&2; exit 1; }
  mkdir -p "$build/corpus/$name"
  echo "== $name"
  "$fuzzer" -max_total_time="${SECONDS_EACH:-60}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$build/corpus/$name-" "$build/corpus/$name" "$corpus" 2>&1 | tail -n 8
done
echo "$found fuzz targets ran"
