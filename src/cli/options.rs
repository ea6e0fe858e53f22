//! The options `klar`, `klar serve` and `klar ctl` share.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cluster::{ClusterConfig, MAX_BROKERS};
use crate::inspect::Durability;

/// The port clients try first.
const DEFAULT_PORT: u16 = 9092;

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Where records are kept [default: the platform's data directory]
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,
    /// Keep nothing: use a fresh directory and remove it at the end
    #[arg(long, global = true, conflicts_with = "data_dir")]
    pub ephemeral: bool,
    /// Number of brokers, up to 10 [default: those the data directory belongs to, or 3]
    #[arg(long, value_name = "N", global = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BROKERS)))]
    pub brokers: Option<u32>,
    /// Port clients connect to, or the next free one after it; 0 takes any free port. Further brokers listen on the ports behind it
    #[arg(long, value_name = "P", global = true, default_value_t = DEFAULT_PORT)]
    pub port: u16,
    /// Address to listen on; anything but loopback lets other machines in
    #[arg(long, value_name = "ADDR", global = true, default_value = "127.0.0.1", value_parser = address)]
    pub listen: IpAddr,
    /// When an acknowledged record is on the medium
    #[arg(long, value_enum, global = true, default_value = "os")]
    pub durability: DurabilityChoice,
    /// A broker configuration by Kafka's name; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", global = true, value_parser = setting)]
    pub settings: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DurabilityChoice {
    /// Written before the ack, synced on roll, stop and every second
    Os,
    /// Synced before the ack, many acks to a sync
    Batch,
    /// No file at all
    Memory,
}

impl Options {
    /// The directory these options name, whether or not a klar runs on it.
    pub fn directory(&self) -> Result<PathBuf, String> {
        match &self.data_dir {
            Some(dir) => Ok(dir.clone()),
            None => directories::ProjectDirs::from("", "", "klar")
                .map(|dirs| dirs.data_dir().to_path_buf())
                .ok_or_else(|| "this user has no data directory; name one with --data-dir".into()),
        }
    }

    /// What to start.
    pub fn cluster(&self) -> Result<ClusterConfig, String> {
        let data_dir = match self.ephemeral {
            true => None,
            false => Some(self.directory()?),
        };
        Ok(ClusterConfig {
            data_dir,
            listen: self.listen,
            port: self.port,
            brokers: self.brokers,
            durability: match self.durability {
                DurabilityChoice::Os => Durability::Os,
                DurabilityChoice::Batch => Durability::Batch,
                DurabilityChoice::Memory => Durability::Memory,
            },
            settings: self.settings.clone(),
            stay_after_crash: false,
        })
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    match text {
        // Not resolved: `::1` may come first, and clients are told the address they must dial.
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        other => other
            .parse()
            .map_err(|_| "not an IP address (such as 127.0.0.1, 0.0.0.0 or ::1)".into()),
    }
}

pub fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write it as key=value, with Kafka's name as key".into()),
    }
}
