//! Record batches as a whole: what is built is read back, and no bytes make a reader panic.

use proptest::prelude::*;

use super::*;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

const LIMIT: usize = 64 * 1024 * 1024;

const RULES: ProducedRules = ProducedRules {
    max_batch_bytes: 1024 * 1024,
    keys_required: false,
};

fn build(codec: Codec, records: &[OwnedRecord]) -> Vec<u8> {
    let mut builder = BatchBuilder::new().codec(codec);
    for record in records {
        push(&mut builder, record);
    }
    builder.build().unwrap()
}

fn push(builder: &mut BatchBuilder, record: &OwnedRecord) {
    let headers: Vec<HeaderSlice<'_>> = record
        .headers
        .iter()
        .map(|(key, value)| (key.as_slice(), value.as_deref()))
        .collect();
    builder.push(
        record.timestamp_ms,
        record.key.as_deref(),
        record.value.as_deref(),
        &headers,
    );
}

fn read_all(batch: &[u8]) -> Result<Vec<OwnedRecord>, BatchError> {
    let mut read = Vec::new();
    for view in batches(batch) {
        let mut records = view?.records(LIMIT)?;
        while let Some(record) = records.next_record()? {
            read.push(record.to_owned());
        }
    }
    Ok(read)
}

fn some_records(count: i64) -> Vec<OwnedRecord> {
    (0..count)
        .map(|n| OwnedRecord {
            offset: Offset(n),
            timestamp_ms: 1_700_000_000_000 + n,
            key: Some(format!("key {n}").into_bytes()),
            value: Some(format!("value {n}, much like the one before it").into_bytes()),
            headers: vec![],
        })
        .collect()
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), 0usize..3000).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

fn any_record() -> impl Strategy<Value = OwnedRecord> {
    (
        any::<i64>(),
        proptest::option::of(any_bytes()),
        proptest::option::of(any_bytes()),
        proptest::collection::vec((any_bytes(), proptest::option::of(any_bytes())), 0..4),
    )
        .prop_map(|(timestamp_ms, key, value, headers)| OwnedRecord {
            offset: Offset(0),
            timestamp_ms,
            key,
            value,
            headers,
        })
}

fn any_codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(Codec::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_built_is_read_back(
        codec in any_codec(),
        mut records in proptest::collection::vec(any_record(), 1..30),
    ) {
        for (at, record) in records.iter_mut().enumerate() {
            record.offset = Offset(at as i64);
        }
        let batch = build(codec, &records);
        let header = validate_produced(&batch, &RULES).unwrap();
        prop_assert_eq!(header.record_count as usize, records.len());
        prop_assert_eq!(header.codec(), Ok(codec));
        prop_assert_eq!(read_all(&batch), Ok(records));
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = validate_produced(&bytes, &RULES);
        let _ = read_all(&bytes);
    }

    /// Bytes behind a header that claims them, with a right CRC: what a hostile client would send.
    #[test]
    fn arbitrary_records_behind_a_good_header_do_not_panic(
        codec in any_codec(),
        count in -1i32..100,
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let batch = forge(codec, count, &body);
        let keyed = ProducedRules { keys_required: true, ..RULES };
        let _ = validate_produced(&batch, &RULES);
        let _ = validate_produced(&batch, &keyed);
        let _ = read_all(&batch);
    }
}

/// A batch with a consistent header around any body.
fn forge(codec: Codec, count: i32, body: &[u8]) -> Vec<u8> {
    let mut header = BatchHeader::parse(&build(Codec::None, &some_records(1))).unwrap();
    header.attributes = codec.bits();
    header.record_count = count;
    header.last_offset_delta = count - 1;
    header.length = (BatchHeader::BYTES - BatchHeader::LENGTH_COUNTS_FROM + body.len()) as i32;
    let mut batch = header.to_bytes().to_vec();
    batch.extend_from_slice(body);
    header.crc = crc32c::crc32c(&batch[BatchHeader::CRC_COVERS_FROM..]);
    batch[..BatchHeader::BYTES].copy_from_slice(&header.to_bytes());
    batch
}

