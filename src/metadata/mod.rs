//! What the controller knows and decides.
//!
//! One way to change it: a `decide` function reads the [`Image`] and returns [`Record`]s; the records are
//! written to the metadata log; [`Image::apply`] is the only thing that writes the image. Replaying the
//! log therefore rebuilds it. Nothing here knows files, clients or wire error codes.

mod broker_image;
pub mod configs;
pub mod decide;
mod image;
mod image_records;
mod partition_image;
mod record;
mod record_bytes;
mod record_messages;
mod settings;

pub use broker_image::{BrokerImage, Endpoint};
pub use image::{Image, TopicImage};
pub use partition_image::{LeaderRecovery, PartitionChange, PartitionImage};
pub use record::{Record, Resource};
pub use record_bytes::RecordError;
pub use settings::{
    BrokerSettings, ConfigSource, EffectiveConfig, SettingsError, Step, TopicSettings,
};
