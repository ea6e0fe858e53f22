//! Another implementation reads the golden bodies and writes the same bytes.
//!
//! The crate `kafka-protocol` generates its code from Kafka's own schemas, so this checks klar's
//! definitions, not just that klar agrees with itself. Only versions both have are compared.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self, ApiKey, RequestKind, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable};
use klar::wire::apis::RECORD_VALUES;
use klar::wire::fields::Side;

use crate::golden::{CONTENTS, body};
use crate::{EVERY, Message};

/// Request versions the other implementation leaves out: its Kafka had not declared them stable.
const NOT_THEIRS: [(i16, i16); 3] = [(8, 10), (9, 10), (22, 6)];

/// What the other implementation makes of a body; an error if it cannot read it to the end.
fn theirs(message: &Message, version: i16, golden: &Bytes) -> Result<Bytes, String> {
    let key = ApiKey::try_from(message.key).map_err(|()| "unknown key".to_owned())?;
    let mut bytes = golden.clone();
    let mut out = BytesMut::new();
    match message.side {
        Side::Request => RequestKind::decode(key, &mut bytes, version)
            .and_then(|kind| kind.encode(&mut out, version)),
        Side::Response => ResponseKind::decode(key, &mut bytes, version)
            .and_then(|kind| kind.encode(&mut out, version)),
    }
    .map_err(|error| error.to_string())?;
    if bytes.is_empty() {
        Ok(out.freeze())
    } else {
        Err(format!("{} bytes left over", bytes.len()))
    }
}

#[test]
fn another_implementation_reads_and_writes_the_same_bytes() {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for message in EVERY {
        let Ok(key) = ApiKey::try_from(message.key) else {
            continue;
        };
        let shared = key.valid_versions();
        for version in message.versions() {
            let left_out =
                message.side == Side::Request && NOT_THEIRS.contains(&(message.key, version));
            if version < shared.min || version > shared.max || left_out {
                continue;
            }
            for content in CONTENTS {
                let golden = Bytes::from(body(message.shape(), version, content, None).bytes);
                compared += 1;
                let read = theirs(message, version, &golden);
                if read.as_ref() != Ok(&golden) {
                    wrong.push(format!("{} v{version} {content:?}: {read:?}", message.name));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {compared}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared > 1000, "only {compared} bodies were compared");
}

/// Decodes and encodes a record value with the other implementation.
fn value<T: Decodable + Encodable>(golden: &Bytes, version: i16) -> Bytes {
    let mut bytes = golden.clone();
    let value = T::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty());
    let mut out = BytesMut::new();
    value.encode(&mut out, version).unwrap();
    out.freeze()
}

/// Left out: values with structs in them after a field called `version`, which the other implementation
/// takes for the version of the format.
#[test]
fn another_implementation_agrees_on_values_inside_records() {
    type Recode = fn(&Bytes, i16) -> Bytes;
    let theirs: [(&str, Recode); 5] = [
        (
            "ConsumerProtocolAssignment",
            value::<messages::ConsumerProtocolAssignment>,
        ),
        (
            "ConsumerProtocolSubscription",
            value::<messages::ConsumerProtocolSubscription>,
        ),
        ("EndTxnMarker", value::<messages::EndTxnMarker>),
        (
            "SnapshotHeaderRecord",
            value::<messages::SnapshotHeaderRecord>,
        ),
        (
            "SnapshotFooterRecord",
            value::<messages::SnapshotFooterRecord>,
        ),
    ];
    for (name, recode) in theirs {
        let shape = RECORD_VALUES
            .iter()
            .find(|shape| shape.name == name)
            .unwrap();
        for version in shape.min..=shape.max {
            for content in CONTENTS {
                let golden = Bytes::from(body(shape, version, content, None).bytes);
                assert_eq!(recode(&golden, version), golden, "{name} v{version}");
            }
        }
    }
}
