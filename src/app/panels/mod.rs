//! Panels that take the inspector's place while something is being done.

pub mod consume;
pub mod consume_form;
pub mod consume_running;
pub mod produce;
mod produce_field;
pub mod produce_form;
mod produce_sent;
pub mod reset;
pub mod reset_form;
mod templates;
