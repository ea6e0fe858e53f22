//! (being built)

pub mod records;
