#!/bin/bash
# Installs what packaging/packages.txt lists and the machine lacks; without an apt call where nothing is missing.
# OPTIONAL=1 installs the optional section too. Needs root or sudo only if something is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

section() { awk -v want="[$1]" '/^\[/ { here = ($0 == want); next } here && NF && !/^#/ { print $1 }' packaging/packages.txt; }

if ! command -v dpkg-query >/dev/null; then
  echo "setup: not a Debian system; install the equivalents of packaging/packages.txt yourself" >&2
  exit 0
fi

wanted=$(section required)
if [ "${OPTIONAL:-0}" = 1 ]; then wanted+=$'\n'$(section optional); fi
# shellcheck disable=SC2086
installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | awk '$1 == "installed" { print $2 }' || true)
missing=$(comm -23 <(sort -u <<<"$wanted") <(sort -u <<<"$installed") | tr '\n' ' ')
if [ -z "${missing// /}" ]; then exit 0; fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "setup: run as root, or install: $missing" >&2; exit 1; }
  as_root=(sudo)
fi

# Packages that bring a service (redis-server) must not start it: it would take the port that Ashlar serves.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi

echo "setup: installing $missing"
"${as_root[@]}" apt-get update -qq
# shellcheck disable=SC2086
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing </dev/null
if [[ " $missing" == *" redis-server "* ]] && [ -d /run/systemd/system ]; then
  "${as_root[@]}" systemctl disable --quiet redis-server || true
fi
