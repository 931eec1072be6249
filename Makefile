# One command a job. `make` alone lists them.
# A bare machine needs Python >= 3.11, make and the package registries: no root, Docker or Java.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make requirements" --quiet
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Options go in ARGS:  make surge ARGS='--calls 5000 --agents 70'"

# --- set up ---------------------------------------------------------------------------------

.PHONY: setup
setup: $(STAMP) ## make .venv with everything, by hash (the other commands do it when needed)

# uv itself is installed by pip with its own hash, taken from the same locked file.
$(STAMP): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Mawja needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1)." \
		     "Say which to use: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); } || { \
		rm -rf $(VENV); echo "'$(PYTHON) -m venv' failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@awk '/^uv==/{on=1} on{print} on&&!/\\$$/{exit}' requirements-dev.txt > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --no-index -e .
	@touch $@

.PHONY: requirements
requirements: $(STAMP) ## lock again after a change of pyproject.toml's dependencies
	$(BIN)/uv pip compile pyproject.toml $(LOCK) -o requirements.txt
	$(BIN)/uv pip compile pyproject.toml --extra local --extra load --extra meaning --group dev $(LOCK) -o requirements-dev.txt

# --- use ------------------------------------------------------------------------------------

.PHONY: surge
surge: $(STAMP) ## replay 78,000 calls through the whole system on real parts, and keep score
	$(BIN)/mawja surge $(ARGS)

.PHONY: up
up: $(STAMP) ## start Kafka, Valkey, the SMS centre and every service, and keep them up
	$(BIN)/mawja up $(ARGS)

.PHONY: down
down: $(STAMP) ## stop what `make up` started
	$(BIN)/mawja down $(ARGS)

.PHONY: bench
bench: $(STAMP) ## measure each part beside its bare floor, as ratios
	$(BIN)/mawja bench $(ARGS)

# --- prove ----------------------------------------------------------------------------------

.PHONY: test
test: $(STAMP) ## run the tests (on real Kafka, Valkey and SMPP)
	@# What measures runs first, by itself; the rest mostly waits, so two at a time. 5: nothing to run.
	$(BIN)/pytest -m "alone and not peers" $(ARGS) || [ $$? -eq 5 ]
	$(BIN)/pytest -m "not alone and not peers" -n 2 --dist loadfile $(ARGS)

.PHONY: test-peers
test-peers: $(STAMP) ## run the tests that need other programs from Debian's packages
	$(BIN)/pytest -m peers $(ARGS)

SEED ?= 1
.PHONY: faults
faults: $(STAMP) ## break everything in the middle and print what happened (about 35 minutes; SEED=1)
	@# As the tests: what nothing may run beside comes first. A red row does not keep the others from running.
	@rm -f faults-report.json faults-report.md
	@run='$(BIN)/pytest tests/faults --full --seed=$(SEED) --table=faults-report.json -v -s $(ARGS)'; ended=0; \
	$$run -m 'faults and alone' || ended=$$?; \
	$$run -m 'faults and not alone' -n 2 --dist load --maxschedchunk 1 || ended=$$?; \
	exit $$ended

.PHONY: quality
quality: $(STAMP) ## measure how well what is the same is recognised, beside plain ways (2 minutes)
	$(BIN)/python -m tests.quality $(ARGS)

.PHONY: check
check: $(STAMP) ## format, lint, strict types, import rules, protos, compatibility
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check

.PHONY: format
format: $(STAMP) ## format the code and the protos
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/buf format -w

.PHONY: learn
learn: $(STAMP) ## learn dedup's model from tests/quality/set again (8 minutes on one core)
	$(BIN)/python -m tests.quality.train
	$(BIN)/python -m tests.quality.train_need

# --- protos ---------------------------------------------------------------------------------

.PHONY: protos
protos: $(STAMP) ## generate protos/gen from protos/mawja
	$(BIN)/python protos/generate.py

.PHONY: release-image
release-image: $(STAMP) ## keep the protos of a release: later ones must stay compatible with it
	$(BIN)/python protos/generate.py --release

.PHONY: clean
clean: ## remove what the commands above made, except the cache of Kafka's jars
	rm -rf $(VENV) .mawja .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
