//! What must be refused, run through the program: exit code, code, hint, and nothing half-written.

mod archives;
mod arguments;
mod bytes;
mod coverage;
mod documents;
mod hops;
mod keys;
mod manifests;
mod material;
mod policies;
mod registries;
mod scene;
mod streams;
mod subjects;
mod writers;
