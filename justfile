# The ten commands of a developer, in an environment made by `python -m pip install --group dev -e .`
# `just` lists them. CI runs the same through tox, each in an environment of its own.

# Two cores: tiny models are slower with more threads.
pytest := "OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 python -m pytest"

_list:
    @just --list --unsorted

# All tests but the slow ones, on three processes
test *ARGS:
    {{ pytest }} -n 3 --dist loadgroup -m "not slow and not compiles" {{ ARGS }}

# One file of tests, or one test: just one tests/test_metrics_pixel.py -k ssim
one FILE *ARGS:
    {{ pytest }} -q {{ FILE }} {{ ARGS }}

# The tests that take more than half a minute each
slow *ARGS:
    {{ pytest }} -m "slow and not compiles and not pipelines" {{ ARGS }}

# Format, lint, and check which way imports go
lint:
    ruff format .
    ruff check .
    lint-imports

# Check types (mypy, strict)
type:
    mypy

# Write the pages and pictures that are generated
pages:
    python docs/checkpoints.py > docs/checkpoints.md
    python docs/pipelines.py > docs/pipelines.md
    python docs/architecture.py > docs/architecture.svg
    python benchmarks/gpu.py --table

# A benchmark by its name: just benchmark report --repeat 3
benchmark NAME *ARGS:
    python benchmarks/{{ NAME }}.py {{ ARGS }}

# Write the golden tables of reports again, after a change that is meant to change them
golden:
    python tests/report_goldens.py

# Run a method on eight scenes of PaperCut: just run telea
run METHOD="brushnet" *ARGS:
    python -m brushbench run --method {{ METHOD }} --dataset papercut --limit 8 {{ ARGS }}

# Build wheel and source archive into dist/
build:
    python -m hatchling build
