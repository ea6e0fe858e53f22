//! The header in front of every response.
//!
//! Flexible versions add tagged fields, except for ApiVersions: its header never has them, because a
//! client reads that answer before it knows what the broker speaks (KIP-511).

use super::{ApiKey, DecodeError, Reader, Writer, apis};

/// Starts a response: the header for an answer to `key` in `version`.
pub fn encode_header(writer: &mut Writer, key: ApiKey, version: i16, correlation_id: i32) {
    writer.i32(correlation_id);
    writer.set_flexible(has_tags(key, version));
    writer.no_tags();
}

/// Reads the header of an answer to `key` in `version`; the correlation id.
///
/// # Errors
/// Malformed bytes.
pub fn decode_header(reader: &mut Reader, key: ApiKey, version: i16) -> Result<i32, DecodeError> {
    let correlation_id = reader.i32()?;
    reader.set_flexible(has_tags(key, version));
    reader.skip_tags()?;
    Ok(correlation_id)
}

/// Whether the header of an answer to `key` in `version` ends with tagged fields.
pub fn has_tags(key: ApiKey, version: i16) -> bool {
    key != ApiKey::ApiVersions && apis::api(key).is_flexible(version)
}
