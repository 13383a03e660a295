//! Integration tests: one binary, so that everything links once.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "clippy knows functions marked as tests only, not what they call"
)]

mod attacks;
mod fixtures;
mod independent_reader;
mod interop;
mod properties;
mod refusals;
mod registry_faults;
mod registry_faults_reading;
mod registry_faults_writing;
mod registry_mirrors;
mod registry_peers;
mod registry_tls;
mod reports;
mod round_trip;
mod store_change;
mod store_contract;
mod support;
mod tour;
