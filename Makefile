# Every target works from a bare checkout with Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/.%: requirements/%.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what is needed into $(VENV) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv || true
	@if test -x $(BIN)/uv; then $(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/$*.txt; \
	 else $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/$*.txt; fi
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/.demo ## serve the example agent on http://127.0.0.1:8080
	@$(BIN)/vivavoce serve examples/bike-workshop --data ./.vivavoce --model local --show-key

test: $(VENV)/.dev ## the whole test suite
	@$(BIN)/python -m pytest

postgres: $(VENV)/.dev ## the tests of the whole program once more, on PostgreSQL, which comes as a package
	@VIVAVOCE_TEST_STORE=postgres $(BIN)/python -m pytest tests/integration -m "not sqlite_file"

faults: $(VENV)/.dev ## kills servers under load on both stores, KILLS times each (1000: half an hour each), and reads the record
	@$(BIN)/python bench/faults.py --store sqlite --kills $(or $(KILLS),1000) --seconds 3600
	@$(BIN)/python bench/faults.py --store postgres --kills $(or $(KILLS),1000) --seconds 3600

check: $(VENV)/.dev ## lint, types, import floors
	@$(BIN)/ruff check src tests bench
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.dev ## what a turn and a call cost, and how well the embedded model does
	@$(BIN)/python bench/turn.py
	@$(BIN)/python bench/local.py
	@$(BIN)/python bench/voice.py

versions: $(VENV)/.dev ## what publishing, pulling and pushing a large folder cost, and how A/B tests judge; five minutes
	@$(BIN)/python bench/versions.py
	@$(BIN)/python bench/ab_tests.py

listening: $(VENV)/.dev ## what of spoken personal data is left in redacted sound; five minutes
	@$(BIN)/python bench/audio_redaction.py

acceptance: $(VENV)/.dev ## the public example agents; AGENTS=folder that holds them
	@test -d "$(AGENTS)" || { echo "Set AGENTS to the folder that holds restaurant-table-booking and healthcare-appointment-scheduling."; exit 1; }
	@AGENTS="$(AGENTS)" $(BIN)/python -m pytest tests/acceptance/public

contract: $(VENV)/.dev ## what is served against the public contracts; CONTRACTS=folder that holds them
	@test -d "$(CONTRACTS)" || { echo "Set CONTRACTS to the folder that holds conversations.openapi.json and its kin."; exit 1; }
	@CONTRACTS="$(CONTRACTS)" $(BIN)/python -m pytest tests/acceptance/contract

browser: $(VENV)/.dev $(VENV)/.browser ## the console in Chromium; CHROMIUM=program, where it is not found by itself
	@$(BIN)/python -m pytest tests/acceptance/browser

fuzz: $(VENV)/.dev $(VENV)/.fuzz ## coverage-guided fuzzing of all that reads what others wrote; SECONDS_EACH=60
	@$(BIN)/python bench/fuzz.py --seconds $(or $(SECONDS_EACH),60)

audit: $(VENV)/.dev ## known weaknesses of the locked dependencies, by the package index's own list
	@$(BIN)/uv tool run pip-audit --strict --require-hashes --disable-pip -r requirements/dev.txt

sandbox: $(VENV)/.dev ## author code under bubblewrap, which has to be installed
	@$(BIN)/python -m pytest tests/acceptance/sandbox

deploy: $(VENV)/.dev $(VENV)/.deploy ## what lies in deploy/: the chart by Helm itself, the unit, the other files
	@$(BIN)/python -m pytest tests/acceptance/deploy

pictures: $(VENV)/.dev $(VENV)/.browser ## pictures of every page of the console, into docs/pictures
	@$(BIN)/python bench/console_pictures.py

$(VENV)/.protos: ; @$(PYTHON) -m venv $(VENV)/protos && $(VENV)/protos/bin/python -m pip install -q --disable-pip-version-check "grpcio-tools>=1.70" && touch $@

COMMANDS := src/vivavoce/wire/commands
protos: $(VENV)/.protos ## compiles the commands that the field's client pushes, after a change of commands.proto
	@$(VENV)/protos/bin/python -m grpc_tools.protoc -I $(COMMANDS) --include_imports --descriptor_set_out=$(COMMANDS)/commands.binpb commands.proto

lock: $(VENV)/.dev ## resolve the newest dependencies into requirements/
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra embeddings --extra voice --group build pyproject.toml -o requirements/demo.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra embeddings --extra parquet --extra providers --extra telemetry --extra voice --group build --group dev pyproject.toml -o requirements/dev.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra embeddings --extra telemetry --group build pyproject.toml -o requirements/server.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group pyproject.toml:browser -o requirements/browser.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group pyproject.toml:deploy -o requirements/deploy.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group pyproject.toml:fuzz -o requirements/fuzz.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group pyproject.toml:poly -o requirements/poly.txt

POLY := $(VENV)/poly/bin/python

$(VENV)/.poly-client: requirements/poly.txt requirements/polyai-adk.txt $(VENV)/.dev
	@test -x $(POLY) || $(PYTHON) -m venv $(VENV)/poly
	@$(BIN)/uv pip install -q --python $(POLY) --require-hashes -r requirements/poly.txt
	@$(POLY) -m pip install -q --disable-pip-version-check --no-deps --ignore-requires-python --require-hashes -r requirements/polyai-adk.txt
	@touch $@

poly-client: $(VENV)/.poly-client ## installs the field's own command-line client into .venv/poly

poly: $(VENV)/.poly-client ## the field's own command-line client against this server
	@POLY="$(POLY)" $(BIN)/python -m pytest tests/acceptance/poly

clean: ## remove what the targets made
	rm -rf $(VENV) .vivavoce .mypy_cache .ruff_cache .hypothesis dist

.PHONY: help demo test postgres faults check bench versions listening acceptance contract browser fuzz audit sandbox deploy poly poly-client protos pictures lock clean
