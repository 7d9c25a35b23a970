# Custom layers in four frameworks, proven to compute the same numbers.

ALL := pytorch jax tf mxnet
ENVIRONMENTS := tools $(ALL) triton
STAMPS := $(ENVIRONMENTS:%=.venv/%/.stamp)
# in these the four are compared; tests need one more, of the GPU kernels
COMPARED := $(filter-out .venv/triton/.stamp,$(STAMPS))
# engines that run exported files, and exporters that need more packages
EXPORTS := exports jax2onnx tf2onnx
PYTHON3 := $(shell command -v python3.11 || command -v python3)
UV := $(or $(shell command -v uv),.venv/uv/bin/uv)
TOOLS := .venv/tools/bin/python
# what may be interrupted: one door for all of them
TOOL := $(TOOLS) -m shared_tests.command
IN_PYTORCH := .venv/pytorch/bin/python -m shared_tests.command
LOGS := build/logs
EXPLAIN := sh shared_tests/environments.sh

# What `make compare`, `make check` and `make show` are asked for, and of
# what `make parity` and `make test-all` run only a part. FRESH=1: without
# the rows that `make parity` kept of an earlier run. ISA: of `make parity`,
# the newest instruction sets that the libraries may use; DEVICE=cuda: on
# a GPU, PyTorch and JAX.
LAYER ?=
FRAMEWORKS ?=
PRECISION ?=
CASE ?=
FRESH ?=
ISA ?=
DEVICE ?=
# What runs `make bench-gpu`: it takes no environment of ours.
PYTHON ?= python3

# Which items or parts `make ports` runs; without one, all.
NAMES ?=

# What `make sign` and `make verify` are asked for.
FILE ?=
KEY ?=

# How long `make fuzz`, `make broken-files` and `make false-alarms` run; the seed of `make fuzz`:
# without one, a new one.
MINUTES ?= 10
SEED ?=

# A local wheel folder is where torch comes from; without one uv picks the
# build of torch that fits this machine: CPU where there is no NVIDIA driver.
empty :=
comma := ,
ifneq ($(strip $(PIP_FIND_LINKS)),)
export UV_FIND_LINKS ?= $(subst $(empty) $(empty),$(comma),$(strip $(PIP_FIND_LINKS)))
else
export UV_TORCH_BACKEND ?= auto
endif
export KERAS_BACKEND := tensorflow
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help parity test-all lint format fixtures fixtures-check
.PHONY: compare show alignment memory ledger digits fuzz check mutants bench-gpu
.PHONY: false-alarms error-budgets power ports export
.PHONY: broken-files sign verify sign-key
.PHONY: environments kernels clean $(ENVIRONMENTS:%=test-%)

help: ## this text
	@echo "Custom layers in four frameworks, proven to compute the same numbers."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  make parity LAYER=attention FRAMEWORKS=pytorch,jax PRECISION=float32   a part, by any of the three"
	@echo "  make parity ISA=avx2    as on an older processor (or sse4); with a part, or whole"
	@echo "  make parity DEVICE=cuda   PyTorch and JAX on an NVIDIA GPU"
	@echo "  make parity FRESH=1     without what is cached of an earlier run"
	@echo "  make test-all LAYER=attention FRAMEWORKS=jax,tools   a part of the tests"
	@echo "  make test-pytorch, -jax, -tf, -mxnet, -triton, -tools   the tests of one"

parity: environments ## compare the four frameworks; writes build/parity/
	@$(TOOL) parity --layer "$(LAYER)" --frameworks "$(FRAMEWORKS)" --precision "$(PRECISION)" --isa "$(ISA)" --device "$(DEVICE)" $(if $(FRESH),--fresh)

test-all: environments kernels lint ## every test in every environment, one table
	@$(TOOL) test-all --layer "$(LAYER)" --frameworks "$(FRAMEWORKS)"

compare: .venv/tools/.stamp ## pages side by side: LAYER=linear FRAMEWORKS=pytorch,jax
	@$(TOOLS) -m shared_tests.side_by_side.compare compare "$(LAYER)" "$(or $(FRAMEWORKS),pytorch$(comma)jax)"

show: .venv/tools/.stamp ## the numbers of a case: CASE=Linear-basic
	@$(TOOLS) -m shared_tests.show "$(CASE)"

alignment: .venv/tools/.stamp ## how many lines of the pages are equal
	@$(TOOLS) -m shared_tests.side_by_side.compare alignment

memory: environments ## peak memory of attention, in 15 minutes
	@$(TOOL) memory

ledger: environments ## measure the frameworks' own quantizers; docs/deviations.md
	@$(TOOL) ledger

digits: environments ## train digits with 8 to 2 bits; docs/quantization.md
	@$(TOOL) digits

fuzz: environments ## random cases for the four: MINUTES=10 SEED=1
	@$(IN_PYTORCH) fuzz --minutes "$(MINUTES)" $(if $(SEED),--seed "$(SEED)")

check: environments ## rounding or a bug in your port: LAYER=docs/check/jax_port.py
	@$(IN_PYTORCH) check "$(LAYER)"

broken-files: environments ## spoiled checkpoints, killed saves: MINUTES=60
	@$(TOOL) broken-files --minutes "$(MINUTES)"

