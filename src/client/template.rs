//! Text with placeholders that become fake data: what a producer of the window sends.
//!
//! The placeholders are those of `inspect::ProducerPlan`. Braces that hold none of them stay as they are,
//! so JSON can be written down plainly. Randomness and the time are given; the same seed gives the same text.

use std::fmt::Write as _;

use rand::Rng;
use thiserror::Error;

use crate::ids::Time;

/// A template, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    parts: Vec<Part>,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{placeholder}: {why}")]
pub struct TemplateError {
    /// The placeholder as it was written.
    pub placeholder: String,
    pub why: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Counter,
    Uuid,
    Int { low: i64, high: i64 },
    Float { low: f64, high: f64 },
    Pick(Vec<String>),
    Name,
    Email,
    City,
    Word,
    Now,
    NowMs,
}

/// Placeholders without arguments.
const PLAIN: &[(&str, Part)] = &[
    ("n", Part::Counter),
    ("uuid", Part::Uuid),
    ("name", Part::Name),
    ("email", Part::Email),
    ("city", Part::City),
    ("word", Part::Word),
    ("now", Part::Now),
    ("now_ms", Part::NowMs),
];

const FIRST_NAMES: &[&str] = &[
    "Ada",
    "Alan",
    "Amara",
    "Chen",
    "Diego",
    "Edsger",
    "Fatima",
    "Grace",
    "Hiro",
    "Ines",
    "Jonas",
    "Katherine",
    "Leila",
    "Linus",
    "Mei",
    "Noor",
    "Olga",
    "Priya",
    "Tomas",
    "Zoe",
];
const LAST_NAMES: &[&str] = &[
    "Almeida", "Berg", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito",
    "Jansen", "Khan", "Lopez", "Moreau", "Novak", "Okafor", "Patel", "Rossi", "Sato", "Turner",
    "Wagner",
];
const CITIES: &[&str] = &[
    "Accra", "Berlin", "Bogota", "Cairo", "Chennai", "Dublin", "Hanoi", "Istanbul", "Kyoto",
    "Lagos", "Lima", "Lisbon", "Montreal", "Nairobi", "Oslo", "Prague", "Seoul", "Sydney",
    "Toronto", "Vienna",
];
const WORDS: &[&str] = &[
    "amber", "anchor", "breeze", "canyon", "cedar", "comet", "delta", "ember", "falcon", "forest",
    "harbor", "island", "lantern", "meadow", "mosaic", "nectar", "orbit", "pebble", "quartz",
    "river", "saffron", "timber", "umbra", "velvet", "willow", "zenith",
];

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A placeholder whose arguments make no sense.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, from_brace) = rest.split_at(open);
            plain.push_str(before);
            let placeholder = from_brace
                .find('}')
                .map(|close| &from_brace[1..close])
                .filter(|inside| !inside.contains('{'));
            let part = placeholder.map(parse_placeholder).transpose()?.flatten();
            match (placeholder, part) {
                (Some(inside), Some(part)) => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(part);
                    rest = &from_brace[inside.len() + 2..];
                }
                _ => {
                    plain.push('{');
                    rest = &from_brace[1..];
                }
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template { parts })
    }

    /// The text for record number `n`.
    pub fn render(&self, random: &mut impl Rng, n: u64, now: Time) -> String {
        let mut out = String::new();
        for part in &self.parts {
            part.render(random, n, now, &mut out);
        }
        out
    }
}

/// What stands between two braces; `None` if it is no placeholder.
fn parse_placeholder(inside: &str) -> Result<Option<Part>, TemplateError> {
    if let Some((_, part)) = PLAIN.iter().find(|(name, _)| *name == inside) {
        return Ok(Some(part.clone()));
    }
    let Some((name, arguments)) = inside.split_once(' ') else {
        return Ok(None);
    };
    let wrong = |why| TemplateError {
        placeholder: format!("{{{inside}}}"),
        why,
    };
    let part = match name {
        "int" => {
            let (low, high) =
                two_numbers(arguments).ok_or_else(|| wrong("needs two whole numbers"))?;
            if low > high {
                return Err(wrong("the first number is the larger one"));
            }
            Part::Int { low, high }
        }
        "float" => {
            let (low, high) = two_numbers::<f64>(arguments)
                .filter(|(low, high)| low.is_finite() && high.is_finite())
                .ok_or_else(|| wrong("needs two numbers"))?;
            if low > high {
                return Err(wrong("the first number is the larger one"));
            }
            Part::Float { low, high }
        }
        "pick" => Part::Pick(arguments.split('|').map(str::to_owned).collect()),
        _ => return Ok(None),
    };
    Ok(Some(part))
}

