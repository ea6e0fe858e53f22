//! What a voter must remember across a crash: its epoch and its vote.
//!
//! The `quorum-state` file is text, so that a learner can open it:
//!
//! ```text
//! klar quorum-state 1
//! epoch 7
//! leader 2
//! voted none
//! crc32 89abcdef
//! ```
//! The checksum (CRC-32, IEEE) covers every byte before its line. A version this program does not know is told
//! apart from damage. Does not write files: the owner replaces the file as a whole and syncs it.

use crate::ids::{BrokerId, LeaderEpoch};

/// The first line up to the version.
const TITLE: &str = "klar quorum-state ";
/// The newest version of the file.
const VERSION: u32 = 1;

/// Epoch, leader and vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElectionState {
    pub epoch: LeaderEpoch,
    /// Who led when this was written; a hint where to fetch first, nothing more.
    pub leader: Option<BrokerId>,
    /// Who has this voter's vote in the epoch. It never changes within one.
    pub voted: Option<BrokerId>,
}

/// Why bytes are not an election state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElectionStateError {
    #[error("format version {found} is newer than {VERSION}")]
    UnknownVersion { found: u32 },
    #[error("its checksum does not match")]
    Checksum,
    #[error("it is not a quorum-state file")]
    Malformed,
}

impl ElectionState {
    /// Nothing known, nothing promised: a first start.
    pub const FIRST: ElectionState = ElectionState {
        epoch: LeaderEpoch(0),
        leader: None,
        voted: None,
    };

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let name = |broker: Option<BrokerId>| broker.map_or("none".to_owned(), |b| b.to_string());
        let mut text = format!(
            "{TITLE}{VERSION}\nepoch {}\nleader {}\nvoted {}\n",
            self.epoch,
            name(self.leader),
            name(self.voted)
        );
        let crc = crc32fast::hash(text.as_bytes());
        text.push_str(&format!("crc32 {crc:08x}\n"));
        text.into_bytes()
    }

    /// Reads the file's bytes.
    pub fn decode(file: &[u8]) -> Result<ElectionState, ElectionStateError> {
        let text = std::str::from_utf8(file).map_err(|_| ElectionStateError::Checksum)?;
        let at = text.rfind("crc32 ").ok_or(ElectionStateError::Malformed)?;
        let crc = format!("crc32 {:08x}\n", crc32fast::hash(&file[..at]));
        if text[at..] != crc {
            return Err(ElectionStateError::Checksum);
        }
        let mut lines = text[..at].lines();
        let version = lines.next().and_then(|line| line.strip_prefix(TITLE));
        let version: u32 = number(version)?;
        if version != VERSION {
            return Err(ElectionStateError::UnknownVersion { found: version });
        }
        let mut field = |name: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name));
            line.ok_or(ElectionStateError::Malformed)
        };
        let epoch: i32 = number(Some(field("epoch ")?))?;
        let leader = broker(field("leader ")?)?;
        let voted = broker(field("voted ")?)?;
        if epoch < 0 || lines.next().is_some() {
            return Err(ElectionStateError::Malformed);
        }
        let epoch = LeaderEpoch(epoch);
        Ok(ElectionState {
            epoch,
            leader,
            voted,
        })
    }
}

fn number<T: std::str::FromStr>(text: Option<&str>) -> Result<T, ElectionStateError> {
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or(ElectionStateError::Malformed)
}

fn broker(text: &str) -> Result<Option<BrokerId>, ElectionStateError> {
    match text {
        "none" => Ok(None),
        id => Ok(Some(BrokerId(number(Some(id))?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_election_state_is_read_back_and_damage_is_noticed() {
        let state = ElectionState {
            epoch: LeaderEpoch(7),
            leader: Some(BrokerId(2)),
            voted: None,
        };
        let file = state.encode();
        assert_eq!(ElectionState::decode(&file), Ok(state));
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                assert!(ElectionState::decode(&damaged).is_err(), "{at} {bit}");
            }
            assert!(ElectionState::decode(&file[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn a_newer_version_is_not_damage() {
        let mut text = format!("{TITLE}9\nwhatever\n");
        let crc = crc32fast::hash(text.as_bytes());
        text.push_str(&format!("crc32 {crc:08x}\n"));
        let read = ElectionState::decode(text.as_bytes());
        assert_eq!(read, Err(ElectionStateError::UnknownVersion { found: 9 }));
    }
}
