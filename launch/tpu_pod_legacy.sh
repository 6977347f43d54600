#!/usr/bin/env bash
# Legacy: one run on a slice made with the Cloud TPU API, whose development has ended and which has no TPU7x.
# Use xpk.sh (Kubernetes) or tpu_vm.sh (Compute Engine) for anything new.
#
#   TPU=NAME ZONE=ZONE launch/tpu_pod_legacy.sh --config simclr/imagenet --workdir DIR [--config.key=value ...]
#
# Every host has this checkout in ~/ssljax with an environment in it (python3 -m venv .venv, then
# .venv/bin/pip install --editable '.[tpu]'); DIR and the data lie on a disk that they share or in a bucket.
set -euo pipefail

fail() {
  echo "launch/tpu_pod_legacy.sh: $1" >&2
  exit 2
}

[[ -n "${TPU:-}" ]] || fail "set TPU to the name of the slice."
[[ -n "${ZONE:-}" ]] || fail "set ZONE to the zone of the slice, such as us-central2-b."
(($# > 0)) || fail "after the script come the run's options, at least --config and --workdir."
command -v gcloud >/dev/null || fail "gcloud is not installed on this machine."

gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all \
  --command "cd ssljax && exec .venv/bin/python -m ssljax.main --distributed$(printf ' %q' "$@")"
