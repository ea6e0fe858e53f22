//! The process's limit on open files, raised as far as it may be.
//!
//! Connections and segment files share it; the listener counts connections against what is left.

use rlimit::Resource;

use super::limits::{RESERVED_FILES, WANTED_FILES};

/// What this process may have open when the system does not say.
const UNKNOWN_LIMIT: u64 = 1_024;

/// Raises the soft limit to the hard one and returns what it is now.
pub fn raise_limit() -> u64 {
    let Ok((soft, hard)) = Resource::NOFILE.get() else {
        return UNKNOWN_LIMIT;
    };
    let wanted = hard.min(WANTED_FILES).max(soft);
    match Resource::NOFILE.set(wanted, hard) {
        Ok(()) => wanted,
        Err(_) => soft,
    }
}

/// Connections one process accepts under this limit of open files.
pub fn connections_allowed(limit: u64) -> usize {
    let free = limit.saturating_sub(RESERVED_FILES).max(limit / 2);
    usize::try_from(free).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_files() {
        assert_eq!(connections_allowed(1_024), 512);
        assert_eq!(connections_allowed(20_000), 17_952);
        assert!(raise_limit() >= 256);
    }
}
