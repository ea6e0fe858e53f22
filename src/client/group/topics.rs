//! Which topics the member reads: those named, or those whose names match.

use regex::Regex;

use super::{GroupConfig, GroupConsumer, GroupProtocol, MemberState, Subscription};
use crate::client::CallError;
use crate::ids::Time;

/// The topics a member subscribes to, as far as it knows.
pub(super) struct Subscribed {
    pub topics: Vec<String>,
    /// Matched here against the names of all topics.
    pattern: Option<Regex>,
    /// Metadata answers looked at.
    seen: u64,
}

impl Subscribed {
    pub fn new(config: &GroupConfig) -> Result<Subscribed, CallError> {
        let classic = matches!(config.protocol, GroupProtocol::Classic { .. });
        let (topics, pattern) = match &config.subscription {
            Subscription::Topics(topics) => (topics.clone(), None),
            Subscription::Pattern(_) if !classic => (Vec::new(), None),
            Subscription::Pattern(pattern) => {
                let whole = Regex::new(&format!("^(?:{pattern})$"));
                let why = "the pattern is no regular expression";
                let whole = whole.map_err(|_| CallError::Settings(why))?;
                (Vec::new(), Some(whole))
            }
        };
        Ok(Subscribed {
            topics,
            pattern,
            seen: 0,
        })
    }

    pub fn needs_all_topics(&self) -> bool {
        self.pattern.is_some()
    }

    /// Whether it is known what the pattern matches.
    pub fn is_known(&self) -> bool {
        self.pattern.is_none() || self.seen > 0
    }
}

impl GroupConsumer {
    /// Looks for topics that match, or do so no longer, whenever metadata came.
    pub(super) fn match_pattern(&mut self, now: Time) {
        let answers = self.links_mut().metadata_answers();
        let Some(pattern) = &self.subscribed.pattern else {
            return;
        };
        if self.subscribed.seen == answers {
            return;
        }
        let known = self.reader.cluster().topics.iter();
        let matching = known
            .filter(|(name, topic)| topic.error == 0 && !topic.internal && pattern.is_match(name));
        let topics: Vec<String> = matching.map(|(name, _)| name.clone()).collect();
        let changed = topics != self.subscribed.topics;
        self.subscribed.seen = answers;
        self.subscribed.topics = topics;
        if changed && self.member.state == MemberState::Stable {
            self.rejoin(now, "other topics match the pattern");
        }
    }
}
