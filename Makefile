# Every command a person needs. `make test` and `make demo` install what they need by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Meltano pins its own dependencies, so it lives in a venv of its own.
MELTANO := .venv-meltano
# So does Airflow, which meets Meltano only as a command.
AIRFLOW := .venv-airflow
# The documentation site's tools.
SITE := .venv-site
# Airflow and Meltano are started some hundred times, and where Python may not write bytecode each start would compile
# them anew: five seconds for Airflow, four for Meltano. Meltano's own calls of uv heed it too.
export UV_COMPILE_BYTECODE := 1

QUICK := not field and not browser and not release and not chaos
.DEFAULT_GOAL := help
.PHONY: help install install-airflow format check browser quick test test-field test-release test-sdk-next search chaos mutation audit site hub bench demo clean lock

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-15s %s\n", $$1, $$2}'

$(BIN)/uv:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python has no venv module here: install it (Debian and Ubuntu: apt install python3-venv), then run make again" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: pyproject.toml requirements-dev.txt $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(MELTANO)/.installed: requirements-meltano.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(MELTANO)
	$(BIN)/uv pip install --quiet --python $(MELTANO)/bin/python --requirement requirements-meltano.txt
	@touch $@

$(AIRFLOW)/.installed: requirements-airflow.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(AIRFLOW)
	$(BIN)/uv pip install --quiet --python $(AIRFLOW)/bin/python --requirement requirements-airflow.txt
	@touch $@

install-airflow: $(AIRFLOW)/.installed $(MELTANO)/.installed ## Airflow and Meltano, for the tests in tests/field

install: $(VENV)/.installed ## the connectors, the sandbox and the development tools, into .venv

lock: $(BIN)/uv ## resolve the versions of development, of Meltano and of Airflow anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-emit-index-url --no-emit-find-links \
		--no-header --extra sandbox --group dev --output-file requirements-dev.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-emit-index-url --no-emit-find-links \
		--no-header --output-file requirements-meltano.txt requirements-meltano.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-emit-index-url --no-emit-find-links \
		--no-header --output-file requirements-airflow.txt requirements-airflow.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-emit-index-url --no-emit-find-links \
		--no-header --output-file requirements-site.txt requirements-site.in
	for peer in $(PEERS); do $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-emit-index-url \
		--no-emit-find-links --no-header --output-file benchmarks/requirements-$$peer.txt benchmarks/requirements-$$peer.in; done

