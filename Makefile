# `make` formats, lints, type-checks, checks the layers and tests. Every target sets up what it needs.
PY := .venv/bin/python
# of the tests, on two cores: those in a browser and on servers wait most of the time
WORKERS ?= 3
# compiled modules are kept, wherever this is run: the tests start Python some hundred times
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := all
.PHONY: all setup servers format check test app audit bench docs evidence screenshots lock clean wheel

all: format check test

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	test -x $(PY) || python3 -m venv .venv
	$(PY) -m pip --disable-pip-version-check install --quiet 'uv>=0.5,<1'
	.venv/bin/uv pip install --quiet --python $(PY) --requirement requirements.lock
	.venv/bin/uv pip install --quiet --python $(PY) --no-deps --editable .
	touch .venv/ready

# tests in a browser, on a database server and behind proxies need them; without one its tests skip and say so
servers:
	@command -v chromium chromium-browser google-chrome >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
		&& command -v nginx >/dev/null && command -v caddy >/dev/null \
		|| { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
			chromium postgresql nginx-light caddy >/dev/null; } \
		|| echo "no Chromium, PostgreSQL, nginx or Caddy: their tests will skip"

format: setup
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix --quiet .

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright
	.venv/bin/lint-imports

test: setup servers
	$(PY) -m pytest -n $(WORKERS)

wheel: setup
	.venv/bin/uv build --quiet --wheel --out-dir dist .

app: setup
	.venv/bin/streamlit run app.py

audit: setup
	$(PY) -m lsi compute --dataset digits --corrupt-label 0.05

bench: setup
	$(PY) -m benchmarks.bench_engine
	$(PY) -m benchmarks.bench_features
	$(PY) -m benchmarks.bench_real
	$(PY) -m benchmarks.bench_app
	$(PY) -m benchmarks.bench_door
	$(PY) -m benchmarks.tables

# the documentation as a site of its own, in site
docs: setup
	.venv/bin/mkdocs build --quiet --strict

# what the scores are worth, beside what else is at hand; finished studies are kept
evidence: setup
	$(PY) -m benchmarks.evidence

# every page, light and dark, at two widths; renews the picture of the README
screenshots: setup servers
	$(PY) -m benchmarks.screenshots

lock: setup
	.venv/bin/uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate \
		--upgrade --quiet requirements.txt requirements-dev.txt --output-file requirements.lock

clean:
	rm -rf .venv .pytest_cache .ruff_cache
