//! Integration tests: one binary, so that everything links once.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "clippy knows functions marked as tests only, not what they call"
)]

mod archives;
mod attacks;
mod attacks_on_writing;
mod converting;
mod corpora_layouts;
mod cosign_places;
mod detaching;
mod evidence_files;
mod exporters;
mod finding;
mod fixtures;
mod image_schema;
mod independent_reader;
mod index_rewriting;
mod interop;
mod layouts;
mod properties;
mod refusals;
mod registry_attacks;
mod registry_faults;
mod registry_faults_reading;
mod registry_faults_writing;
mod registry_mirrors;
mod registry_peers;
mod registry_tls;
mod reports;
mod round_trip;
mod store_contract;
mod support;
mod tour;
mod two_writers;
