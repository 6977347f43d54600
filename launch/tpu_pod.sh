#!/usr/bin/env bash
# Starts one run on all hosts of a Cloud TPU pod; run it from a machine that has gcloud.
#
#   TPU=NAME ZONE=ZONE launch/tpu_pod.sh --config configs/simclr/imagenet.py --workdir DIR
#
# The hosts need this checkout in ~/ssljax, with `pip install '.[tpu]'` done in it, and DIR on a disk they share.
set -euo pipefail
: "${TPU:?set TPU to the name of the pod}" "${ZONE:?set ZONE to its zone}"
gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker=all \
  --command "cd ssljax && python3 -m ssljax.main --distributed $(printf '%q ' "$@")"
