//! Records to start from: keys and values with placeholders for fake values.

/// One ready-made stream.
pub struct Template {
    pub name: &'static str,
    pub key: &'static str,
    pub value: &'static str,
}

/// The templates offered, simplest first.
pub const TEMPLATES: &[Template] = &[
    Template {
        name: "Counter",
        key: "key-{int 0 7}",
        value: "{n}",
    },
    Template {
        name: "Orders",
        key: "{pick bike-17|bike-18|helmet-3|lock-5|light-9}",
        value: r#"{"order": {n}, "sku": "{pick bike-17|bike-18|helmet-3|lock-5|light-9}", "qty": {int 1 5}, "price": {float 5 900}, "at": "{now}"}"#,
    },
    Template {
        name: "People",
        key: "{uuid}",
        value: r#"{"name": "{name}", "email": "{email}", "city": "{city}"}"#,
    },
    Template {
        name: "Clicks",
        key: "user-{int 1 200}",
        value: r#"{"page": "/{word}/{word}", "ms": {int 3 900}, "at": {now_ms}}"#,
    },
    Template {
        name: "Sensor",
        key: "sensor-{int 1 12}",
        value: r#"{"celsius": {float 12 31}, "at": {now_ms}}"#,
    },
];

/// What the placeholders are, for the panel's hint.
pub const PLACEHOLDERS: &str = "{n} counter · {uuid} · {int 1 9} · {float 0 1} · {pick a|b|c} · \
{name} · {email} · {city} · {word} · {now} · {now_ms}";
