//! What tests share.

pub(crate) mod certificate;
pub(crate) mod command;
pub(crate) mod ferro;
pub(crate) mod image;
pub(crate) mod peer;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod tar;