format: install ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: install ## format, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=examples/demo $(BIN)/mypy examples/demo examples/receipts examples/duckdb
	MYPYPATH=chaos $(BIN)/mypy chaos/*.py

# The pages of the sandbox and of the report are looked at in a real browser. CI installs it; a person is not surprised
# by packages of the system: where there is none, those tests are skipped, and say so.
browser: ## Chromium and its driver, from the system's packages, for the tests that open a page
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
		root=; [ "$$(id -u)" = 0 ] || root=sudo; \
		$$root apt-get update -qq && $$root apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null; }

$(SITE)/.installed: requirements-site.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(SITE)
	$(BIN)/uv pip install --quiet --python $(SITE)/bin/python --requirement requirements-site.txt
	@touch $@

site: install $(SITE)/.installed ## the documentation as a site, into .site/
	APPCRM_BIN=$(BIN) NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --quiet --strict

hub: install ## hub/ and the settings in meltano.yml, from what --about says
	$(BIN)/python hub/write.py

demo: install $(MELTANO)/.installed ## warehouse -> CRM -> warehouse with real parts: PostgreSQL, Meltano, the sandbox
	$(BIN)/python examples/demo/run.py

# What needs neither a browser nor Meltano nor Airflow: for whoever changes a line.
quick: check ## in a minute and a half: checks, and the tests without browser, Meltano and Airflow
	$(BIN)/pytest -n 3 --dist worksteal -m "$(QUICK)" --ignore tests/demo --ignore tests/field

# Three at a time on two cores: many tests wait for a server as often as they work.
test: check $(if $(CI),browser) install-airflow ## everything that CI runs
	@$(BIN)/python -m compileall -qq appcrm tap_appcrm target_appcrm appcrm_sandbox appcrm_report
	$(BIN)/pytest -n 3 --dist worksteal --durations 10 --ignore tests/field
	@$(MAKE) --no-print-directory test-field

# A call of its own, after the others: a cluster would take the cores from all that runs beside it.
test-field: install install-airflow ## Airflow for real: dags test, standalone, and eight accounts on Celery with a lost worker
	$(BIN)/pytest -n 2 --dist worksteal --durations 10 -m "" tests/field

# The built wheel and sdist instead of the checkout, the documentation site, what is installed: before a release.
test-release: install ## wheel, sdist and site, and the quick tests on the installed wheel; some ten minutes
	$(BIN)/pytest --durations 10 -m release tests

# The SDK's next minor line, in a venv of its own: what it moves is met before users meet it.
SDK_NEXT := singer-sdk[msgspec]==0.55.0b7

.venv-sdk-next/.installed: pyproject.toml requirements-dev.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-sdk-next
	$(BIN)/uv pip install --quiet --python .venv-sdk-next/bin/python --requirement requirements-dev.txt
	$(BIN)/uv pip install --quiet --python .venv-sdk-next/bin/python --prerelease allow '$(SDK_NEXT)'
	$(BIN)/uv pip install --quiet --python .venv-sdk-next/bin/python --no-deps --editable .
	@touch $@

test-sdk-next: .venv-sdk-next/.installed ## the tap's, the target's and the client's quick tests on the SDK's next pre-release
	.venv-sdk-next/bin/python -m pytest -n 3 --dist worksteal -m "$(QUICK)" \
		tests/project/test_private_names.py tests/client tests/tap tests/target

# The same claims with other examples than those that `make test` always tries.
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
search: install ## property tests at length, with a seed that is printed (SEED=…, SEARCH_EXAMPLES=…)
	@echo "Searching with SEED=$(SEED)"
	SEARCH_PROFILE=search $(BIN)/pytest -n 2 --timeout 7200 --hypothesis-seed=$(SEED) -m "$(QUICK)" \
		tests/client tests/sandbox tests/tap tests/target tests/report

# Hours as it stands; CHAOS="kills=2 faults=0.05 moving=50 writes=10 limit=1 load=100000,10000" takes minutes.
CHAOS ?=
chaos: install .venv-bench/limit/.installed ## ends, faults, a moving CRM, load: at length; writes docs/reliability.md (CHAOS=…, SEED=…)
	$(if $(CHAOS),CHAOS="$(CHAOS)") $(BIN)/python chaos/run.py

# Only what a mutant's own tests say counts, not by which smallest example. MUTANTS="target_appcrm.match.phones*" is a part.
MUTANTS ?=
mutation: install ## mutants of the pure core, and which of them no test sees; an hour and more (MUTANTS=…)
	SEARCH_PROFILE=mutation $(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

AUDIT := $(BIN)/uv tool run pip-audit@2.10.1 --no-deps --disable-pip --progress-spinner off
audit: $(BIN)/uv ## known weaknesses in what is installed; needs the index's own advisory data 
	for file in requirements-*.txt; do $(AUDIT) --requirement $$file --strict || exit 1; done

# Each peer in an environment of its own; BENCH=quick|requests|growth|report.
BENCH ?= full
PEERS := airbyte dlt drt hotglue limit sdk

.venv-bench/%/.installed: benchmarks/requirements-%.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-bench/$*
	$(BIN)/uv pip install --quiet --python .venv-bench/$*/bin/python --requirement $<
	@touch $@

bench: install $(PEERS:%=.venv-bench/%/.installed) ## side by side with peers; writes benchmarks/RESULTS.md
	@-$(BIN)/python -m compileall -qq $(VENV)/lib appcrm tap_appcrm target_appcrm  # some packages ship code of no Python
	.venv-bench/limit/bin/python benchmarks/run.py $(BENCH)

clean: ## remove everything that these commands made
	rm -rf $(VENV) $(MELTANO) $(AIRFLOW) $(SITE) .site .venv-sdk-next .venv-bench mutants .demo .airflow .cache dist build
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
