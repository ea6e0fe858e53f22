//! Panels that take the inspector's place while something is being done.

pub mod produce;
mod produce_field;
pub mod produce_form;
mod produce_sent;
mod templates;
