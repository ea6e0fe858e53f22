//! Record batches made to hurt whoever opens them: what they cost in heap, whatever they claim.

use std::io::Write as _;

use klar::wire::records::{
    BatchBuilder, BatchError, BatchHeader, BatchView, Codec, ProducedRules, validate_produced,
};

use crate::heap;

/// Reading a hostile batch may hold at most this many times its bytes.
const MOST_PER_BYTE: usize = 10;

/// Bytes a batch of these tests may expand to before its reader stops.
const LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// A batch with a right CRC around any body.
fn forge(codec: Codec, count: i32, body: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.push(0, None, None, &[]);
    let mut header = BatchHeader::parse(&builder.build().unwrap()).unwrap();
    header.attributes = codec.bits();
    header.record_count = count;
    header.last_offset_delta = count - 1;
    header.length = (BatchHeader::BYTES - BatchHeader::LENGTH_COUNTS_FROM + body.len()) as i32;
    let mut batch = [&header.to_bytes()[..], body].concat();
    header.crc = crc32c::crc32c(&batch[BatchHeader::CRC_COVERS_FROM..]);
    batch[..BatchHeader::BYTES].copy_from_slice(&header.to_bytes());
    batch
}

/// Opens a batch as a consumer, an inspector and a compacted topic would; the heap it took at most.
fn open(batch: &[u8]) -> usize {
    let ((), peak) = heap::peak(|| {
        let view = BatchView::first(batch).unwrap();
        if let Ok(mut records) = view.records(LIMIT_BYTES) {
            while let Ok(Some(record)) = records.next_record() {
                std::hint::black_box(record.headers().count());
            }
        }
        let rules = ProducedRules {
            max_batch_bytes: usize::MAX,
            keys_required: true,
        };
        let _ = validate_produced(batch, &rules);
    });
    peak
}

/// What a record stream begins with that promises `length` bytes of record.
fn promise(length: u64) -> Vec<u8> {
    let mut rest = length << 1;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// The smallest record there is: no key, no value, no headers.
const SMALLEST: [u8; 7] = [0x0c, 0, 0, 0, 1, 1, 0];

/// At least `packed` bytes that unpack to `first` and then to `fill` again and again.
fn bomb(codec: Codec, first: &[u8], fill: &[u8], packed: usize) -> Vec<u8> {
    let filling = fill.repeat(4 * 1024 * 1024 / fill.len());
    match codec {
        Codec::Gzip => {
            // Members may follow one another, as may frames of zstd.
            let mut bytes = gzip(first);
            let member = gzip(&filling);
            while bytes.len() < packed {
                bytes.extend_from_slice(&member);
            }
            bytes
        }
        Codec::Zstd => {
            let mut bytes = zstd::encode_all(first, 19).unwrap();
            let frame = zstd::encode_all(&filling[..], 19).unwrap();
            while bytes.len() < packed {
                bytes.extend_from_slice(&frame);
            }
            bytes
        }
        Codec::Lz4 => {
            use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
            let frame = FrameInfo::new()
                .block_size(BlockSize::Max4MB)
                .block_mode(BlockMode::Linked);
            let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
            encoder.write_all(first).unwrap();
            while encoder.get_ref().len() < packed {
                encoder.write_all(&filling).unwrap();
            }
            encoder.finish().unwrap()
        }
        Codec::Snappy => {
            let mut bytes = vec![0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
            bytes.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
            let mut chunk = |plain: &[u8]| {
                let packed = snap::raw::Encoder::new().compress_vec(plain).unwrap();
                bytes.extend_from_slice(&(packed.len() as u32).to_be_bytes());
                bytes.extend_from_slice(&packed);
                bytes.len()
            };
            chunk(first);
            while chunk(&filling) < packed {}
            bytes
        }
        Codec::None => unreachable!("nothing expands"),
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

const PACKED: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// The smallest records, by the hundred million.
#[test]
fn bombs_of_many_records_take_no_more_than_ten_times_their_bytes() {
    for codec in PACKED {
        let batch = forge(codec, i32::MAX, &bomb(codec, &[], &SMALLEST, 1024 * 1024));
        let peak = open(&batch);
        assert!(peak <= MOST_PER_BYTE * batch.len(), "{codec}: {peak}");
    }
}

/// One record that is as large as is still opened, and one that promises gigabytes.
#[test]
fn bombs_of_one_record_take_no_more_than_ten_times_their_bytes() {
    for codec in PACKED {
        for length in [4 * 1024 * 1024 - 16, 2_000_000_000] {
            let body = bomb(codec, &promise(length), &[0], 1024 * 1024);
            let batch = forge(codec, 1, &body);
            let peak = open(&batch);
            assert!(
                peak <= MOST_PER_BYTE * batch.len(),
                "{codec} {length}: {peak}"
            );
        }
    }
}

/// Small inputs that declare large windows, blocks and contents.
#[test]
fn what_is_only_declared_is_not_allocated() {
    const SLACK_BYTES: usize = 256 * 1024;
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x00, 0x00, 0x00];
    let zstd_content = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..],
        &(32u64 << 30).to_le_bytes(),
        &[0x01, 0x00, 0x00],
    ]
    .concat();
    let lz4 = [
        0x04, 0x22, 0x4d, 0x18, 0x40, 0x70, 0xdf, 0x05, 0x00, 0x00, 0x00, 1, 2, 3, 4, 5,
    ];
    let raw_snappy = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    let xerial = [
        &[
            0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
        ][..],
        &i32::MAX.to_be_bytes(),
    ]
    .concat();
    let windowless = open(&forge(Codec::Zstd, 1, &zstd));
    assert!(windowless <= 4 * 1024 * 1024 + SLACK_BYTES, "{windowless}");
    for (codec, body) in [
        (Codec::Zstd, &zstd_content[..]),
        (Codec::Lz4, &lz4),
        (Codec::Snappy, &raw_snappy),
        (Codec::Snappy, &xerial),
        (Codec::None, &promise(2_000_000_000)),
    ] {
        let peak = open(&forge(codec, 1, body));
        assert!(peak <= SLACK_BYTES, "{codec}: {peak}");
    }
}

#[test]
fn a_bomb_ends_at_the_limit_its_reader_sets() {
    for codec in PACKED {
        let batch = forge(codec, i32::MAX, &bomb(codec, &[], &SMALLEST, 400_000));
        let mut records = BatchView::first(&batch)
            .unwrap()
            .records(1_000_000)
            .unwrap();
        let error = loop {
            match records.next_record() {
                Ok(record) => assert!(record.is_some()),
                Err(error) => break error,
            }
        };
        let limit = 1_000_000;
        assert_eq!(error, BatchError::ExpandsTooMuch { limit }, "{codec}");
    }
}
