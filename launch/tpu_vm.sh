#!/usr/bin/env bash
# One run on a TPU slice of Compute Engine (v5p, v6e, TPU7x), on every VM of the managed instance group
# that forms the slice; start it from a machine that has gcloud.
#
#   GROUP=NAME ZONE=ZONE launch/tpu_vm.sh --config simclr/imagenet --workdir DIR [--config.key=value ...]
#
# Every VM has this checkout in ~/ssljax with an environment in it (python3 -m venv .venv, then
# .venv/bin/pip install --editable '.[tpu]'); DIR and the data lie on a disk that they share or in a bucket.
# Ctrl-C or SIGTERM here lets the run save its state and end with 143.
set -euo pipefail

fail() {
  echo "launch/tpu_vm.sh: $1" >&2
  exit 2
}

[[ -n "${GROUP:-}" ]] || fail "set GROUP to the managed instance group that forms the slice."
[[ -n "${ZONE:-}" ]] || fail "set ZONE to the zone of the slice, such as us-central2-b."
(($# > 0)) || fail "after the script come the run's options, at least --config and --workdir."
command -v gcloud >/dev/null || fail "gcloud is not installed on this machine."

listed=$(gcloud compute instance-groups managed list-instances "$GROUP" --zone "$ZONE" --format 'value(name)')
mapfile -t vms < <(grep . <<<"$listed")
((${#vms[@]} > 0)) || fail "the group $GROUP in $ZONE has no VMs."

on() { gcloud compute ssh "$1" --zone "$ZONE" --command "$2"; }
# shellcheck disable=SC2329  # The trap calls it.
stop() {
  told=1
  for vm in "${vms[@]}"; do
    # The brackets keep the pattern from finding the shell that carries it.
    on "$vm" "pkill --signal TERM --oldest --full '[s]sljax.main'" || true
  done
}

# JAX finds the coordinator and the number of processes in the VMs' metadata, and waits until all have come.
started=()
for vm in "${vms[@]}"; do
  on "$vm" "cd ssljax && exec .venv/bin/python -m ssljax.main --distributed$(printf ' %q' "$@")" &
  started+=($!)
done
trap stop TERM INT
status=0
for process in "${started[@]}"; do
  # A signal ends `wait` before the process has ended: wait again.
  while told='' code=0; wait "$process" || code=$?; [[ -n "$told" ]]; do :; done
  ((code <= status)) || status=$code
done
exit "$status"
