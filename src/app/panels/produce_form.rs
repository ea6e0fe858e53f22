//! What the produce panel holds: the fields as typed, and the commands they amount to.
//!
//! Plain values and checks, no egui. Every refusal names the field and what is wrong with it.

use std::sync::Arc;

use crate::ids::PartitionIndex;
use crate::inspect::{
    Acks, Command, Compression, DETAIL_BYTES, MAX_PRODUCER_RATE, PartitionBy, ProduceOne,
    ProducerPlan, ProducerSettings,
};

/// Bytes of a key or value that can be typed; more is held beside the field and sent unchanged, because
/// a text field lays all of its text out anew with every key.
pub const TYPED_BYTES: usize = 16 * 1024;
/// Bytes of a key or value the panel sends: as many as a picture brings of a record.
pub const FIELD_BYTES: usize = DETAIL_BYTES;
/// Headers one record may be given here.
pub const HEADER_ROWS: usize = 64;

/// How a field's text becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    #[default]
    Text,
    /// Pairs of hex digits; white space is ignored.
    Hex,
    /// No bytes at all: a null key, a tombstone value.
    Null,
}

/// A key or a value as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Field {
    pub text: String,
    pub encoding: Encoding,
    /// Bytes too many to be typed: they are what is sent, in place of the text.
    pub held: Option<Arc<Vec<u8>>>,
}

/// A header as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderRow {
    pub key: Field,
    pub value: Field,
}

/// One record, or a stream of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    #[default]
    Once,
    AtRate,
}

/// Everything in the produce panel.
#[derive(Debug, Clone, PartialEq)]
pub struct ProduceForm {
    pub topic: String,
    pub mode: Mode,
    pub key: Field,
    pub value: Field,
    /// In the order they are sent; a key may occur twice.
    pub headers: Vec<HeaderRow>,
    /// Milliseconds since the Unix epoch; empty is the moment of sending.
    pub timestamp: String,
    pub settings: ProducerSettings,
    pub fixed_partition: i32,
    /// Records a second.
    pub rate: f64,
    /// Stop after so many; empty never stops.
    pub count: String,
    pub name: String,
    /// Record sent last, for "Send again".
    pub last: Option<Arc<ProduceOne>>,
}

impl Default for ProduceForm {
    fn default() -> Self {
        ProduceForm {
            topic: String::new(),
            mode: Mode::Once,
            key: Field::default(),
            value: Field::default(),
            headers: Vec::new(),
            timestamp: String::new(),
            settings: ProducerSettings {
                idempotence: true,
                ..ProducerSettings::default()
            },
            fixed_partition: 0,
            rate: 10.0,
            count: String::new(),
            name: String::new(),
            last: None,
        }
    }
}

impl Field {
    /// Bytes as a field: text where they are text, else hex.
    pub fn from_bytes(bytes: Option<&[u8]>) -> Field {
        match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => Field {
                encoding: Encoding::Null,
                ..Field::default()
            },
            Some((bytes, _)) if bytes.len() >= TYPED_BYTES => Field {
                held: Some(Arc::new(bytes.to_vec())),
                ..Field::default()
            },
            Some((_, Ok(text))) if !text.chars().any(unprintable) => Field {
                text: text.to_owned(),
                ..Field::default()
            },
            Some((bytes, _)) => Field {
                text: hex(bytes),
                encoding: Encoding::Hex,
                held: None,
            },
        }
    }

    /// A field with this text typed into it.
    pub fn typed(text: &str) -> Field {
        Field {
            text: text.to_owned(),
            ..Field::default()
        }
    }

    /// Takes over pasted text that is too long to be typed; false when it is not, or is no hex in a
    /// field of hex.
    pub fn paste(&mut self, text: &str) -> bool {
        if text.len() <= TYPED_BYTES {
            return false;
        }
        let bytes = match self.encoding {
            Encoding::Hex => unhex(text).ok(),
            _ => Some(text.as_bytes().to_vec()),
        };
        let Some(bytes) = bytes else { return false };
        self.text.clear();
        self.held = Some(Arc::new(bytes));
        true
    }

    /// Bytes sent in place of the text, if there are such.
    pub fn held(&self) -> Option<&[u8]> {
        let held = self.held.as_ref()?;
        (self.encoding != Encoding::Null).then_some(held)
    }

    /// The bytes the field stands for; `None` is null. `what` names the field in a refusal.
    pub fn bytes(&self, what: &str) -> Result<Option<Vec<u8>>, String> {
        self.check(what)?;
        Ok(match (self.encoding, &self.held) {
            (Encoding::Null, _) => None,
            (_, Some(held)) => Some(held.to_vec()),
            (Encoding::Text, None) => Some(self.text.clone().into_bytes()),
            (Encoding::Hex, None) => {
                Some(unhex(&self.text).map_err(|why| format!("{what}: {why}"))?)
            }
        })
    }

    /// Why the field stands for no bytes, without making them.
    fn check(&self, what: &str) -> Result<(), String> {
        if let Some(held) = self.held() {
            return match held.len() {
                0..=FIELD_BYTES => Ok(()),
                length => Err(format!(
                    "{what}: {length} bytes, at most {FIELD_BYTES} can be sent from here"
                )),
            };
        }
        if self.encoding == Encoding::Hex {
            unhex(&self.text).map_err(|why| format!("{what}: {why}"))?;
        }
        Ok(())
    }

    fn template(&self, what: &str) -> Result<Option<String>, String> {
        if self.held().is_some() {
            return Err(format!(
                "{what}: too long for a template; replace it, or send it as one record"
            ));
        }
        match self.encoding {
            Encoding::Null => Ok(None),
            Encoding::Text => Ok(Some(self.text.clone())),
            Encoding::Hex => Err(format!("{what}: a template is text; choose Text or Null")),
        }
    }
}

