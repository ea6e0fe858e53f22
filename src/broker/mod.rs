//! One whole broker without threads.
//!
//! In the making.

mod config;
pub mod effect;
mod picture;

pub use config::{BrokerConfig, ConnectionFacts, OpenError};
pub use picture::{BrokerPicture, CONNECTIONS_SHOWN};
