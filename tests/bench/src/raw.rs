//! Just enough of the protocol for what librdkafka cannot show: reading and writing fields, and a blocking
//! connection that sends one request and waits for its response.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for a response.
const TIMEOUT: Duration = Duration::from_secs(60);

pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn position(&self) -> usize {
        self.at
    }

    pub fn skip(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let found = self
            .bytes
            .get(self.at..self.at + count)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        self.at += count;
        Ok(found)
    }

    pub fn i16(&mut self) -> io::Result<i16> {
        Ok(i16::from_be_bytes(
            self.skip(2)?.try_into().expect("two bytes"),
        ))
    }

    pub fn i32(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(
            self.skip(4)?.try_into().expect("four bytes"),
        ))
    }

    pub fn i64(&mut self) -> io::Result<i64> {
        Ok(i64::from_be_bytes(
            self.skip(8)?.try_into().expect("eight bytes"),
        ))
    }

    /// A string with a 16-bit length; `None` for −1.
    pub fn string(&mut self) -> io::Result<Option<String>> {
        let size = self.i16()?;
        if size < 0 {
            return Ok(None);
        }
        let bytes = self.skip(size as usize)?;
        String::from_utf8(bytes.to_vec())
            .map(Some)
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

pub fn put_str(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as i16).to_be_bytes());
    out.extend(text.as_bytes());
}

pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// To the first of the brokers `bootstrap` names.
    pub fn open(bootstrap: &str) -> io::Result<Self> {
        let first = bootstrap.split(',').next().unwrap_or_default();
        let stream = TcpStream::connect(first)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream })
    }

    /// Sends one request (header version 1) and answers the response after its correlation id.
    pub fn ask(&mut self, key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send(key, version, body)?;
        self.receive()
    }

    /// The next response, after its correlation id.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut response = vec![0; u32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut response)?;
        Ok(response.split_off(4))
    }

    /// Sends one request (header version 1).
    pub fn send(&mut self, key: i16, version: i16, body: &[u8]) -> io::Result<()> {
        let mut frame = vec![0; 4];
        frame.extend(key.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(7i32.to_be_bytes());
        put_str(&mut frame, "bench");
        frame.extend(body);
        let size = frame.len() as i32 - 4;
        frame[..4].copy_from_slice(&size.to_be_bytes());
        self.stream.write_all(&frame)
    }

    /// Sends the first bytes of a frame that never ends.
    pub fn begin_frame(&mut self) -> io::Result<()> {
        self.stream.write_all(&[0, 0, 4, 0, 0, 3, 0, 1])
    }

    pub fn api_versions(&mut self) -> io::Result<()> {
        let response = self.ask(18, 0, &[])?;
        expect_none(Fields::new(&response).i16()?, "ApiVersions")
    }

    /// CreateTopics v2.
    pub fn create_topic(&mut self, topic: &str, partitions: i32, replicas: i16) -> io::Result<()> {
        let mut body = 1i32.to_be_bytes().to_vec();
        put_str(&mut body, topic);
        body.extend(partitions.to_be_bytes());
        body.extend(replicas.to_be_bytes());
        body.extend([0; 8]);
        body.extend(60_000i32.to_be_bytes());
        body.push(0);
        let response = self.ask(19, 2, &body)?;
        let mut fields = Fields::new(&response);
        fields.skip(8)?;
        fields.string()?;
        expect_none(fields.i16()?, "CreateTopics")
    }

    /// Metadata v4 for one topic, made when it is missing; answers the topic's error code.
    pub fn metadata(&mut self, topic: &str) -> io::Result<i16> {
        let mut body = 1i32.to_be_bytes().to_vec();
        put_str(&mut body, topic);
        body.push(1);
        let response = self.ask(3, 4, &body)?;
        let mut fields = Fields::new(&response);
        fields.i32()?;
        for _ in 0..fields.i32()? {
            fields.i32()?;
            fields.string()?;
            fields.i32()?;
            fields.string()?;
        }
        fields.string()?;
        fields.i32()?;
        fields.i32()?;
        fields.i16()
    }

    /// FindCoordinator v0 for a group.
    pub fn find_coordinator(&mut self, group: &str) -> io::Result<()> {
        let mut body = Vec::new();
        put_str(&mut body, group);
        let response = self.ask(10, 0, &body)?;
        expect_none(Fields::new(&response).i16()?, "FindCoordinator")
    }

    /// IncrementalAlterConfigs v0 of one configuration of all brokers.
    pub fn set_for_all_brokers(&mut self, name: &str, value: &str) -> io::Result<()> {
        let mut body = 1i32.to_be_bytes().to_vec();
        body.push(4);
        put_str(&mut body, "");
        body.extend(1i32.to_be_bytes());
        put_str(&mut body, name);
        body.push(0);
        put_str(&mut body, value);
        body.push(0);
        let response = self.ask(44, 0, &body)?;
        let mut fields = Fields::new(&response);
        fields.skip(8)?;
        expect_none(fields.i16()?, "IncrementalAlterConfigs")
    }

    /// Produce v3 with acks=1 of one record to partition 0.
    pub fn produce_one(&mut self, topic: &str) -> io::Result<()> {
        let batch = one_record();
        let mut body = (-1i16).to_be_bytes().to_vec();
        body.extend(1i16.to_be_bytes());
        body.extend(30_000i32.to_be_bytes());
        body.extend(1i32.to_be_bytes());
        put_str(&mut body, topic);
        body.extend(1i32.to_be_bytes());
        body.extend(0i32.to_be_bytes());
        body.extend((batch.len() as i32).to_be_bytes());
        body.extend(batch);
        let response = self.ask(0, 3, &body)?;
        let mut fields = Fields::new(&response);
        fields.i32()?;
        fields.string()?;
        fields.skip(8)?;
        expect_none(fields.i16()?, "Produce")
    }
}

fn expect_none(code: i16, what: &str) -> io::Result<()> {
    match code {
        0 => Ok(()),
        _ => Err(io::Error::other(format!("{what} answers error {code}"))),
    }
}

/// A batch of one record without key: the value `hello`.
fn one_record() -> Vec<u8> {
    let record = [20, 0, 0, 0, 1, 10, b'h', b'e', b'l', b'l', b'o', 0];
    // length 11 as a zigzag varint is 22: attributes, two deltas, null key, value length 5, value, no headers
    let record = {
        let mut r = record.to_vec();
        r[0] = 22;
        r
    };
    let mut tail = Vec::new();
    tail.extend(0i16.to_be_bytes());
    tail.extend(0i32.to_be_bytes());
    tail.extend([0; 16]);
    tail.extend((-1i64).to_be_bytes());
    tail.extend((-1i16).to_be_bytes());
    tail.extend((-1i32).to_be_bytes());
    tail.extend(1i32.to_be_bytes());
    tail.extend(record);
    let mut batch = vec![0; 8];
    batch.extend((tail.len() as i32 + 9).to_be_bytes());
    batch.extend((-1i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c::crc32c(&tail).to_be_bytes());
    batch.extend(tail);
    batch
}