fn unprintable(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 {
            text.push(if index % 16 == 0 { '\n' } else { ' ' });
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| {
            let digit = c.to_digit(16).ok_or(format!("{c:?} is not a hex digit"))?;
            Ok(digit as u8)
        })
        .collect::<Result<_, String>>()?;
    if !digits.len().is_multiple_of(2) {
        return Err(format!(
            "{} hex digits do not make whole bytes",
            digits.len()
        ));
    }
    Ok(digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect())
}

impl ProduceForm {
    /// Takes over a record, to be sent again or changed first.
    pub fn fill(&mut self, record: ProduceOne) {
        self.mode = Mode::Once;
        self.topic = record.topic;
        self.key = Field::from_bytes(record.key.as_deref());
        self.value = Field::from_bytes(record.value.as_deref());
        self.headers = record
            .headers
            .iter()
            .map(|(key, value)| HeaderRow {
                key: Field::from_bytes(Some(key)),
                value: Field::from_bytes(value.as_deref()),
            })
            .collect();
        self.timestamp = record
            .timestamp_ms
            .map_or_else(String::new, |ms| ms.to_string());
    }

    /// The settings with the fixed partition put in, and the acks that idempotence needs.
    fn settings(&self) -> ProducerSettings {
        let mut settings = self.settings.clone();
        if settings.idempotence {
            settings.acks = Acks::All;
        }
        if let PartitionBy::Fixed(_) = settings.partition {
            settings.partition = PartitionBy::Fixed(PartitionIndex(self.fixed_partition));
        }
        settings
    }

    /// The one record as typed.
    pub fn record(&self) -> Result<ProduceOne, String> {
        self.check_record()?;
        let headers = self
            .headers
            .iter()
            .map(|row| {
                let key = row.key.bytes("Header key")?.unwrap_or_default();
                Ok((key, row.value.bytes("Header value")?))
            })
            .collect::<Result<_, String>>()?;
        Ok(ProduceOne {
            topic: self.topic.clone(),
            key: self.key.bytes("Key")?,
            value: self.value.bytes("Value")?,
            headers,
            timestamp_ms: self.timestamp_ms()?,
            settings: self.settings(),
        })
    }

    fn check_topic(&self) -> Result<(), String> {
        if self.topic.is_empty() {
            return Err("Topic: choose one".to_owned());
        }
        Ok(())
    }

    fn timestamp_ms(&self) -> Result<Option<i64>, String> {
        let text = self.timestamp.trim();
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<i64>() {
            Ok(ms) if ms >= 0 => Ok(Some(ms)),
            _ => Err(format!(
                "Timestamp: {text:?} is not a number of milliseconds since 1970-01-01 UTC"
            )),
        }
    }

    /// The stream of records as typed.
    pub fn plan(&self) -> Result<ProducerPlan, String> {
        self.check_topic()?;
        if !(0.1..=MAX_PRODUCER_RATE).contains(&self.rate) {
            return Err(format!(
                "Rate: {} is not between 0.1 and {MAX_PRODUCER_RATE} records per second",
                self.rate
            ));
        }
        let count = match self.count.trim() {
            "" => None,
            text => Some(
                text.parse::<u64>()
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or(format!("Stop after: {text:?} is not a number of records"))?,
            ),
        };
        Ok(ProducerPlan {
            name: if self.name.trim().is_empty() {
                format!("{}-gen", self.topic)
            } else {
                self.name.trim().to_owned()
            },
            topic: self.topic.clone(),
            key: self.key.template("Key")?,
            value: self.value.template("Value")?,
            headers: self.header_templates()?,
            settings: self.settings(),
            rate: self.rate,
            count,
        })
    }

    fn header_templates(&self) -> Result<Vec<(String, String)>, String> {
        self.headers
            .iter()
            .map(|row| {
                let key = row.key.template("Header key")?.unwrap_or_default();
                let value = row.value.template("Header value")?.ok_or(
                    "Header value: null cannot be sent at a rate; remove the header or give it a value",
                )?;
                Ok((key, value))
            })
            .collect()
    }

