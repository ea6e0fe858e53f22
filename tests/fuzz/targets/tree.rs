//! Any frame as the tree the window shows.
#![no_main]

use bytes::Bytes;
use klar::wire::ApiKey;
use klar::wire::fields::{MAX_NODES, Node, Side, describe};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    for side in [Side::Request, Side::Response] {
        let Some((message, version, frame)) = klar_fuzz::pick(side, input) else {
            return;
        };
        let key = ApiKey::from_code(message.key).expect("a key of the table");
        let tree = describe(key, version, side, &Bytes::copy_from_slice(frame));
        let nodes: usize = tree.nodes.iter().map(|node| count(node, frame.len())).sum();
        assert!(nodes <= MAX_NODES + 2, "header and body come on top");
    }
});

/// How many nodes there are below and with this one; each lies inside the frame.
fn count(node: &Node, frame_bytes: usize) -> usize {
    assert!(node.range.start <= node.range.end && node.range.end <= frame_bytes);
    1 + node
        .children
        .iter()
        .map(|child| count(child, frame_bytes))
        .sum::<usize>()
}
