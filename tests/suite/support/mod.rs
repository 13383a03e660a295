//! What tests share.

pub(crate) mod certificate;
pub(crate) mod command;
pub(crate) mod image;
pub(crate) mod peer;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod registry;
