# Recipes for `just`; each is one command that can be typed without it.

# Shows the recipes.
default:
    @just --list

# Checks what needs no test run: format, lints, and the core without its edges.
check:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    cargo check --locked --no-default-features --lib
    cargo check --locked --no-default-features --examples

# Runs the test command of the README; `just test --quick` between two edits.
test *arguments:
    scripts/test {{arguments}}

# Measures against cosign and regctl, side by side; `just bench --write` puts the figures into docs/benchmarks.md.
bench *arguments:
    benches/peers {{arguments}}

# Shows the whole story on a scratch image.
demo *arguments:
    cargo run --release --locked -- demo {{arguments}}

# Formats the code.
fmt:
    cargo fmt

# Writes the JSON Schemas of our own documents anew, from the types.
schemas:
    ATTESTRY_BLESS=1 cargo test --locked --test architecture schemas

# Build a static program (needs musl-tools; leave the linker at its default, a musl-gcc linker makes programs that crash)
static:
    rustup target add x86_64-unknown-linux-musl
    CC_x86_64_unknown_linux_musl=musl-gcc cargo build --release --locked --target x86_64-unknown-linux-musl
