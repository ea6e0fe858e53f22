//! What admin clients are answered: each case is a verb of a driver and asserted there.

use crate::broker::Broker;
use crate::driver::Driver;

macro_rules! cases {
    ($($client:ident: $($case:ident)*;)*) => {
        $(mod $client {
            $(#[test]
            fn $case() {
                crate::admin::case(stringify!($client), stringify!($case));
            })*
        })*
    };
}

cases! {
    java: cluster topics elect reassign quorum log_dirs features configs partitions unregister;
    franz: cluster elect reassign log_dirs configs;
    confluent: cluster elect configs;
    kafka_python: cluster;
}

fn case(client: &str, case: &str) {
    let topic = format!("{client}-admin-{case}");
    Driver::of(client).admin(Broker::get(), &topic, case);
}
