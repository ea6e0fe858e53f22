//! What the connection doctor says of clients that speak byte by byte.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::program::{Klar, eventually, fresh_dir};

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;

/// Asks with a client id, in a version without tagged fields, and waits for the answer.
fn ask(stream: &mut TcpStream, api: i16, version: i16, body: &[u8]) {
    let client_id = "lost app";
    let mut frame = Vec::new();
    frame.extend(api.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(7_i32.to_be_bytes());
    frame.extend(i16::try_from(client_id.len()).unwrap().to_be_bytes());
    frame.extend(client_id.as_bytes());
    frame.extend(body);
    let length = i32::try_from(frame.len()).unwrap();
    stream.write_all(&length.to_be_bytes()).unwrap();
    stream.write_all(&frame).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
}

/// What the doctor says once it says this.
fn doctor(klar: &Klar, arguments: &[&str], wanted: &str) -> String {
    let line: Vec<&str> = ["doctor"].iter().chain(arguments).copied().collect();
    eventually(wanted, || {
        let said = String::from_utf8(klar.ctl(&line).stdout).unwrap();
        said.contains(wanted).then_some(said)
    })
}

#[test]
fn a_client_that_never_dials_again_is_found_and_stays_known_when_it_is_gone() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    for _ in 0..3 {
        let mut stream = TcpStream::connect(&klar.ready.bootstrap).unwrap();
        ask(&mut stream, API_VERSIONS, 0, &[]);
        // All topics.
        ask(&mut stream, METADATA, 1, &(-1_i32).to_be_bytes());
    }
    let said = doctor(&klar, &["lost app"], "second dial missing");
    let told = format!(
        "told\t{}\tbroker 1\tnot dialed since",
        &klar.ready.bootstrap
    );
    assert!(said.contains(&told), "{said}");
    assert!(said.contains("0 open\t3 ended"), "{said}");
    assert!(said.contains("asked\tMetadata v1\t3 requests"), "{said}");
    assert!(said.contains("to do\tIf it runs in a container"), "{said}");
}

#[test]
fn a_client_that_speaks_tls_is_told_why_it_was_turned_away() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    let mut stream = TcpStream::connect(&klar.ready.bootstrap).unwrap();
    stream
        .write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc])
        .unwrap();
    let said = doctor(&klar, &[], "turned away");
    assert!(said.contains("closed\t1 times\tit spoke TLS"), "{said}");
    assert!(said.contains("security.protocol=PLAINTEXT"), "{said}");
    let nobody = klar.ctl(&["doctor", "someone"]);
    assert!(!nobody.status.success());
}