#[test]
fn a_batch_cut_anywhere_or_with_any_bit_flipped_is_refused() {
    for codec in Codec::ALL {
        let batch = build(codec, &some_records(5));
        assert!(validate_produced(&batch, &RULES).is_ok());
        for end in 0..batch.len() {
            assert!(validate_produced(&batch[..end], &RULES).is_err());
            assert!(end == 0 || read_all(&batch[..end]).is_err());
        }
        for bit in 0..batch.len() * 8 {
            let mut flipped = batch.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // The leader epoch is the leader's to write; the CRC covers the rest or it is checked.
            let in_leader_epoch = (12..16).contains(&(bit / 8));
            assert_eq!(
                validate_produced(&flipped, &RULES).is_ok(),
                in_leader_epoch,
                "{codec} bit {bit}"
            );
            let _ = read_all(&flipped);
        }
    }
}

/// As above, but the attacker computes the CRC after flipping.
#[test]
fn flipped_bits_under_a_right_crc_do_not_panic() {
    for codec in Codec::ALL {
        let batch = build(codec, &some_records(20));
        for bit in 0..(batch.len() - BatchHeader::BYTES) * 8 {
            let mut body = batch[BatchHeader::BYTES..].to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            let forged = forge(codec, 20, &body);
            let keyed = ProducedRules {
                keys_required: true,
                ..RULES
            };
            let _ = validate_produced(&forged, &keyed);
            let _ = read_all(&forged);
        }
    }
}

#[test]
fn duplicate_and_non_utf8_headers_survive_in_order() {
    let record = OwnedRecord {
        headers: vec![
            (b"a".to_vec(), Some(vec![1])),
            (vec![0xff, 0xfe], None),
            (b"a".to_vec(), Some(vec![2])),
            (vec![], Some(vec![])),
        ],
        ..OwnedRecord::default()
    };
    let read = read_all(&build(Codec::Zstd, std::slice::from_ref(&record))).unwrap();
    assert_eq!(read, [record]);
}

#[test]
fn sixty_four_bit_values_survive() {
    let mut builder = BatchBuilder::new()
        .base(Offset(i64::MAX - 10), LeaderEpoch(i32::MAX))
        .producer(ProducerId(i64::MAX), ProducerEpoch(i16::MAX), i32::MAX)
        .transactional();
    for timestamp in [i64::MAX, 0, i64::MIN, -1] {
        builder.push(timestamp, None, None, &[]);
    }
    let batch = builder.build().unwrap();
    let header = BatchHeader::parse(&batch).unwrap();
    assert_eq!(header.base_offset, Offset(i64::MAX - 10));
    assert_eq!(header.last_offset(), Offset(i64::MAX - 7));
    assert_eq!(header.producer_id, ProducerId(i64::MAX));
    assert_eq!(header.last_sequence(), 2, "sequences wrap to 0");
    assert_eq!(header.to_bytes(), batch[..BatchHeader::BYTES]);
    let timestamps: Vec<i64> = read_all(&batch)
        .unwrap()
        .iter()
        .map(|record| record.timestamp_ms)
        .collect();
    assert_eq!(timestamps, [i64::MAX, 0, i64::MIN, -1]);
}

#[test]
fn control_records_say_what_they_are() {
    for control in [
        ControlType::Abort,
        ControlType::Commit,
        ControlType::KRaftVoters,
        ControlType::Unknown(99),
    ] {
        let mut builder = BatchBuilder::new().control();
        builder.push(0, Some(&control.key()), None, &[]);
        let batch = builder.build().unwrap();
        let mut records = BatchView::first(&batch).unwrap().records(LIMIT).unwrap();
        let record = records.next_record().unwrap().unwrap();
        assert_eq!(record.control_type(), Some(control));
    }
}

