#!/usr/bin/env bash
# Starts several processes of one run on this machine, such as one a GPU, or to try a pod out on a CPU.
#
#   launch/local.sh PROCESSES --config configs/simclr/cifar10.py --workdir DIR [--config.key=value ...]
#
# PORT (default 12321) is the coordinator's. On a CPU, DEVICES=N simulates N devices in each process.
set -euo pipefail
processes=$1
shift
export JAX_COORDINATOR_ADDRESS="localhost:${PORT:-12321}" JAX_NUM_PROCESSES="$processes"
if [[ -n "${DEVICES:-}" ]]; then
  export XLA_FLAGS="${XLA_FLAGS:-} --xla_force_host_platform_device_count=$DEVICES"
fi
started=()
for ((process = 0; process < processes; process++)); do
  JAX_PROCESS_ID=$process python -m ssljax.main "$@" &
  started+=($!)
done
# SIGTERM reaches every process: each saves its part, and the run can go on later.
trap 'kill -TERM "${started[@]}" 2>/dev/null || true' TERM INT
status=0
for process in "${started[@]}"; do
  wait "$process" || status=$?
done
exit "$status"