sign: .venv/tools/.stamp ## FILE= KEY=: writes FILE.sig; make sign-key KEY=
	@$(TOOLS) -m shared_tests.hostile.signatures sign --file "$(FILE)" --key "$(KEY)"

verify: .venv/tools/.stamp ## FILE= KEY=: was FILE signed by this public key?
	@$(TOOLS) -m shared_tests.hostile.signatures verify --file "$(FILE)" --key "$(KEY)"

sign-key: .venv/tools/.stamp ## KEY=my.key: a new pair, my.key and my.key.pub
	@$(TOOLS) -m shared_tests.hostile.signatures sign-key --key "$(KEY)"

bench-gpu: ## test and time the GPU kernels: PYTHON= one with torch for CUDA
	@$(PYTHON) -m shared_tests.performance.bench_gpu

mutants: environments ## seeded faults, which must fail; docs/mutants.md
	@$(TOOL) mutants

false-alarms: environments ## fresh cases, all right: who is outside? MINUTES=10
	@$(IN_PYTORCH) false-alarms --minutes "$(MINUTES)"

error-budgets: environments ## the usual criteria beside ours; docs/error-budgets.md
	@$(TOOL) error-budgets

power: .venv/tools/.stamp ## how small a fault each case sees; docs/power.md
	@$(TOOL) power

ports: .venv/tools/.stamp .venv/ports/.stamp ## judge ports that others wrote; docs/ports.md: NAMES=bert,gpt2
	@$(TOOL) ports --names "$(NAMES)" $(if $(FRESH),--fresh)

export: environments $(EXPORTS:%=.venv/%/.stamp) ## every layer as a file, run by other engines: LAYER=MLP FRAMEWORKS=jax
	@$(TOOL) export --layer "$(LAYER)" --frameworks "$(FRAMEWORKS)"

lint: .venv/tools/.stamp ## ruff: errors and formatting
	@.venv/tools/bin/ruff check --no-cache .
	@.venv/tools/bin/ruff format --no-cache --check .

format: .venv/tools/.stamp ## let ruff format everything
	@.venv/tools/bin/ruff check --no-cache --fix .
	@.venv/tools/bin/ruff format --no-cache .

fixtures: .venv/pytorch/.stamp ## recompute references and budgets; CASE=A,B: of these
	@$(IN_PYTORCH) fixtures --cases "$(CASE)"

fixtures-check: .venv/pytorch/.stamp ## are the committed fixtures up to date?
	@$(IN_PYTORCH) fixtures-check --check --cases "$(CASE)"

$(ENVIRONMENTS:%=test-%): test-%: .venv/%/.stamp
	@.venv/$*/bin/python -m pytest --framework=$* shared_tests

# One framework that cannot be installed is reported by the run, as missing.
environments: .venv/tools/.stamp ## build the environments under .venv/
	@$(MAKE) -s --no-print-directory -k -j4 $(COMPARED) || true

kernels: environments ## build .venv/triton/, the interpreter of GPU kernels
	@$(MAKE) -s --no-print-directory -k .venv/triton/.stamp || true

clean: ## remove build/ and the environments
	rm -rf build .venv

.venv/tools/.stamp: shared_tests/requirements.txt
# of its own: Triton 3.6's interpreter fails with NumPy 2.4
.venv/triton/.stamp: pytorch_impl/kernels/requirements.txt
.venv/triton/.stamp: UV_TORCH_BACKEND := cpu
# of its own: ports that others wrote need older libraries beside ours
.venv/ports/.stamp: shared_tests/ports/requirements.txt
.venv/exports/.stamp: shared_tests/exports/requirements.txt
.venv/jax2onnx/.stamp: shared_tests/exports/requirements-jax2onnx.txt
.venv/tf2onnx/.stamp: shared_tests/exports/requirements-tf2onnx.txt
$(foreach fw,$(ALL),$(eval .venv/$(fw)/.stamp: $(fw)_impl/requirements.txt))

$(STAMPS) $(EXPORTS:%=.venv/%/.stamp) .venv/ports/.stamp: .venv/%/.stamp: | $(UV)
	@mkdir -p $(LOGS)
	@echo "building .venv/$*"
	@rm -rf .venv/$*
	@{ $(UV) venv -q --python 3.11 .venv/$* && \
	   $(UV) pip install -q --python .venv/$* -r $(filter %.txt,$^) && \
	   touch $@ ; } > $(LOGS)/env-$*.log 2>&1 || { \
	     $(EXPLAIN) $(LOGS)/env-$*.log ".venv/$* could not be built" $(filter %.txt,$^); \
	     exit 1; }

.venv/uv/bin/uv:
	@test -n "$(PYTHON3)" || { echo "python3 is missing: install Python 3.11 with pip, then run make again."; exit 1; }
	@mkdir -p $(LOGS)
	@echo "installing uv"
	@$(PYTHON3) -m pip install -q --disable-pip-version-check --upgrade --target .venv/uv uv==0.13.8 > $(LOGS)/uv.log 2>&1 || { \
	     $(EXPLAIN) $(LOGS)/uv.log "uv could not be installed by $(PYTHON3)"; \
	     exit 1; }