#[test]
fn what_a_client_may_not_send_is_refused() {
    let plain = || {
        let mut builder = BatchBuilder::new();
        builder.push(0, None, Some(b"v"), &[]);
        builder
    };
    let refusal = |batch: Vec<u8>| validate_produced(&batch, &RULES).unwrap_err();
    let is_invalid = |batch| matches!(refusal(batch), Refusal::Invalid(_));
    assert!(is_invalid(Vec::new()));
    assert!(is_invalid(BatchBuilder::new().build().unwrap()), "empty");
    assert!(is_invalid(plain().control().build().unwrap()));
    assert!(is_invalid(plain().transactional().build().unwrap()));
    let based = plain().base(Offset(1), LeaderEpoch(0));
    assert!(is_invalid(based.build().unwrap()));
    let unsequenced = plain().producer(ProducerId(1), ProducerEpoch(0), -1);
    assert!(is_invalid(unsequenced.build().unwrap()));
    let mut two = plain().build().unwrap();
    two.extend(plain().build().unwrap());
    assert!(is_invalid(two));
    for magic in [0, 1, 3] {
        let mut old = plain().build().unwrap();
        old[16] = magic;
        assert!(is_invalid(old), "magic {magic}");
    }
    let large = build(Codec::None, &some_records(100));
    let small = ProducedRules {
        max_batch_bytes: large.len() - 1,
        ..RULES
    };
    assert!(matches!(
        validate_produced(&large, &small),
        Err(Refusal::TooLarge { .. })
    ));
    let unknown = forge_attributes(&plain().build().unwrap(), 5);
    assert_eq!(refusal(unknown), Refusal::UnknownCodec(5));
}

fn forge_attributes(batch: &[u8], attributes: i16) -> Vec<u8> {
    let mut forged = batch.to_vec();
    forged[21..23].copy_from_slice(&attributes.to_be_bytes());
    let crc = crc32c::crc32c(&forged[BatchHeader::CRC_COVERS_FROM..]);
    forged[17..21].copy_from_slice(&crc.to_be_bytes());
    forged
}

#[test]
fn a_compacted_topic_names_the_records_without_a_key() {
    let rules = ProducedRules {
        keys_required: true,
        ..RULES
    };
    for codec in Codec::ALL {
        let mut records = some_records(5);
        assert!(validate_produced(&build(codec, &records), &rules).is_ok());
        records[1].key = None;
        records[4].key = None;
        assert_eq!(
            validate_produced(&build(codec, &records), &rules),
            Err(Refusal::KeysMissing(vec![1, 4])),
            "{codec}"
        );
    }
}

/// Records that unpack to `bytes` and almost nothing when packed.
fn bomb(codec: Codec, bytes: usize) -> Vec<u8> {
    let zeros = vec![0; 60_000];
    let mut builder = BatchBuilder::new().codec(codec);
    for n in 0..bytes / zeros.len() {
        builder.push(n as i64, Some(b"k"), Some(&zeros), &[]);
    }
    builder.build().unwrap()
}

#[test]
fn the_batches_of_one_request_share_what_may_be_unpacked() {
    let rules = ProducedRules {
        keys_required: true,
        ..RULES
    };
    let mut budget = CheckBudget::default();
    let check = |batch: &[u8], budget: &mut CheckBudget| validate_within(batch, &rules, budget);
    let large = bomb(Codec::Gzip, 20 << 20);
    assert!(check(&large, &mut budget).is_ok());
    let refused = check(&large, &mut budget).unwrap_err();
    assert_eq!(refused, Refusal::UnpacksTooMuch);
    assert_eq!(refused.code(), crate::wire::ErrorCode::MessageTooLarge);
    let small = build(Codec::Gzip, &some_records(3));
    assert_eq!(check(&small, &mut budget), Err(Refusal::UnpacksTooMuch));
    // What was never packed costs nothing to look at.
    assert!(check(&build(Codec::None, &some_records(3)), &mut budget).is_ok());
    assert!(check(&large, &mut CheckBudget::default()).is_ok());
}

