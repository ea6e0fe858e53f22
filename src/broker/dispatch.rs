//! From a frame to the function that answers it.
//!
//! The header decides: a key or version that is not answered closes the connection, except that ApiVersions
//! in an unknown version is answered in version 0 (KIP-511). A body that does not decode closes, too.

use std::cell::Cell;

use bytes::Bytes;

use super::Broker;
use super::api::{ANSWERED, IN_CLUSTERS, api_versions};
use super::groups::PATIENCE_MS;
use super::parked::Waiting;
use super::partition::METADATA_LOG;
use crate::ids::{ConnectionId, Time};
use crate::wire::request::decode_header;
use crate::wire::{ApiKey, DecodeError, EncodeError, ErrorCode, Reader, Writer, response};

/// Topics, partitions, resources or keys one request may name. Answers are many times larger than what asks
/// for them, so this bounds what a request can make us allocate.
const MAX_ENTRIES: usize = 100_000;

/// Refuses a request that names more than the limit.
///
/// # Errors
/// It does: its connection is to be closed.
pub(super) fn check_entries(entries: usize) -> Result<(), NoAnswer> {
    match entries > MAX_ENTRIES {
        true => Err(NoAnswer::TooMany(entries)),
        false => Ok(()),
    }
}

/// As [`check_entries`], for entries that name others: `lengths` is how many each names.
pub(super) fn check_lists(lengths: impl IntoIterator<Item = usize>) -> Result<(), NoAnswer> {
    let entries = lengths.into_iter().fold(0, |sum: usize, length| {
        sum.saturating_add(length.saturating_add(1))
    });
    check_entries(entries)
}

