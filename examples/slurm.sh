#!/usr/bin/env bash
#SBATCH --job-name=brushbench
#SBATCH --array=1-8
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --output=%x-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120

# Generate the shards of a run as a SLURM array, then score and report them in one last job. On the login node:
#
#     OUTPUT=runs bash examples/slurm.sh --method brushnet --root /data/BrushBench --device cuda
#
# The arguments are those of `brushbench generate`. The output folder must be one that all nodes see. Another number of
# shards: SBATCH_ARRAY_INX=1-32. Shards 3 and 5 of eight once more: SBATCH_ARRAY_INX=3,5 SHARDS=8.

set -euo pipefail
output=${OUTPUT:-runs}

if [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then
    array=$(sbatch --parsable "$0" "$@")
    place=$(printf %q "$output")
    # Each shard has ended, one way or another; `status` comes last, as its exit code says whether the run is complete.
    env -u SBATCH_ARRAY_INX sbatch --parsable --dependency="afterany:${array%%;*}" --job-name=brushbench-report \
        --gpus=1 --cpus-per-task=4 --mem=32G --time=02:00:00 --requeue --output=%x-%j.log --open-mode=append --wrap \
        "python -m brushbench score $place && python -m brushbench report $place; python -m brushbench status $place"
    exit
fi

shard="$SLURM_ARRAY_TASK_ID/${SHARDS:-$SLURM_ARRAY_TASK_COUNT}"
python -m brushbench generate "$@" --output "$output" --shard "$shard" --allow-partial &
process=$!

# SIGTERM ends brushbench as Ctrl-C does: it stores the images that it has generated. SLURM sends USR1 two minutes before
# the time limit, and then the task must ask for more time itself. It sends TERM when it preempts a task, which it
# requeues itself, and when a user cancels one, which must not come back.
requeue=
trap 'requeue=yes; kill -TERM "$process" || true' USR1
trap 'kill -TERM "$process" || true' TERM

code=0
wait "$process" || code=$?
while kill -0 "$process" 2>/dev/null; do
    # A signal ends `wait`, not the process.
    code=0
    wait "$process" || code=$?
done
if [ "$code" -ge 128 ] && [ -n "$requeue" ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
