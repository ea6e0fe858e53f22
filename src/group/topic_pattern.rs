//! Regular expressions that members subscribe to, resolved by the coordinator.
//!
//! Kafka's are RE2's. The syntax here is RE2's but for `\C` and `\Q…\E`, and matching takes time linear in the name,
//! as there. An expression stands for the topics it matches whole.

use regex_automata::meta::{Config, Regex};
use regex_automata::util::syntax;

use super::Refusal;

/// Bytes an expression may have.
const MAX_BYTES: usize = 4096;
/// Bytes a compiled expression may have: `(\w{1000}){1000}` is ten letters and gigabytes.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;
/// How deep groups may be nested.
const MAX_NESTING: u32 = 100;

/// A compiled expression.
pub(super) struct TopicPattern(Regex);

impl TopicPattern {
    pub fn new(expression: &str) -> Result<TopicPattern, Refusal> {
        if expression.len() > MAX_BYTES {
            return Err(Refusal::InvalidRegularExpression);
        }
        // By itself first: what closes more groups than it opens must not close the one around it.
        compiled(expression)?;
        Ok(TopicPattern(compiled(&format!(r"\A(?:{expression})\z"))?))
    }

    /// Whether it matches a topic's whole name.
    pub fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

fn compiled(expression: &str) -> Result<Regex, Refusal> {
    let config = Config::new()
        .nfa_size_limit(Some(MAX_COMPILED_BYTES))
        .hybrid_cache_capacity(MAX_COMPILED_BYTES);
    let regex = Regex::builder()
        .configure(config)
        .syntax(syntax::Config::new().nest_limit(MAX_NESTING))
        .build(expression);
    regex.map_err(|_| Refusal::InvalidRegularExpression)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_whole_names_only() {
        for (expression, topic, matches) in [
            ("orders", "orders", true),
            ("orders", "orders-eu", false),
            ("orders.*", "orders-eu", true),
            ("a|ab", "ab", true),
            ("(?i)ORDERS", "orders", true),
            ("^orders$", "orders", true),
            (r"t\d+", "t12", true),
            (r"t\d+", "xt12", false),
        ] {
            let pattern = TopicPattern::new(expression).unwrap();
            assert_eq!(pattern.matches(topic), matches, "{expression} on {topic}");
        }
    }

    #[test]
    fn what_is_no_expression_or_too_large_is_refused() {
        let long = "a".repeat(MAX_BYTES + 1);
        let deep = "(".repeat(200) + &")".repeat(200);
        for expression in ["(", "a)|(b", r"(\w{1000}){1000}", "(?<=a)b", &long, &deep] {
            let refused = TopicPattern::new(expression).err();
            assert_eq!(
                refused,
                Some(Refusal::InvalidRegularExpression),
                "{expression}"
            );
        }
    }
}
