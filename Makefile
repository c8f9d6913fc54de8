# make run     install, open the site on the shipped results
# make try     install, train a small federation on simulated skies, draw its figures
# make test    install, run every test but the long ones (make soak)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

FRONT := app/static/vue
NODE_READY := $(FRONT)/node_modules/.package-lock.json
BUILT := $(FRONT)/dist/.vite/manifest.json
TEXTS := app/translations/zh/LC_MESSAGES/messages

.PHONY: install bench flower psi run try serve test benchmark benchmark-peers soak soak-flower pictures clean

install: $(READY) $(BUILT) $(TEXTS).mo

# Which build of PyTorch this installs is pip's choice; the README says how to get the one without CUDA.
$(READY): requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "SkyFed needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(NODE_READY): $(FRONT)/package-lock.json $(FRONT)/.npmrc $(READY)
	$(BIN)/python -m app.frontend install
	touch $@

$(BUILT): $(NODE_READY) $(wildcard $(FRONT)/*.ts) $(shell find $(FRONT)/src $(FRONT)/public -type f)
	$(BIN)/python -m app.frontend build
	touch $@

$(TEXTS).mo: $(TEXTS).po $(READY)
	$(BIN)/python -W ignore -m app.language compile

PORT ?= 5000

run: install
	$(BIN)/python i4wsgi.py --demo --port $(PORT)

serve: install
	$(BIN)/python i4wsgi.py --port $(PORT)

try: install
	$(BIN)/python i0down_training_resource.py simulate 300
	$(BIN)/python i2main.py -c utils/demo.json --resume
	$(BIN)/python i3experiment_drawing.py --out figures
	@echo "Open figures/index.html in a browser."

# What some parts of the bench need beside, which are refused without it.
bench: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt

# Flower, for training at nodes (docs/machines.md): an environment of its own, as the site never imports it.
flower: requirements-flower.txt
	test -x .venv-flower/bin/python || $(PYTHON) -m venv .venv-flower
	.venv-flower/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-flower.txt

# Private set intersection, for whom owners of columns have in common (docs/columns.md): an environment of its own, as its
# protobuf is not that of the others.
psi: requirements-psi.txt
	test -x .venv-psi/bin/python || $(PYTHON) -m venv .venv-psi
	.venv-psi/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-psi.txt

# Two processes share the tests; what depends on time runs by itself, after them.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not serial and not long"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "serial and not long"

LIGHTHOUSE := tests/benchmarks/lighthouse
LIGHTHOUSE_READY := $(LIGHTHOUSE)/node_modules/.package-lock.json

$(LIGHTHOUSE_READY): $(LIGHTHOUSE)/package-lock.json $(READY)
	$(BIN)/python -m app.frontend install $(LIGHTHOUSE)
	touch $@

benchmark: install $(LIGHTHOUSE_READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s --override-ini addopts= tests/benchmarks

# SkyFed beside Flower and pfl-research at the same work; they get an environment of their own.
benchmark-peers: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.peers.compare

# Long: the tests that take more than a minute; then fifty readers and a run in training for two minutes.
soak: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long
	$(BIN)/python -m pytest -s --override-ini addopts= tests/benchmarks/soak.py

# Owners' nodes on machines of their own, which are network namespaces (so: as root, on Linux, with nginx): whole
# trainings, faults of all kinds, strangers, what travels.
soak-flower: install flower
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s --override-ini addopts= tests/flower_soak

# Everything that is made from the results in cache/: README, model cards, figures, pictures of the site.
pictures: install
	$(BIN)/python -m utils.readme
	$(BIN)/python i3experiment_drawing.py --images png --out figures \
	  $$($(BIN)/python -c "from utils.studies import first; print(*(run.run for run in first().runs))")
	cp figures/final.png figures/curves.png cache/figures/
	$(BIN)/python -m tests.e2e.pictures

clean:
	rm -rf $(VENV) .venv-flower .venv-psi figures data/simulated data/.store $(FRONT)/node_modules $(FRONT)/dist $(LIGHTHOUSE)/node_modules tests/benchmarks/peers/.venv $(TEXTS).mo
