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
        // The key is the article; a second pick in the value would name another one.
        key: "{pick bike-17|lamp-8|pump-4|rack-6|lock-2}",
        value: r#"{"order": {n}, "qty": {int 1 5}, "price": {float 5 900}, "city": "{city}", "at": "{now}"}"#,
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
        key: "sensor-{int 1 24}",
        value: r#"{"celsius": {float 12 31}, "at": {now_ms}}"#,
    },
];

/// What the placeholders are, for the panel's hint.
pub const PLACEHOLDERS: &str = "{n} counter · {uuid} · {int 1 9} · {float 0 1} · {pick a|b|c} · \
{name} · {email} · {city} · {word} · {now} · {now_ms}";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every key a template of one `{pick …}` or `{int …}` makes; none for other templates.
    fn keys(template: &str) -> Vec<String> {
        let Some((before, rest)) = template.split_once('{') else {
            return Vec::new();
        };
        let (placeholder, after) = rest.split_once('}').unwrap();
        let values: Vec<String> = match placeholder.split_once(' ') {
            Some(("pick", list)) => list.split('|').map(str::to_owned).collect(),
            Some(("int", ends)) => {
                let (low, high) = ends.split_once(' ').unwrap();
                let (low, high): (i64, i64) = (low.parse().unwrap(), high.parse().unwrap());
                (low..=high).map(|number| number.to_string()).collect()
            }
            _ => Vec::new(),
        };
        let whole = |value| format!("{before}{value}{after}");
        values.into_iter().map(whole).collect()
    }

    /// A new topic has three partitions: its first stream should be seen in all of them.
    #[test]
    fn a_templates_keys_reach_all_of_three_partitions() {
        for template in TEMPLATES {
            let keys = keys(template.key);
            let reached: BTreeSet<i32> = keys
                .iter()
                .map(|key| crate::ids::partition_for_key(key.as_bytes(), 3).0)
                .collect();
            assert!(keys.is_empty() || reached.len() == 3, "{}", template.name);
        }
    }
}
