//! Policy: what an image must have, and the decision whether it has it.
//!
//! Policy sees verified evidence only. It is pure: no file, network or clock.

mod demand;
mod document;
mod evaluate;
mod pattern;
mod problem;
mod reader;
mod requirement;
mod vocabulary;
mod yaml;

pub use document::{
    Coverage, Demand, DemandKind, ImageRule, Platforms, Policy, SbomFormat, Signer, SignerName, TypeName,
};
pub use evaluate::{Checked, Evidence, Status, Unmet, Verdict, evaluate};
pub use pattern::{Pattern, PatternError};
pub use problem::{PolicyError, Position, Problem};
pub use requirement::{Cover, Requirement, Scope, Wanted};
