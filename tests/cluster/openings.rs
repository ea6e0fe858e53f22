//! Clients of other protocols are named and sent away at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::program::{Klar, eventually, fresh_dir};

#[test]
fn http_and_tls_are_closed_at_their_fourth_byte_and_named() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    for (opening, name) in [
        (&b"GET "[..], "HTTP"),
        (b"POST /topics HTTP/1.1\r\n", "HTTP"),
        (&[0x16, 3, 1, 2], "TLS"),
        (b"SSH-", "SSH"),
    ] {
        let mut stream = TcpStream::connect(&klar.ready.bootstrap).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream.write_all(opening).unwrap();
        let began = Instant::now();
        // Closed or reset: either way nothing comes.
        let mut nothing = Vec::new();
        let _ = stream.read_to_end(&mut nothing);
        assert!(nothing.is_empty());
        assert!(began.elapsed() < Duration::from_secs(5), "{name}");
        eventually(name, || {
            let events = klar.snapshot()["events"].to_string();
            events.contains(&format!("it spoke {name}")).then_some(())
        });
    }
    Client::connect(&klar.ready.bootstrap)
        .unwrap()
        .make_topic("still-here");
}

#[test]
fn absurd_lengths_are_closed_and_others_go_on() {
    let dir = fresh_dir();
    let klar = Klar::on(dir.path());
    for length in [-1i32, i32::MIN, i32::MAX, 200_000_000, 0] {
        let mut stream = TcpStream::connect(&klar.ready.bootstrap).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        let mut nothing = Vec::new();
        let _ = stream.read_to_end(&mut nothing);
        assert!(nothing.is_empty(), "{length}");
    }
    Client::connect(&klar.ready.bootstrap)
        .unwrap()
        .make_topic("still-here");
}
