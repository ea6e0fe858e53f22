//! Any record batch: header, all five codecs, records and their headers, and what a broker checks.
#![no_main]

use klar::ids::{LeaderEpoch, Offset};
use klar::wire::records::{
    BatchView, ProducedRules, batches, set_base, set_log_append_time, validate_produced,
};

/// How far a batch may expand here: far beyond any input, far below what hurts.
const LIMIT_BYTES: usize = 1024 * 1024;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    for batch in batches(input).flatten() {
        read(&batch);
    }
    let mut sealed = input.to_vec();
    klar_fuzz::seal(&mut sealed);
    for keys_required in [false, true] {
        let rules = ProducedRules {
            max_batch_bytes: LIMIT_BYTES,
            keys_required,
        };
        if validate_produced(&sealed, &rules).is_ok() {
            set_base(&mut sealed, Offset(7), LeaderEpoch(3));
            set_log_append_time(&mut sealed, 9);
            let batch = BatchView::first(&sealed).expect("what was accepted is a batch");
            assert!(batch.crc_ok());
            assert_eq!(batch.header().base_offset, Offset(7));
        }
    }
    if let Ok(batch) = BatchView::first(&sealed) {
        read(&batch);
    }
});

/// Reads every record to the last header, as long as there is no error.
fn read(batch: &BatchView<'_>) {
    let Ok(mut records) = batch.records(LIMIT_BYTES) else {
        return;
    };
    while let Ok(Some(record)) = records.next_record() {
        let bytes: usize = record
            .headers()
            .map(|(key, value)| key.len() + value.map_or(0, <[u8]>::len))
            .sum();
        assert!(bytes <= LIMIT_BYTES);
        record.control_type();
    }
}
