//! How a client reaches its cluster: addresses to begin with, and patience.

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

/// How a client reaches its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinksConfig {
    /// Addresses to begin with; at least one.
    pub bootstrap: Vec<Address>,
    pub client_id: String,
    /// How long an answer may take, milliseconds.
    pub request_timeout_ms: i64,
    /// Let the broker create topics that are asked for and do not exist.
    pub create_topics: bool,
}

impl LinksConfig {
    /// A client of the broker at `host:port` with Kafka's defaults, creating no topics.
    pub fn new(host: &str, port: u16, client_id: &str) -> LinksConfig {
        LinksConfig {
            bootstrap: vec![Address {
                host: host.to_owned(),
                port,
            }],
            client_id: client_id.to_owned(),
            request_timeout_ms: 30_000,
            create_topics: false,
        }
    }
}
