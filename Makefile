# make run     install, train a small federation on simulated skies, draw its figures
# make test    install, run every test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: install run test benchmark clean

install: $(READY)

# Which build of PyTorch this installs is pip's choice; the README says how to get the one without CUDA.
$(READY): requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "SkyFed needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

run: install
	$(BIN)/python i0down_training_resource.py simulate 300
	$(BIN)/python i2main.py -c utils/demo.json --resume
	$(BIN)/python i3experiment_drawing.py --out figures
	@echo "Open figures/index.html in a browser."

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

benchmark: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s --override-ini addopts= tests/benchmarks

clean:
	rm -rf $(VENV) figures data/simulated data/.store
