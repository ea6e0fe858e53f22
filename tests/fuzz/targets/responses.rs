//! Any response body in any version: what klar's client reads from a broker.
#![no_main]

use klar::wire::fields::Side;

libfuzzer_sys::fuzz_target!(|input: &[u8]| klar_fuzz::message(Side::Response, input));
