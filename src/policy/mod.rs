//! Policy: what an image must have, and the decision whether it has it.
//!
//! Policy sees verified evidence only. It is pure: no file, network or clock.

mod evaluate;
mod requirement;

pub use evaluate::{Checked, Evidence, Status, Unmet, Verdict, evaluate};
pub use requirement::{Cover, Requirement, Scope, Wanted};
