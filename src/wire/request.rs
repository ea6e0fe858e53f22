//! The header in front of every request.
//!
//! Which of its two forms a request has follows from its key and version alone, so a header can be read
//! before anything is known of the body. The client id keeps its 16-bit length in both forms (KIP-511).

use super::apis::{self, Api};
use super::{ApiKey, DecodeError, EncodeError, Reader, Writer};

/// What stands in front of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    /// As the client wrote it: possibly outside what the API has.
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// The API asked for.
    pub fn api(&self) -> &'static Api {
        apis::api(self.api_key)
    }

    /// Whether the API has the version asked for. If not, only ApiVersions gets an answer.
    pub fn version_known(&self) -> bool {
        self.api().versions().contains(&self.api_version)
    }

    /// Writes the header in the form its key and version call for.
    ///
    /// # Errors
    /// A client id longer than 32,767 bytes.
    pub fn encode(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.set_flexible(false);
        writer.i16(self.api_key as i16);
        writer.i16(self.api_version);
        writer.i32(self.correlation_id);
        writer.nullable_string(self.client_id.as_deref(), true, "client_id")?;
        writer.set_flexible(self.api().is_flexible(self.api_version));
        writer.no_tags();
        Ok(())
    }
}

/// Reads the header at the start of a request.
///
/// # Errors
/// A key no API has ([`DecodeError::UnknownApi`]), or malformed bytes. An unknown version is no error
/// here: see [`RequestHeader::version_known`].
pub fn decode_header(reader: &mut Reader) -> Result<RequestHeader, DecodeError> {
    reader.set_flexible(false);
    let key = reader.i16()?;
    let api_version = reader.i16()?;
    let api_key = ApiKey::from_code(key).ok_or(DecodeError::UnknownApi(key))?;
    let correlation_id = reader.i32()?;
    let client_id = reader.nullable_string(true)?;
    reader.set_flexible(apis::api(api_key).is_flexible(api_version));
    reader.skip_tags()?;
    Ok(RequestHeader {
        api_key,
        api_version,
        correlation_id,
        client_id,
    })
}
