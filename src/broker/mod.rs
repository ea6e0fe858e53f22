//! (being built)

pub mod effect;
