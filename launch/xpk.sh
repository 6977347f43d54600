#!/usr/bin/env bash
# One run on Google Kubernetes Engine, on TPUs (v4 to TPU7x) or GPUs (A3, A4), by XPK (pip install xpk).
#
#   launch/xpk.sh --cluster=CLUSTER --workload=NAME --docker-image=IMAGE --tpu-type=v6e-16 [--num-slices=2] \
#     -- --config simclr/imagenet --workdir DIR [--config.key=value ...]
#
# What stands before the -- goes to `xpk workload create`, what follows it to the run; for GPUs say
# --device-type=h100-mega-80gb-8 --num-nodes=2. IMAGE is made from launch/Dockerfile. DIR and the data lie
# on a disk that all hosts share or in a bucket (`xpk storage attach`, then --storage=NAME).
#
# XPK starts a run again that was terminated (143, its state is saved) or has crashed (127 to 255), up to
# --max-restarts times, and gives up on one that diverged (1) or was started with wrong options (2).
set -euo pipefail

fail() {
  echo "launch/xpk.sh: $1" >&2
  exit 2
}

# The command begins with `exec`, since XPK passes SIGTERM to its child alone.
#
# XPK copies it into a manifest, for GPUs also between double quotes of YAML, and Kubernetes
# replaces $(NAME) in it. Bash and YAML both read \xNN, so all but plain characters are written so.
quote() {
  local LC_ALL=C character quoted='' i
  for ((i = 0; i < ${#1}; i++)); do
    character=${1:i:1}
    [[ "$character" == [a-zA-Z0-9_=./:,@%+-] ]] || printf -v character '\\x%02x' "'$character"
    quoted+=$character
  done
  if [[ "$quoted" == "$1" && -n "$1" ]]; then printf ' %s' "$1"; else printf " $'%s'" "$quoted"; fi
}

# XPK names the coordinator without its port, and the processes in words of its own. The nodes of A3 and A4
# bring NCCL's settings for the network between them.
# shellcheck disable=SC2016  # It is the container's shell that expands them.
gpu_setup='export JAX_COORDINATOR_ADDRESS=$JAX_COORDINATOR_ADDRESS:$JAX_COORDINATOR_PORT
JAX_NUM_PROCESSES=$NNODES JAX_PROCESS_ID=$NODE_RANK NCCL_LIB_DIR=/usr/local/nvidia/lib64
LD_LIBRARY_PATH=$LD_LIBRARY_PATH:/usr/local/gib/lib64;
for file in /usr/local/nvidia/lib64/nccl-env-profile.sh /usr/local/gib/scripts/set_nccl_env.sh;
do [ ! -r $file ] || . $file; done;'
gpu_setup=${gpu_setup//$'\n'/ }

options=() device='' image=''
while (($# > 0)) && [[ "$1" != -- ]]; do
  case $1 in
    --tpu-type=* | --device-type=*) device=${1#*=} ;;
    --tpu-type | --device-type) device=${2:-} ;;
    --docker-image | --docker-image=*) image=1 ;;
    --command | --command=*) fail "the command is the script's to give: put the run's options after a --." ;;
  esac
  options+=("$1")
  shift
done
(($# > 1)) || fail "between XPK's options and the run's stands a --, as in [...] -- --config FILE --workdir DIR."
shift
[[ -n "$image" ]] || fail "set --docker-image to an image made from launch/Dockerfile."

case $device in
  '') fail "set --tpu-type, such as v6e-16, or --device-type, such as h100-mega-80gb-8." ;;
  v[0-9]* | tpu*) command='exec python -m ssljax.main --distributed' ;;
  l4-* | a100-* | h100-* | h200-* | b200-* | gb200-*) command="$gpu_setup exec python -m ssljax.main" ;;
  *) fail "$device is neither a TPU, such as v6e-16, nor a GPU, such as h100-mega-80gb-8." ;;
esac
command -v xpk >/dev/null || fail "xpk is not installed: pip install xpk, in an environment of its own."

for argument in "$@"; do
  command+=$(quote "$argument")
done
exec xpk workload create --termination-grace-period-seconds=300 --max-restarts=50 "${options[@]}" --command="$command"
