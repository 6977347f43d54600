#!/usr/bin/env bash
# Several processes of one run on this machine: one a GPU, or on a CPU, to try out what a cluster does.
#
#   launch/local.sh PROCESSES --config simclr/cifar10 --workdir DIR [--config.key=value ...]
#
# PORT (12321 unless set) is the coordinator's. On a CPU, DEVICES=N simulates N devices a process.
set -euo pipefail

fail() {
  echo "launch/local.sh: $1" >&2
  exit 2
}

processes=${1:-}
[[ "$processes" =~ ^[1-9][0-9]*$ ]] ||
  fail "the first argument is the number of processes, as in launch/local.sh 2 --config FILE --workdir DIR."
shift
(($# > 0)) || fail "after the number of processes come the run's options, at least --config and --workdir."
[[ "${DEVICES:-1}" =~ ^[1-9][0-9]*$ ]] || fail "DEVICES=$DEVICES is not a number of devices."
command -v python >/dev/null || fail "there is no python on the PATH: activate the environment with ssljax in it."

export JAX_COORDINATOR_ADDRESS="localhost:${PORT:-12321}" JAX_NUM_PROCESSES="$processes"
if [[ -n "${DEVICES:-}" ]]; then
  export XLA_FLAGS="${XLA_FLAGS:-} --xla_force_host_platform_device_count=$DEVICES"
fi
started=()
for ((process = 0; process < processes; process++)); do
  # Without JAX_LOCAL_DEVICE_IDS each process would take every GPU.
  JAX_PROCESS_ID=$process JAX_LOCAL_DEVICE_IDS=$process python -m ssljax.main "$@" &
  started+=($!)
done
# Every process is told: each saves its part, and the run can go on later.
trap 'told=1; kill -TERM "${started[@]}" 2>/dev/null || true' TERM INT
status=0
for process in "${started[@]}"; do
  # A signal ends `wait` before the process has ended: wait again.
  while told='' code=0; wait "$process" || code=$?; [[ -n "$told" ]]; do :; done
  ((code <= status)) || status=$code
done
exit "$status"
