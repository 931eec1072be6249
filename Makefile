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
# Images of Python often forbid it to keep what it compiled: then every process compiles everything anew,
# which is a tenth of a service's start and two thirds of finding the tests.
unexport PYTHONDONTWRITEBYTECODE

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
	$(BIN)/uv pip compile pyproject.toml --extra local --extra load --extra meaning --extra report --group dev $(LOCK) -o requirements-dev.txt
	echo 'checkov==3.2.471' | $(BIN)/uv pip compile - $(LOCK) -o deploy/check/requirements.txt

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

# Where tests of a marker stand: finding a few among thousands takes as long as they do (a test holds it).
ALONE := tests/faults
BROWSER := tests/browser
PEERS := tests/peers tests/contract tests/unit/test_planner_overlay.py

.PHONY: test
test: $(STAMP) ## run the tests (on real Kafka, Valkey and SMPP)
	@# What measures runs first, by itself; the rest waits half of its time, so three at a time, and what
	@# takes long (faults) before what takes moments (unit), so that all end together. 5: nothing to run.
	$(BIN)/pytest -m "alone and not peers and not browser" $(or $(ARGS),$(ALONE)) || [ $$? -eq 5 ]
	$(BIN)/pytest -m "not alone and not peers and not browser" -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-peers
test-peers: $(STAMP) ## run the tests against programs of others: node-smpp, Kannel, Prometheus
	$(BIN)/python -m tests.peers.install
	$(BIN)/pytest -m peers $(or $(ARGS),$(PEERS))

# checkov's libraries are its own: it stands apart, installed by hash like the rest.
CHECKOV := .venv-checkov/bin/checkov
$(CHECKOV): deploy/check/requirements.txt $(STAMP)
	@test -x .venv-checkov/bin/python || $(PYTHON) -m venv --without-pip .venv-checkov
	@$(BIN)/uv pip sync --quiet --python .venv-checkov/bin/python --require-hashes deploy/check/requirements.txt
	@touch $@

.PHONY: deploy-check
deploy-check: $(STAMP) $(CHECKOV) ## prove deploy/: schemas, policies, image, and a surge through its pods
	$(BIN)/pytest -m "peers or not peers" tests/contract/test_deploy.py tests/contract/test_overlays.py \
		tests/contract/test_network.py tests/contract/test_kafka_rights.py
	PATH="$(abspath $(BIN)):$$PATH" PYTHON=$(abspath $(BIN)/python) CHECKOV=$(abspath $(CHECKOV)) deploy/check/run.sh

.PHONY: manifests
manifests: $(STAMP) ## write Kafka's topics and users, and the rules' resource, from the tables in code
	$(BIN)/python -m services.tools.manifests

SEED ?= 1
.PHONY: faults
faults: $(STAMP) ## break everything in the middle and print what happened (about 35 minutes; SEED=1)
	@# As the tests: what nothing may run beside comes first. A red row does not keep the others from running.
	@rm -f faults-report.json faults-report.md
	@run='$(BIN)/pytest tests/faults --full --seed=$(SEED) --table=faults-report.json -v -s $(ARGS)'; ended=0; \
	$$run -m 'faults and alone' || ended=$$?; \
	$$run -m 'faults and not alone' -n 2 --dist load --maxschedchunk 1 || ended=$$?; \
	exit $$ended

PEOPLE ?= 1000000
.PHONY: soak
soak: $(STAMP) ## send a campaign to a million while broadcast is killed 20 times (PEOPLE=1000000, SEED=1)
	$(BIN)/pytest tests/faults/test_campaign_soak.py --full --people=$(PEOPLE) --seed=$(SEED) -v -s $(ARGS)

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
	$(BIN)/python -m services.tools.manifests --check

.PHONY: format
format: $(STAMP) ## format the code and the protos
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/buf format -w

.PHONY: learn
learn: $(STAMP) ## learn dedup's models from tests/quality/set again (25 minutes on one core)
	$(BIN)/python -m tests.quality.train
	$(BIN)/python -m tests.quality.train_need
	$(BIN)/python -m tests.quality.train_incident
	$(BIN)/python -m tests.quality.train_refined

# --- the console ----------------------------------------------------------------------------

# What it makes is committed: nobody needs node to run the console.
.PHONY: console
console: ## build the console's script, style, fonts and icons again (needs node and npm)
	cd services/console/front && npm ci --ignore-scripts --no-audit --no-fund --silent && node build.mjs

.PHONY: console-check
console-check: ## hold the built files against what they are built from (needs node and npm)
	cd services/console/front && npm ci --ignore-scripts --no-audit --no-fund --silent && npx tsc --noEmit \
		&& out=$$(mktemp -d) && node build.mjs $$out && diff -r $$out ../static && rm -r $$out

.PHONY: test-browser
test-browser: $(STAMP) ## drive the console by a browser, on the whole system (needs chromium, node, npm)
	$(BIN)/pytest -m browser $(or $(ARGS),$(BROWSER))

.PHONY: pictures
pictures: $(STAMP) ## picture every page of the console in both languages and themes, into docs/console
	$(BIN)/python -m tests.browser.pictures

# --- protos ---------------------------------------------------------------------------------

.PHONY: protos
protos: $(STAMP) ## generate protos/gen from protos/mawja
	$(BIN)/python protos/generate.py

.PHONY: monitoring
monitoring: $(STAMP) ## write docs/metrics.md and the dashboards again
	$(BIN)/python -m deploy.monitoring.generate

.PHONY: runbooks
runbooks: $(STAMP) ## type the coordinators' pages; break the local stack, wait for the alert, do what its page says (needs prometheus)
	$(BIN)/python -m tests.runbooks $(ARGS)

.PHONY: release-image
release-image: $(STAMP) ## keep the protos of a release: later ones must stay compatible with it
	$(BIN)/python protos/generate.py --release

.PHONY: clean
clean: ## remove what the commands above made, except the cache of Kafka's jars
	rm -rf $(VENV) .venv-checkov .mawja .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
