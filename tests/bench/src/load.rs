//! librdkafka as the load, through its C interface: the same library most clients of other languages wrap.
//! All unsafe code of the loads is here.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka_sys as c;

/// Messages whose delivery was acknowledged, and those that failed, of the producer that runs.
static ACKED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);

const ERROR_TEXT_BYTES: usize = 512;
/// Messages taken from librdkafka's queue at once.
const CONSUME_BATCH: usize = 10_000;
/// Longest a load may take.
const TIMEOUT: Duration = Duration::from_secs(120);

struct Client {
    handle: *mut c::rd_kafka_t,
}

type DeliveryCallback =
    unsafe extern "C" fn(*mut c::rd_kafka_t, *const c::rd_kafka_message_t, *mut c_void);

impl Client {
    fn new(
        kind: c::rd_kafka_type_t,
        settings: &[(&str, &str)],
        delivered: Option<(DeliveryCallback, *mut c_void)>,
    ) -> Result<Self, String> {
        let mut text = [0 as c_char; ERROR_TEXT_BYTES];
        unsafe {
            let conf = c::rd_kafka_conf_new();
            for (key, value) in settings {
                let key = CString::new(*key).expect("no zero byte");
                let value = CString::new(*value).expect("no zero byte");
                let (text_at, size) = (text.as_mut_ptr(), text.len());
                let set = c::rd_kafka_conf_set(conf, key.as_ptr(), value.as_ptr(), text_at, size);
                if set != c::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
                    return Err(CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned());
                }
            }
            if let Some((callback, opaque)) = delivered {
                c::rd_kafka_conf_set_dr_msg_cb(conf, Some(callback));
                c::rd_kafka_conf_set_opaque(conf, opaque);
            }
            let handle = c::rd_kafka_new(kind, conf, text.as_mut_ptr(), text.len());
            if handle.is_null() {
                return Err(CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned());
            }
            Ok(Self { handle })
        }
    }

    fn topic(&self, name: &str) -> *mut c::rd_kafka_topic_t {
        let name = CString::new(name).expect("no zero byte");
        unsafe { c::rd_kafka_topic_new(self.handle, name.as_ptr(), ptr::null_mut()) }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        unsafe { c::rd_kafka_destroy(self.handle) }
    }
}

unsafe extern "C" fn count_delivery(
    _: *mut c::rd_kafka_t,
    message: *const c::rd_kafka_message_t,
    _: *mut c_void,
) {
    let counter = match unsafe { (*message).err } {
        c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => &ACKED,
        _ => &FAILED,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Where records go and when they count as stored.
pub struct Target<'a> {
    pub bootstrap: &'a str,
    pub topic: &'a str,
    pub partitions: i32,
    pub acks: &'a str,
}

/// Sends `count` records of `size` bytes without keys to all partitions in turn, uncompressed;
/// answers how long it took until all were acknowledged.
pub fn produce(target: &Target, count: u64, size: usize) -> Result<Duration, String> {
    let settings = [
        ("bootstrap.servers", target.bootstrap),
        ("acks", target.acks),
        ("queue.buffering.max.messages", "500000"),
        ("message.timeout.ms", "60000"),
    ];
    ACKED.store(0, Ordering::Relaxed);
    FAILED.store(0, Ordering::Relaxed);
    let kind = c::rd_kafka_type_t::RD_KAFKA_PRODUCER;
    let client = Client::new(kind, &settings, Some((count_delivery, ptr::null_mut())))?;
    let topic = client.topic(target.topic);
    let payload = payload(size);
    // The first acknowledgement stands before the clock: connecting is not throughput.
    send(&client, topic, 0, &payload, ptr::null_mut())?;
    wait_acked(&client, 1)?;
    let start = Instant::now();
    for i in 0..count {
        // Runs of records per partition, as a client's sticky partitioner makes them.
        let partition = (i / 256) as i32 % target.partitions;
        send(&client, topic, partition, &payload, ptr::null_mut())?;
    }
    wait_acked(&client, count + 1)?;
    let elapsed = start.elapsed();
    unsafe { c::rd_kafka_topic_destroy(topic) };
    Ok(elapsed)
}

fn send(
    client: &Client,
    topic: *mut c::rd_kafka_topic_t,
    partition: i32,
    payload: &[u8],
    opaque: *mut c_void,
) -> Result<(), String> {
    loop {
        // Without a copy and without a free: the payload outlives the producer.
        let sent = unsafe {
            let bytes = payload.as_ptr().cast_mut().cast();
            c::rd_kafka_produce(
                topic,
                partition,
                0,
                bytes,
                payload.len(),
                ptr::null(),
                0,
                opaque,
            )
        };
        if sent == 0 {
            return Ok(());
        }
        match unsafe { c::rd_kafka_last_error() } {
            c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL => unsafe {
                c::rd_kafka_poll(client.handle, 10);
            },
            error => return Err(format!("rd_kafka_produce: {error:?}")),
        }
    }
}

fn wait_acked(client: &Client, wanted: u64) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let failed = FAILED.load(Ordering::Relaxed);
        if failed > 0 {
            return Err(format!("{failed} records were not delivered"));
        }
        if ACKED.load(Ordering::Relaxed) >= wanted {
            return Ok(());
        }
        if start.elapsed() > TIMEOUT {
            return Err(format!(
                "{} of {wanted} acknowledged",
                ACKED.load(Ordering::Relaxed)
            ));
        }
        unsafe { c::rd_kafka_poll(client.handle, 10) };
    }
}

