# What a person types. `make run` and `make test` need Rust; what else they lack they install through apt
# when they may, and otherwise print the command to run.

SHELL := bash
.DEFAULT_GOAL := help

BUILD_PACKAGES := 'gcc=cc' libc6-dev
# Loaded at run time by the window; only wanted where there is a display.
WINDOW_PACKAGES := libx11-6=libX11.so.6 libxcursor1=libXcursor.so.1 libxi6=libXi.so.6 libx11-xcb1=libX11-xcb.so.1 \
  libxkbcommon-x11-0=libxkbcommon-x11.so.0 'libgl1=libGL.so.1|libegl1=libEGL.so.1' 'libgl1-mesa-dri=libGLX_mesa.so.0|libglx-nvidia0=libGLX_nvidia.so.0'
HAS_DISPLAY := $(if $(DISPLAY)$(WAYLAND_DISPLAY),yes,)

.PHONY: help run test sim plant clients failover soak slow-motion bench frames fuzz cargo build-packages

help:
	@echo 'make run      build klar and open the window (without a display: serve)'
	@echo 'make test     formatting, clippy, tidy rules and every test'
	@echo 'make sim      the simulator on 300 fresh seeds (SEEDS=5000 for more)'
	@echo 'make plant    bugs planted in the code, each to be caught by the simulator within its budget'
	@echo 'make clients  install foreign Kafka clients and run them all against klar'
	@echo 'make failover what is acked while brokers die for ten minutes (SECONDS=600)'
	@echo 'make soak     groups of foreign clients while brokers and members die, for an hour (SECONDS=3600)'
	@echo 'make slow-motion a failover at 1/100 of its speed, step by step, for a minute'
	@echo 'make bench    speed as ratios against an ideal sink'
	@echo 'make frames   what a frame of the window costs, in milliseconds'
	@echo 'make fuzz     every fuzz target (SECONDS=600 each)'

cargo:
	@command -v cargo >/dev/null || { echo 'klar needs Rust 1.95 or newer. Run this, then try again:' >&2; \
	  echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2; exit 1; }

build-packages: cargo
	@command -v cc >/dev/null || .ci/packages $(BUILD_PACKAGES)

run: build-packages
	@$(if $(HAS_DISPLAY),.ci/packages $(WINDOW_PACKAGES),true)
	cargo run --release --locked -- $(ARGS)

test: build-packages
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
	cargo fmt --all --check
	cargo fmt --manifest-path tests/bench/Cargo.toml --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --no-fail-fast

# Each run tries seeds nobody tried; its first line says which. What fails is kept under target/ with the line that replays it.
sim: build-packages
	cargo build --locked --profile sim --no-default-features --bin klar
	@mkdir -p "$(abspath $(or $(CARGO_TARGET_DIR),target))/seeds"; from=$$(date +%s)000; echo "klar sim --from $$from"; \
	  "$(abspath $(or $(CARGO_TARGET_DIR),target))/sim/klar" sim --seeds $(or $(SEEDS),300) --from $$from \
	  --keep "$(abspath $(or $(CARGO_TARGET_DIR),target))/seeds" $(ARGS)

plant: build-packages
	cargo run --locked --profile sim --no-default-features --features plants --bin klar -- plant $(ARGS)

# Loads in real time want the machine for themselves.
clients: build-packages
	cargo test --locked --test clients -- $(or $(ARGS),--skip failover:: --skip soak::)
	$(if $(ARGS),true,cargo test --locked --test clients -- failover:: soak:: --test-threads 1)

failover: build-packages
	KLAR_FAILOVER_SECONDS=$(or $(SECONDS),600) cargo test --release --locked --no-default-features --test clients \
	  failover::for_as_long_as_told -- --ignored --exact --nocapture

soak: build-packages
	KLAR_SOAK_SECONDS=$(or $(SECONDS),3600) cargo test --release --locked --no-default-features --test clients \
	  soak::for_as_long_as_told -- --ignored --exact --nocapture

slow-motion: build-packages
	cargo test --release --locked --no-default-features --test cluster \
	  pace::a_minute_at_a_hundredth_with_a_kill_in_it -- --ignored --exact --nocapture

bench: build-packages
	cargo build --release --locked --no-default-features --bin klar
	KLAR_BIN="$(abspath $(or $(CARGO_TARGET_DIR),target))/release/klar" cargo run --release --locked --manifest-path tests/bench/Cargo.toml -- $(ARGS)

frames: build-packages
	cargo test --release --locked --test window frame_cost -- --ignored --nocapture --test-threads 1

fuzz: build-packages
	tests/fuzz/run $(or $(SECONDS),600)
