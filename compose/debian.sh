# shellcheck shell=bash
# Installing Debian packages without changing how the machine behaves; sourced by compose/quickstart and tests/run.
#
# Packages that bring daemons start them on installation, and Postgres creates a cluster. Both are prevented while
# we install, and what prevents them is taken away again.

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Runs a command as root.
as_root() {
  if [[ $EUID -eq 0 ]]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "this needs root, and sudo is not installed: $*"
  fi
}

# Installs the packages among the arguments that are not installed yet.
install_packages() {
  local package missing=()
  for package in "$@"; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done
  [[ ${#missing[@]} -eq 0 ]] && return
  command -v apt-get >/dev/null || fail "please install ${missing[*]}; only Debian and its relatives are done here"
  say "installing ${missing[*]}"
  as_root bash -s -- "${missing[@]}" <<'AS_ROOT'
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.conf
saved=$(mktemp)
restore() {
  if [[ -e $policy.portcullis ]]; then rm -f "$policy" "$policy.portcullis"; fi
  if [[ -s $saved ]]; then cp "$saved" "$cluster"; fi
  rm -f "$saved"
}
trap restore EXIT
if [[ ! -e $policy ]]; then
  touch "$policy.portcullis"
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
get() { apt-get -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -qq "$@" >/dev/null; }
get update
for package in "$@"; do
  if [[ $package == postgresql ]]; then
    get install --yes --no-install-recommends postgresql-common
    cp "$cluster" "$saved"
    echo 'create_main_cluster = false' >>"$cluster"
  fi
done
get install --yes --no-install-recommends "$@"
AS_ROOT
}

# Makes sure that there is a Rust toolchain and a linker for it.
need_rust() {
  PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  command -v cargo >/dev/null ||
    fail "cargo is missing: install a Rust toolchain (1.94 or newer) with rustup, then start again"
  command -v cc >/dev/null || install_packages gcc libc6-dev
}