fn payload(size: usize) -> Vec<u8> {
    (0..size as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// Reads `count` records from the beginning of all partitions; answers how long it took from the first
/// record on.
pub fn consume(target: &Target, count: u64) -> Result<Duration, String> {
    let settings = [
        ("bootstrap.servers", target.bootstrap),
        ("group.id", "not-used"),
        ("enable.auto.commit", "false"),
        ("fetch.wait.max.ms", "50"),
    ];
    let client = Client::new(c::rd_kafka_type_t::RD_KAFKA_CONSUMER, &settings, None)?;
    let topic = client.topic(target.topic);
    let queue = unsafe { c::rd_kafka_queue_new(client.handle) };
    for partition in 0..target.partitions {
        let beginning = i64::from(c::RD_KAFKA_OFFSET_BEGINNING);
        unsafe { c::rd_kafka_consume_start_queue(topic, partition, beginning, queue) };
    }
    let begun = Instant::now();
    let mut start = None;
    let mut read = 0;
    let mut messages = vec![ptr::null_mut(); CONSUME_BATCH];
    while read < count {
        let got = unsafe {
            c::rd_kafka_consume_batch_queue(queue, 100, messages.as_mut_ptr(), messages.len())
        };
        for message in &messages[..got.max(0) as usize] {
            unsafe {
                if (**message).err == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    read += 1;
                }
                c::rd_kafka_message_destroy(*message);
            }
        }
        if read > 0 && start.is_none() {
            start = Some(Instant::now());
        }
        if begun.elapsed() > TIMEOUT {
            return Err(format!("read {read} of {count} records"));
        }
    }
    let elapsed = start.unwrap_or(begun).elapsed();
    for partition in 0..target.partitions {
        unsafe { c::rd_kafka_consume_stop(topic, partition) };
    }
    unsafe {
        c::rd_kafka_queue_destroy(queue);
        c::rd_kafka_topic_destroy(topic);
    }
    Ok(elapsed)
}

/// Has a new member of a group subscribe and read; answers how long it took from before subscribing to its first
/// record.
pub fn join(target: &Target, group: &str) -> Result<Duration, String> {
    let settings = [
        ("bootstrap.servers", target.bootstrap),
        ("group.id", group),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
    ];
    let client = Client::new(c::rd_kafka_type_t::RD_KAFKA_CONSUMER, &settings, None)?;
    let topic = CString::new(target.topic).expect("no zero byte");
    let begun = Instant::now();
    let subscribed = unsafe {
        c::rd_kafka_poll_set_consumer(client.handle);
        let topics = c::rd_kafka_topic_partition_list_new(1);
        c::rd_kafka_topic_partition_list_add(topics, topic.as_ptr(), -1);
        let subscribed = c::rd_kafka_subscribe(client.handle, topics);
        c::rd_kafka_topic_partition_list_destroy(topics);
        subscribed
    };
    if subscribed != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Err(format!("cannot subscribe: {subscribed:?}"));
    }
    let mut joined = None;
    while joined.is_none() && begun.elapsed() < TIMEOUT {
        let message = unsafe { c::rd_kafka_consumer_poll(client.handle, 100) };
        if !message.is_null() {
            unsafe {
                if (*message).err == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    joined = Some(begun.elapsed());
                }
                c::rd_kafka_message_destroy(message);
            }
        }
    }
    unsafe { c::rd_kafka_consumer_close(client.handle) };
    joined.ok_or_else(|| "read nothing".to_owned())
}

