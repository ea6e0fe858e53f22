//! Any request body in any version.
#![no_main]

use klar::wire::fields::Side;

libfuzzer_sys::fuzz_target!(|input: &[u8]| klar_fuzz::message(Side::Request, input));
