# Two commands: `make demo` trains and shows DynE on ReacherVertical, `make test` runs linter, type checker and tests.
# Both first make .venv with the pinned requirements. A CPU-only torch: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
OWN := analysis benchmarks common embedding envs experiments rl tests rl_plots.ipynb
DEMO_DIR := results/demo
DEMO := --results_dir $(DEMO_DIR) --overwrite
DEMO_RL := $(DEMO) --env ReacherVertical-v2 --max_timesteps 15000 --num_seeds 2 $(RL_FLAGS)
DEMO_RUNS := $(DEMO_DIR)/rl/ReacherVertical-v2/TD3/default $(DEMO_DIR)/rl/ReacherVertical-v2/DynE-TD3/default
DEMO_FILM := $(BIN)/python rl/evaluate.py $(DEMO_RUNS) --video $(DEMO_DIR)/side-by-side.mp4 $(FILM_FLAGS)

# Where it is set, as in many containers, each of the many processes would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo gif demo-embedding demo-td3 demo-dyne figures reproduce results test types pytest quick faults

demo: demo-embedding
	@echo "demo, 2 of 3: TD3 and DynE-TD3 side by side"
	@$(MAKE) --no-print-directory -j2 demo-td3 demo-dyne
	@echo "demo, 3 of 3: a table, a picture, a film"
	$(BIN)/python analysis/plot_runs.py $(DEMO_DIR) --out $(DEMO_DIR)/curves.png
	@# Exit code 2 here: no OpenGL, said in one line. Everything but the video is there.
	@echo "$(DEMO_FILM)"
	@$(DEMO_FILM) || [ $$? -eq 2 ]
	@echo "demo: look at $(DEMO_DIR)/curves.png and side-by-side.mp4 there; docs/own-environments.md goes on from here"

# The film of README.md: of each method the seed in the middle of the 16 published ones, by its returns from 12 500 to 15 000
# steps (the lower of the two in the middle).
GIF_RL := --results_dir results/gif --overwrite --env_name ReacherVertical-v2 --max_timesteps 15000

gif: $(INSTALLED)
	$(BIN)/python rl/main_td3.py $(GIF_RL) --seed 12
	$(BIN)/python rl/main_dyne.py $(GIF_RL) --decoder published-k4 --seed 5
	$(BIN)/python rl/evaluate.py $(patsubst %,results/gif/rl/ReacherVertical-v2/%/default,TD3 DynE-TD3) --video docs/side-by-side.gif

demo-embedding: $(INSTALLED)
	@echo "demo, 1 of 3: the embedding of ReacherVertical"
	$(BIN)/python embedding/main.py --env ReacherVertical-v2 $(DEMO) $(EMBEDDING_FLAGS)

demo-td3:
	$(BIN)/python rl/main_td3.py $(DEMO_RL)

demo-dyne:
	@echo "$(BIN)/python rl/main_dyne.py $(DEMO_RL)"
	@TQDM_POSITION=1 $(BIN)/python rl/main_dyne.py $(DEMO_RL)

# Every figure of results/, as SVG and PNG.
figures: $(INSTALLED)
	$(BIN)/python analysis/figures.py results

# Everything that is published, or with ONLY='ReacherVertical-v2 TD3 *' a part of it, trained and published anew.
reproduce: $(INSTALLED)
	$(BIN)/python experiments/run.py $(if $(ONLY),--only '$(ONLY)')

# The tables and numbers of results/README.md and of every page that has blocks of analysis/report.py.
results: $(INSTALLED)
	$(BIN)/python analysis/report.py

test: $(INSTALLED)
	$(BIN)/ruff check $(OWN)
	$(BIN)/ruff format --check $(OWN)
	@# Side by side: the type checker keeps one core busy for a minute.
	@$(MAKE) --no-print-directory -j2 types pytest

types: $(INSTALLED)
	$(BIN)/mypy

pytest: $(INSTALLED)
	$(BIN)/python -m pytest -n 3 --dist worksteal

# The tests of the algorithms and of what they stand on: under a minute.
quick: $(INSTALLED)
	$(BIN)/ruff check $(OWN)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "quick and not slow"

# Kills, full disks, damaged files and drawn flags in full counts, which stand in its last lines.
faults: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal --full tests/faults tests/experiments/test_engine.py

.venv/installed: requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: there is no $(PYTHON): install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11: name a newer one with make PYTHON=python3.11 ..."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module (Debian: apt-get install python3-venv)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --no-compile $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements.txt
	@# On all cores, where pip compiles on one; templates among what is installed are no Python, and stay as they are.
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	@touch $@
