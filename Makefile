# What a person types, and what CI calls. Every target first makes (once) or finds the shared environment of dependencies
# (.ci/environment.py), and builds the native modules inside this checkout; nothing has to be prepared.
#
#   make demo        train a small TCN on the synthetic world, evaluate, export, index, query, report
#   make test        build with warnings as errors, lint, run the tests
#   make lint        ruff, mypy, clang-format
#   make format      let ruff and clang-format rewrite the files
#   make bench       pytest bench/
#   make gpu-check   the checks that need a CUDA device
#   make wheel       dist/*.whl
#   make clean       remove what was built in the checkout
#
# Settings: PYTHON (default python3), SKETCHFAST_CUDA=auto|0|1, TORCH_CUDA_ARCH_LIST, MAX_JOBS (compilers, and workers of the
# tests), PYTEST (more arguments).

PYTHON ?= python3
MAX_JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PYTEST ?=
NVCC := $(shell command -v nvcc 2>/dev/null || ls $${CUDA_HOME:-/usr/local/cuda}/bin/nvcc 2>/dev/null)
export MAX_JOBS

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.SILENT:
.PHONY: demo test lint format bench gpu-check wheel clean

ENTER = settings="$$($(PYTHON) .ci/environment.py)"; eval "$$settings"
BUILD = python setup.py --quiet build_ext --inplace
# Where nvcc is, the CUDA sources must compile, for the GPU the project is measured on unless another is named.
STRICT = SKETCHFAST_WERROR=1 SKETCHFAST_CUDA=$${SKETCHFAST_CUDA:-$(if $(NVCC),1,auto)} TORCH_CUDA_ARCH_LIST="$${TORCH_CUDA_ARCH_LIST:-9.0}"
CXX_FILES = find csrc -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh'
LINT = ruff check .; ruff format --check .; mypy; $(CXX_FILES) | xargs clang-format --dry-run -Werror

# Without a GPU the demo runs on the CPU, so CUDA code is not compiled for it unless SKETCHFAST_CUDA says so.
DEMO ?= runs/demo
demo:
	$(ENTER)
	SKETCHFAST_CUDA=$${SKETCHFAST_CUDA:-$(if $(shell command -v nvidia-smi),auto,0)} $(BUILD)
	python train/tcn.py demo --loop.out $(DEMO) --loop.resume --evaluation.export || { echo 'remove $(DEMO) to train the demo anew'; exit 1; }
	python -m sketchfast data synthetic $(DEMO)/pictures --unseen-only --overwrite
	python -m sketchfast index $(DEMO)/export $(DEMO)/pictures/photo --out $(DEMO)/index --overwrite
	python -m sketchfast query $(DEMO)/index $(DEMO)/pictures/sketch/horse/0.png --out $(DEMO)/results.png
	echo
	echo "report:   $(DEMO)/report.html"
	echo "results:  $(DEMO)/results.png"
	echo "now draw something and search with it:"
	echo "  eval \"\$$($(PYTHON) .ci/environment.py)\""
	echo "  python -m sketchfast query $(DEMO)/index my_sketch.png"

test:
	$(ENTER)
	$(STRICT) $(BUILD)
	python -m sketchfast info
	$(LINT)
	# A file's tests stay together, as its fixtures are made once. One thread each: two that share a core wait for each other.
	OMP_NUM_THREADS=1 python -m pytest -n $(MAX_JOBS) --dist loadfile $(PYTEST)

lint:
	$(ENTER)
	$(LINT)

format:
	$(ENTER)
	ruff check --fix --exit-zero --quiet .
	ruff format .
	$(CXX_FILES) | xargs clang-format -i

bench:
	$(ENTER)
	$(BUILD)
	python -m pytest bench $(PYTEST)

gpu-check:
	$(ENTER)
	SKETCHFAST_CUDA=1 $(BUILD)
	python bench/gpu_check.py

wheel:
	$(ENTER)
	python -m pip wheel . --no-build-isolation --no-deps --wheel-dir dist

clean:
	rm -rf build dist *.egg-info sketchfast/*.so sketchfast/_build.json
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
