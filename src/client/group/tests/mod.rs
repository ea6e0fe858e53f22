//! Members of a group against a scripted coordinator.

mod classic;
pub mod coordinator;
mod kip848;
mod modern;
mod stage;