#[test]
fn batches_that_do_not_unpack_use_the_budget_up() {
    let rules = ProducedRules {
        keys_required: true,
        ..RULES
    };
    let mut budget = CheckBudget::default();
    let damaged = forge(
        Codec::Gzip,
        2,
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 255, 255],
    );
    let mut failed = 0;
    while matches!(
        validate_within(&damaged, &rules, &mut budget),
        Err(Refusal::Corrupt(_))
    ) {
        failed += 1;
        assert!(failed < 20);
    }
    assert!(failed > 1);
}

#[test]
fn the_refusals_of_one_request_name_a_hundred_records_in_all() {
    let rules = ProducedRules {
        keys_required: true,
        ..RULES
    };
    let mut budget = CheckBudget::default();
    let mut records = some_records(80);
    records.iter_mut().for_each(|record| record.key = None);
    for (codec, named) in [(Codec::None, 80), (Codec::Zstd, 20), (Codec::None, 0)] {
        match validate_within(&build(codec, &records), &rules, &mut budget) {
            Err(Refusal::KeysMissing(indexes)) => assert_eq!(indexes.len(), named),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn compressed_batches_must_begin_as_their_codec_and_can_hold_only_so_many_records() {
    for codec in Codec::ALL.into_iter().filter(|codec| *codec != Codec::None) {
        for body in [&b"notgzip"[..], b"g", b""] {
            // A raw snappy block begins with nothing but a length.
            let fewest = if codec == Codec::Snappy { 20 } else { 1 };
            for count in [fewest, i32::MAX] {
                assert!(
                    validate_produced(&forge(codec, count, body), &RULES).is_err(),
                    "{codec}"
                );
            }
        }
        let honest = build(codec, &some_records(50));
        assert!(validate_produced(&honest, &RULES).is_ok(), "{codec}");
        let body = &honest[BatchHeader::BYTES..];
        let lying = forge(codec, i32::MAX, body);
        assert!(
            matches!(validate_produced(&lying, &RULES), Err(Refusal::Invalid(_))),
            "{codec}"
        );
        // The best each codec can do is accepted.
        let dense = vec![
            OwnedRecord {
                timestamp_ms: 5,
                ..OwnedRecord::default()
            };
            100_000
        ];
        assert!(
            validate_produced(&build(codec, &dense), &RULES).is_ok(),
            "{codec}"
        );
    }
}

#[test]
fn the_place_in_the_log_changes_no_crc_and_the_brokers_clock_does() {
    let mut batch = build(Codec::Lz4, &some_records(3));
    let before = BatchHeader::parse(&batch).unwrap();
    set_base(&mut batch, Offset(77), LeaderEpoch(5));
    let view = BatchView::first(&batch).unwrap();
    assert!(view.crc_ok());
    assert_eq!(view.header().base_offset, Offset(77));
    assert_eq!(view.header().last_offset(), Offset(79));
    assert_eq!(
        stamped_header(&before, view.body(), Offset(77), LeaderEpoch(5), None),
        batch[..BatchHeader::BYTES]
    );

    set_log_append_time(&mut batch, 42);
    let view = BatchView::first(&batch).unwrap();
    assert!(view.crc_ok());
    assert_ne!(view.header().crc, before.crc);
    let records = read_all(&batch).unwrap();
    assert!(records.iter().all(|record| record.timestamp_ms == 42));
    assert_eq!(records[2].offset, Offset(79));
}

#[test]
fn a_cut_batch_ends_a_range_and_the_whole_ones_before_it_are_read() {
    let mut bytes = build(Codec::None, &some_records(2));
    let whole = bytes.len();
    bytes.extend_from_slice(&build(Codec::Gzip, &some_records(2))[..70]);
    let mut range = batches(&bytes);
    assert_eq!(range.next().unwrap().unwrap().bytes().len(), whole);
    assert_eq!(range.rest().len(), 70);
    assert!(matches!(range.next(), Some(Err(BatchError::Cut { .. }))));
    assert!(range.next().is_none());
}

#[test]
fn raw_and_concatenated_xerial_snappy_are_read() {
    let records = some_records(100);
    let plain = build(Codec::None, &records);
    let body = &plain[BatchHeader::BYTES..];
    let raw = snap::raw::Encoder::new().compress_vec(body).unwrap();
    assert_eq!(
        read_all(&forge(Codec::Snappy, 100, &raw)).unwrap()[99].value,
        records[99].value
    );
    let (first, second) = body.split_at(body.len() / 2);
    let mut framed = Vec::new();
    Codec::Snappy.pack(first, &mut framed).unwrap();
    Codec::Snappy.pack(second, &mut framed).unwrap();
    assert_eq!(
        read_all(&forge(Codec::Snappy, 100, &framed)).unwrap().len(),
        100
    );
}

#[test]
fn lz4_frames_of_every_shape_are_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write as _;
    let plain = build(Codec::None, &some_records(5_000));
    let body = &plain[BatchHeader::BYTES..];
    for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB] {
        for mode in [BlockMode::Independent, BlockMode::Linked] {
            for checksums in [false, true] {
                let frame = FrameInfo::new()
                    .block_size(size)
                    .block_mode(mode)
                    .block_checksums(checksums)
                    .content_checksum(checksums)
                    .content_size(checksums.then_some(body.len() as u64));
                let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
                encoder.write_all(body).unwrap();
                let packed = encoder.finish().unwrap();
                let batch = forge(Codec::Lz4, 5_000, &packed);
                assert_eq!(read_all(&batch).unwrap(), some_records(5_000));
            }
        }
    }
}

#[test]
fn multi_member_gzip_is_read() {
    let plain = build(Codec::None, &some_records(10));
    let (first, second) = plain[BatchHeader::BYTES..].split_at(100);
    let mut packed = Vec::new();
    Codec::Gzip.pack(first, &mut packed).unwrap();
    Codec::Gzip.pack(second, &mut packed).unwrap();
    assert_eq!(
        read_all(&forge(Codec::Gzip, 10, &packed)).unwrap(),
        some_records(10)
    );
}

/// Level 22 asks for a window of 128 MiB whatever it packs.
#[test]
fn zstd_of_every_level_is_read() {
    use std::io::Write as _;
    let plain = build(Codec::None, &some_records(500));
    for level in [-5, 1, 3, 19, 22] {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).unwrap();
        encoder.write_all(&plain[BatchHeader::BYTES..]).unwrap();
        let packed = encoder.finish().unwrap();
        let batch = forge(Codec::Zstd, 500, &packed);
        assert_eq!(
            read_all(&batch).unwrap(),
            some_records(500),
            "level {level}"
        );
    }
}

#[test]
fn a_batch_that_expands_beyond_the_limit_is_stopped_there() {
    let zeros = vec![0u8; 3_000_000];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let records: Vec<OwnedRecord> = (0..4)
            .map(|_| OwnedRecord {
                value: Some(zeros.clone()),
                ..OwnedRecord::default()
            })
            .collect();
        let batch = build(codec, &records);
        let view = BatchView::first(&batch).unwrap();
        let mut records = view.records(5_000_000).unwrap();
        assert!(records.next_record().unwrap().is_some(), "{codec}");
        assert_eq!(
            records.next_record(),
            Err(BatchError::ExpandsTooMuch { limit: 5_000_000 }),
            "{codec}"
        );
        assert_eq!(records.next_record(), Ok(None), "nothing after an error");
    }
}

#[test]
fn a_packed_record_that_declares_gigabytes_is_refused_before_it_is_read() {
    let mut body = Vec::new();
    super::varint::put_varlong(&mut body, 2_000_000_000);
    body.resize(100_000, 0);
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut packed = Vec::new();
        codec.pack(&body, &mut packed).unwrap();
        assert!(matches!(
            read_all(&forge(codec, 1, &packed)),
            Err(BatchError::RecordTooLarge { .. })
        ));
    }
}