/// What the latency load keeps: when it began, and each acknowledged record's latency in µs.
struct Latencies {
    begun: Instant,
    micros: Vec<u64>,
    failed: u64,
}

unsafe extern "C" fn time_delivery(
    _: *mut c::rd_kafka_t,
    message: *const c::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // `opaque` is the Latencies of `ack_latencies`, used only by the thread that polls.
    let latencies = unsafe { &mut *opaque.cast::<Latencies>() };
    if unsafe { (*message).err } == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        let sent = unsafe { (*message)._private } as u64;
        latencies
            .micros
            .push(latencies.begun.elapsed().as_micros() as u64 - sent);
    } else {
        latencies.failed += 1;
    }
}

/// Sends 1 KiB records at `per_second` with linger.ms=0 for `how_long`; answers each one's time from
/// `rd_kafka_produce` to its delivery report, µs, sorted.
pub fn ack_latencies(
    target: &Target,
    per_second: u64,
    how_long: Duration,
) -> Result<Vec<u64>, String> {
    let settings = [
        ("bootstrap.servers", target.bootstrap),
        ("acks", target.acks),
        ("linger.ms", "0"),
    ];
    let mut latencies = Latencies {
        begun: Instant::now(),
        micros: Vec::new(),
        failed: 0,
    };
    let opaque = ptr::from_mut(&mut latencies).cast::<c_void>();
    let kind = c::rd_kafka_type_t::RD_KAFKA_PRODUCER;
    let client = Client::new(kind, &settings, Some((time_delivery, opaque)))?;
    let topic = client.topic(target.topic);
    let payload = payload(1024);
    // Connect and warm up first; those latencies are thrown away.
    let warm_up = per_second / 4;
    let total = warm_up + per_second * how_long.as_millis() as u64 / 1000;
    let interval = Duration::from_micros(1_000_000 / per_second);
    let mut due = Instant::now();
    for i in 0..total {
        let now = latencies.begun.elapsed().as_micros() as u64;
        send(&client, topic, 0, &payload, now as *mut c_void)?;
        due += interval;
        if i == 0 {
            due += Duration::from_millis(500);
        }
        // Poll until the next one is due: a delivery report is served the moment it is there.
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            unsafe { c::rd_kafka_poll(client.handle, left.as_millis().max(1) as i32) };
        }
    }
    unsafe {
        c::rd_kafka_flush(client.handle, 10_000);
        c::rd_kafka_topic_destroy(topic);
    }
    drop(client);
    if latencies.failed > 0 || latencies.micros.len() < total as usize {
        return Err(format!(
            "{} of {total} acknowledged",
            latencies.micros.len()
        ));
    }
    let mut micros = latencies.micros.split_off(warm_up as usize);
    micros.sort_unstable();
    Ok(micros)
}

pub fn version() -> String {
    unsafe { CStr::from_ptr(c::rd_kafka_version_str()) }
        .to_string_lossy()
        .into_owned()
}