fn two_numbers<T: std::str::FromStr>(arguments: &str) -> Option<(T, T)> {
    let mut numbers = arguments.split_whitespace().map(str::parse);
    let both = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    numbers.next().is_none().then_some(both)
}

impl Part {
    fn render(&self, random: &mut impl Rng, n: u64, now: Time, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self {
            Part::Text(text) => out.write_str(text),
            Part::Counter => write!(out, "{n}"),
            Part::Uuid => write_uuid(random.random(), out),
            Part::Int { low, high } => write!(out, "{}", random.random_range(*low..=*high)),
            Part::Float { low, high } => {
                let share: f64 = random.random();
                write!(out, "{:.3}", low + (high - low) * share)
            }
            Part::Pick(choices) => out.write_str(&choices[random.random_range(0..choices.len())]),
            Part::Name => write!(
                out,
                "{} {}",
                one_of(FIRST_NAMES, random),
                one_of(LAST_NAMES, random)
            ),
            Part::Email => {
                let first = one_of(FIRST_NAMES, random).to_lowercase();
                let last = one_of(LAST_NAMES, random).to_lowercase();
                write!(out, "{first}.{last}@example.com")
            }
            Part::City => out.write_str(one_of(CITIES, random)),
            Part::Word => out.write_str(one_of(WORDS, random)),
            Part::Now => write!(out, "{}", now.iso()),
            Part::NowMs => write!(out, "{}", now.as_ms()),
        };
    }
}

fn one_of(words: &'static [&'static str], random: &mut impl Rng) -> &'static str {
    words[random.random_range(0..words.len())]
}

/// A random UUID (version 4).
fn write_uuid(bits: u128, out: &mut String) -> std::fmt::Result {
    let bits = bits & !(0xf000 << 64) & !(0xc << 60) | (0x4000 << 64) | (0x8 << 60);
    let hex = format!("{bits:032x}");
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    write!(out, "{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    fn render(text: &str) -> String {
        let mut random = SmallRng::seed_from_u64(7);
        let now = Time::from_ms(1_709_210_096_789);
        Template::parse(text).unwrap().render(&mut random, 42, now)
    }

    #[test]
    fn fixed_placeholders() {
        for (template, text) in [
            ("", ""),
            ("order-{n}", "order-42"),
            ("{now}", "2024-02-29T12:34:56.789Z"),
            ("{now_ms}", "1709210096789"),
            ("{pick only}", "only"),
            ("{int 5 5}", "5"),
            ("{float 2 2}", "2.000"),
            (r#"{"id": {n}, "tags": {}}"#, r#"{"id": 42, "tags": {}}"#),
            ("{unknown} {n", "{unknown} {n"),
            ("}{n}{", "}42{"),
        ] {
            assert_eq!(render(template), text, "{template}");
        }
    }

    #[test]
    fn random_placeholders_stay_in_range_and_repeat_with_the_seed() {
        let uuid = render("{uuid}");
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"), "{uuid}");
        for _ in 0..50 {
            let number: i64 = render("{int -3 3}").parse().unwrap();
            assert!((-3..=3).contains(&number));
            assert!(["A", "B", "C"].contains(&render("{pick A|B|C}").as_str()));
        }
        assert!(render("{email}").ends_with("@example.com"));
        let all = "{name} {email} {city} {word} {float 0 1} {uuid}";
        assert_eq!(render(all), render(all));
        assert!(!render(all).contains('{'));
    }

    #[test]
    fn senseless_arguments_are_named() {
        for template in [
            "{int 1}",
            "{int a b}",
            "{int 5 1}",
            "{float 0 inf}",
            "{int 1 2 3}",
        ] {
            let error = Template::parse(template).unwrap_err();
            assert_eq!(error.placeholder, template);
        }
    }
}