/// One request on its way to an answer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub now: Time,
    pub connection: ConnectionId,
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    /// Until when it may wait for its group's coordinator, or for this broker to join the cluster; `None` once it is to be answered whatever there is to say.
    pub patience: Cell<Option<Time>>,
    failed: Cell<bool>,
    /// The last error in its answer; none where the answer was made elsewhere.
    error: Cell<ErrorCode>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Answer {
    Reply(Vec<Bytes>),
    /// A reply that tells of new metadata, and waits so long for all live brokers to know it; `late` is sent then.
    Spread {
        parts: Vec<Bytes>,
        late: Vec<Bytes>,
        timeout_ms: i32,
    },
    /// A reply that leaves once all metadata written so far is synced, whatever the durability.
    Synced(Vec<Bytes>),
    /// Done, and nothing is sent (acks=0).
    Silent,
    /// It waits in `parked`.
    Parked,
    /// It is to be answered again when its group's coordinator may be there.
    Later,
    Close(String),
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("a request that cannot be read: {0}")]
    Decode(#[from] DecodeError),
    #[error("an answer that cannot be written: {0}")]
    Encode(#[from] EncodeError),
    #[error("{0} entries in one request, more than {MAX_ENTRIES}")]
    TooMany(usize),
}

pub(super) type Answered = Result<Answer, NoAnswer>;

impl Asked {
    /// An error's number on the wire, remembered for the counters.
    pub fn code(&self, error: ErrorCode) -> i16 {
        if error != ErrorCode::None {
            self.failed.set(true);
            self.error.set(error);
        }
        error.code()
    }

    /// Counts the request as failed.
    pub fn note_failed(&self) {
        self.failed.set(true);
    }

    /// Frames a response body.
    pub fn reply(
        &self,
        body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<Vec<Bytes>, NoAnswer> {
        let mut writer = Writer::new();
        response::encode_header(&mut writer, self.api, self.version, self.correlation_id);
        body(&mut writer)?;
        Ok(writer.finish_frame())
    }

    /// Answers once every live broker knows of the change, or after `timeout_ms` with what `late` makes of the
    /// response; without a timeout, once the change is committed.
    pub fn reply_once_spread<R>(
        &self,
        timeout_ms: i32,
        mut response: R,
        encode: impl Fn(&R, &mut Writer) -> Result<(), EncodeError>,
        late: impl FnOnce(&mut R),
    ) -> Answered {
        let parts = self.reply(|writer| encode(&response, writer))?;
        if timeout_ms <= 0 {
            return Ok(Answer::Reply(parts));
        }
        late(&mut response);
        let late = self.reply(|writer| encode(&response, writer))?;
        Ok(Answer::Spread {
            parts,
            late,
            timeout_ms,
        })
    }
}

impl Broker {
    pub(super) fn dispatch(&mut self, now: Time, id: ConnectionId, frame: Bytes) {
        // Only what may be passed on or answered later is kept: records are changed in place where nobody else holds the frame.
        let kept = self.may_wait(&frame).then(|| frame.clone());
        let mut reader = Reader::new(frame);
        let header = match decode_header(&mut reader) {
            Ok(header) => header,
            Err(error) => return self.close(now, id, format!("not a Kafka request: {error}")),
        };
        self.totals.requests += 1;
        if let Some(connection) = self.connections.get_mut(id) {
            let (api, version) = (header.api_key, header.api_version);
            connection.on_request(now, api, version, header.client_id.as_deref());
        }
        let asked = Asked {
            now,
            connection: id,
            api: header.api_key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            patience: Cell::new(Some(now.plus_ms(PATIENCE_MS))),
            failed: Cell::new(false),
            error: Cell::new(ErrorCode::None),
        };
        let answered = if header.version_known() {
            let body = kept.map(|frame| frame.slice(reader.position()..));
            let forwarded = body
                .clone()
                .and_then(|body| self.forward(&asked, &header, body));
            let answered = forwarded.unwrap_or_else(|| self.answer(&asked, &mut reader));
            self.or_later(&asked, body, answered)
        } else if asked.api == ApiKey::ApiVersions {
            api_versions::answer_unknown_version(self, &asked)
        } else {
            let (name, version) = (asked.api.name(), asked.version);
            Ok(Answer::Close(format!("{name} has no version {version}")))
        };
        self.conclude(&asked, answered);
    }

    fn answer(&mut self, asked: &Asked, reader: &mut Reader) -> Answered {
        if self.should_wait_to_join(asked) {
            return Ok(Answer::Later);
        }
        let between = match self.member.is_some() {
            true => IN_CLUSTERS,
            false => &[],
        };
        let mut rows = ANSWERED.iter().chain(between);
        match rows.find(|row| row.api == asked.api) {
            Some(row) => (row.answer)(self, asked, reader),
            None => {
                let why = format!("{} is not answered", asked.api.name());
                Ok(Answer::Close(why))
            }
        }
    }

    /// Keeps what is to be answered later.
    fn or_later(&mut self, asked: &Asked, body: Option<Bytes>, answered: Answered) -> Answered {
        match (answered, body) {
            (Ok(Answer::Later), Some(body)) => {
                self.keep_for_later(asked, body);
                Ok(Answer::Parked)
            }
            (answered, _) => answered,
        }
    }

    /// Answers a request that had to wait and that this broker can answer by now.
    pub(super) fn answer_here(&mut self, asked: &Asked, body: Bytes) {
        let mut reader = Reader::new(body.clone());
        let flexible = crate::wire::apis::api(asked.api).is_flexible(asked.version);
        reader.set_flexible(flexible);
        let answered = self.answer(asked, &mut reader);
        let answered = self.or_later(asked, Some(body), answered);
        self.conclude(asked, answered);
    }

    fn send_once_synced(&mut self, to: ConnectionId, parts: Vec<Bytes>) {
        self.parked.put(to, None, Waiting::Committed(parts));
        self.wait_for_sync(to);
    }

    /// Carries an answer out and counts it.
    pub(super) fn conclude(&mut self, asked: &Asked, answered: Answered) {
        if asked.failed.take() {
            self.totals.errors += 1;
            if let Some(connection) = self.connections.get_mut(asked.connection) {
                connection.on_error(asked.api, asked.version, asked.error.get());
            }
        }
        let committed = std::mem::take(&mut self.committed) || self.judged_ahead(asked.api);
        match answered {
            Ok(Answer::Spread {
                parts,
                late,
                timeout_ms,
            }) if committed && self.member.is_some() => {
                self.wait_for_spread(asked, parts, late, timeout_ms);
            }
            Ok(Answer::Spread { parts, .. }) => {
                self.committed = committed;
                self.conclude(asked, Ok(Answer::Reply(parts)));
            }
            Ok(Answer::Reply(parts)) if committed && self.member.is_some() => {
                self.wait_for_commit(asked.connection, parts);
            }
            Ok(Answer::Reply(parts)) if committed && self.acks_wait_for_sync() => {
                self.send_once_synced(asked.connection, parts);
            }
            Ok(Answer::Synced(parts)) => {
                self.note_dirty(asked.now, METADATA_LOG);
                self.hurry_sync(asked.now);
                self.send_once_synced(asked.connection, parts);
            }
            Ok(Answer::Reply(parts)) => self.send(asked.connection, parts),
            Ok(Answer::Silent) => {
                let to = asked.connection;
                self.effects.push(super::effect::Effect::NoReply { to });
            }
            Ok(Answer::Parked | Answer::Later) => {}
            Ok(Answer::Close(why)) => self.close(asked.now, asked.connection, why),
            Err(error) => {
                let why = format!("{}: {error}", asked.api.name());
                self.close(asked.now, asked.connection, why);
            }
        }
    }
}
