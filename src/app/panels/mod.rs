//! Panels that take the inspector's place while something is being done.

pub mod produce;
pub mod produce_form;
mod templates;