    /// The command the panel's main button sends.
    pub fn command(&self) -> Result<Command, String> {
        match self.mode {
            Mode::Once => self.record().map(Command::Produce),
            Mode::AtRate => self.plan().map(Command::StartProducer),
        }
    }

    /// Why there is no such command. Cheap however large the record is: asked for once a frame.
    pub fn check(&self) -> Result<(), String> {
        if self.mode == Mode::AtRate {
            return self.plan().map(drop);
        }
        self.check_record()
    }

    fn check_record(&self) -> Result<(), String> {
        self.check_topic()?;
        self.key.check("Key")?;
        self.value.check("Value")?;
        for row in &self.headers {
            row.key.check("Header key")?;
            row.value.check("Header value")?;
            // Its field takes no more, and what it cut off would be missed only by the reader.
            if row.value.held().is_none() && row.value.text.len() >= TYPED_BYTES {
                return Err(format!(
                    "Header value: no more than {TYPED_BYTES} bytes can be typed here"
                ));
            }
        }
        self.timestamp_ms().map(drop)
    }
}

/// Compressions in the order they are offered.
pub const COMPRESSIONS: &[(Compression, &str)] = &[
    (Compression::None, "none"),
    (Compression::Gzip, "gzip"),
    (Compression::Snappy, "snappy"),
    (Compression::Lz4, "lz4"),
    (Compression::Zstd, "zstd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn form(topic: &str) -> ProduceForm {
        ProduceForm {
            topic: topic.into(),
            ..ProduceForm::default()
        }
    }

    #[test]
    fn a_record_sent_again_is_the_same_record() {
        let record = ProduceOne {
            topic: "orders".into(),
            key: Some(vec![0xff, 0x00]),
            value: None,
            headers: vec![
                (b"trace".to_vec(), Some(b"9f2c".to_vec())),
                (vec![0xfe], Some(b"x".to_vec())),
            ],
            timestamp_ms: Some(1_795_303_025_413),
            settings: form("").settings,
        };
        let mut again = form("");
        again.fill(record.clone());
        assert_eq!(again.record().unwrap(), record);
    }

    #[test]
    fn an_empty_value_is_not_a_tombstone() {
        let mut form = form("t");
        assert_eq!(form.record().unwrap().value, Some(Vec::new()));
        form.value.encoding = Encoding::Null;
        assert_eq!(form.record().unwrap().value, None);
    }

    #[test]
    fn refusals_name_the_field() {
        let refusal = |change: &dyn Fn(&mut ProduceForm)| {
            let mut form = form("t");
            change(&mut form);
            let refusal = form.check().unwrap_err();
            assert_eq!(form.command().unwrap_err(), refusal);
            refusal
        };
        let hex = |text: &str| Field {
            encoding: Encoding::Hex,
            ..Field::typed(text)
        };
        assert!(refusal(&|form| form.topic.clear()).starts_with("Topic:"));
        assert!(refusal(&|form| form.key = hex("abc")).starts_with("Key: 3 hex digits"));
        assert!(refusal(&|form| form.value = hex("zz")).starts_with("Value: 'z'"));
        assert!(refusal(&|form| form.timestamp = "noon".into()).starts_with("Timestamp:"));
        assert!(
            refusal(&|form| {
                form.mode = Mode::AtRate;
                form.rate = f64::NAN;
            })
            .starts_with("Rate:")
        );
        assert!(
            refusal(&|form| {
                form.mode = Mode::AtRate;
                form.count = "0".into();
            })
            .starts_with("Stop after:")
        );
        assert!(
            refusal(&|form| {
                form.mode = Mode::AtRate;
                form.headers = vec![HeaderRow {
                    value: Field::from_bytes(None),
                    ..HeaderRow::default()
                }];
            })
            .starts_with("Header value: null")
        );
    }

    #[test]
    fn idempotence_asks_for_all_acks_and_forgets_no_choice() {
        let mut form = form("t");
        form.settings.acks = Acks::Leader;
        assert_eq!(form.record().unwrap().settings.acks, Acks::All);
        form.settings.idempotence = false;
        assert_eq!(form.record().unwrap().settings.acks, Acks::Leader);
    }

    #[test]
    fn what_is_too_long_to_be_typed_is_sent_unchanged() {
        let long: Vec<u8> = "x".repeat(860 * 1024).into_bytes();
        let record = ProduceOne {
            topic: "orders".into(),
            value: Some(long.clone()),
            settings: form("").settings,
            ..ProduceOne::default()
        };
        let mut form = form("");
        form.fill(record.clone());
        assert!(form.value.text.is_empty());
        assert_eq!(form.value.held(), Some(&long[..]));
        assert_eq!(form.record().unwrap(), record);
        form.mode = Mode::AtRate;
        assert!(form.check().unwrap_err().starts_with("Value: too long"));
        form.value.encoding = Encoding::Null;
        assert_eq!(form.check(), Ok(()));
        // A little is text or hex that can be changed.
        assert_eq!(Field::from_bytes(Some(b"x")).held, None);
        assert_eq!(Field::from_bytes(Some(&[0xff])).held, None);
    }
}
