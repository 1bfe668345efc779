# Needs Python 3.11 to 3.13 and nothing else: the first target that is asked for makes the environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made

.PHONY: demo test laws check clean

demo: $(STAMP)  ## from scikit-learn's digits to a tuned, exported network
	$(BIN)/hpo run studies/digits.toml --storage sqlite:///demo.db --export demo-bundle --fresh
	$(BIN)/hpo report digits --storage sqlite:///demo.db --output demo-report.html

# Most tests keep one core busy, so two processes share them out; the output of the first comes after the second's.
HALF := tests/planted tests/search tests/training tests/training_bundle

test: check  ## lint, types, layers, tests
	@log=$$(mktemp); $(BIN)/pytest $(HALF) >$$log 2>&1 & half=$$!; \
	$(BIN)/pytest $(HALF:%=--ignore=%); code=$$?; \
	wait $$half || code=$$?; cat $$log; rm -f $$log; exit $$code

LAWS := tests/training/test_training_laws_step.py tests/training/test_training_laws.py

laws: $(STAMP)  ## the laws of training in all combinations, on TensorFlow, then on JAX
	HPO_LAWS=full KERAS_BACKEND=tensorflow $(BIN)/pytest $(LAWS)
	HPO_LAWS=full KERAS_BACKEND=jax $(BIN)/pytest $(LAWS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"hpo needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}; say make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) demo.db* demo-artifacts demo-bundle demo-report.html build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
