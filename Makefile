# One line a target; CONFIG and WORKSPACE choose the run: make run CONFIG=configs/landquart.yaml WORKSPACE=work/landquart
CONFIG ?= configs/demo.yaml
WORKSPACE ?= work/demo
# Configuration of `train`.
TRAINING ?= configs/train-synthetic.yaml
# Pairs of the dataset's test split, evenly spaced, that `benchmark` tries at each level.
LIMIT ?= 24
PYTHON := .venv/bin/python
MAPDATA := .venv/bin/mapdata
# A folder of pairs in SRIF's layout, which `benchmark` measures too, such as Optical-Map.
SRIF ?=
RUN = $(MAPDATA) run $(CONFIG) --workspace $(WORKSPACE)

.PHONY: setup demo landmarks review run sample acquire align tiles catalog benchmark train gallery test lint lock
.DEFAULT_GOAL := demo

setup: ; ./setup.sh
demo: ; $(RUN) && $(MAPDATA) accuracy --workspace $(WORKSPACE)
landmarks: ; $(MAPDATA) run configs/landmarks-demo.yaml --workspace work/landmarks
review: ; $(MAPDATA) review --workspace $(WORKSPACE)
run: ; $(RUN)
sample: ; $(RUN) --only sample
acquire: ; $(RUN) --only acquire
align: ; $(RUN) --only align
tiles: ; $(RUN) --only tile
catalog: ; $(RUN) --only clean --only split --only release
benchmark: run ; $(MAPDATA) benchmark $(CONFIG) --workspace $(WORKSPACE) --limit $(LIMIT) && $(MAPDATA) export --workspace $(WORKSPACE) --to stac && { test -z "$(SRIF)" || $(MAPDATA) benchmark --pairs $(SRIF) --layout srif --subset final --out $(WORKSPACE)-srif; }
train: ; $(MAPDATA) train $(TRAINING)
gallery: ; $(MAPDATA) gallery --out docs/images/gallery.jpg
lint: ; .ci/lint
test: lint ; $(PYTHON) -m pytest -rs -n auto --maxprocesses 4 --dist loadfile tests/unit tests/integration tests/end_to_end
lock: ; $(PYTHON) .ci/lock.py > requirements.lock.new && mv requirements.lock.new requirements.lock
