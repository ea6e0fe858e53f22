//! What the consume panel holds: the fields as typed, and the command they amount to.
//!
//! Plain values and checks, no egui. Every refusal names the field and what is wrong with it.

use crate::app::views::topics::parse_time;
use crate::ids::{Offset, PartitionIndex, Time};
use crate::inspect::{
    AutoOffsetReset, CONSUMERS_RUNNING, ClassicAssignor, ClusterSnapshot, Command, CommitWhen,
    ConsumerPlan, ConsumerReads, GroupSnapshot, GroupType, MAX_CONSUMER_RATE, MAX_POLL_RECORDS,
    MemberPlan, MemberProtocol, ReadFrom, Subscribed,
};

/// What the panel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Page {
    #[default]
    New,
    Running,
}

/// A member of a group, or a reader of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    #[default]
    Group,
    Standalone,
}

/// Where a standalone consumer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum From {
    #[default]
    Earliest,
    Latest,
    Offset,
    Time,
}

/// When a member commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Commit {
    #[default]
    After,
    Before,
    Interval,
    Never,
}

/// Everything in the consume panel.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumeForm {
    pub page: Page,
    pub kind: Kind,
    pub group: String,
    /// Names with commas between them.
    pub topics: String,
    pub by_pattern: bool,
    pub pattern: String,
    /// KIP-848 in place of the classic protocol.
    pub modern: bool,
    pub assignor: ClassicAssignor,
    /// `group.remote.assignor`; empty leaves it to the coordinator.
    pub remote_assignor: &'static str,
    pub session_timeout: String,
    /// Empty is a dynamic member.
    pub instance: String,
    pub reset: AutoOffsetReset,
    pub commit: Commit,
    pub interval: String,
    pub max_poll: String,
    /// Of a standalone consumer.
    pub topic: String,
    /// Empty is all partitions.
    pub partition: String,
    pub from: From,
    pub offset: String,
    pub time: String,
    /// Records a second; 0 is as fast as possible.
    pub rate: f64,
    pub members: u32,
}

impl Default for ConsumeForm {
    fn default() -> Self {
        ConsumeForm {
            page: Page::New,
            kind: Kind::Group,
            group: String::new(),
            topics: String::new(),
            by_pattern: false,
            pattern: String::new(),
            modern: false,
            assignor: ClassicAssignor::Range,
            remote_assignor: "",
            // Short enough to watch a crashed member being missed.
            session_timeout: "10000".to_owned(),
            instance: String::new(),
            reset: AutoOffsetReset::Earliest,
            commit: Commit::After,
            interval: "5000".to_owned(),
            // A poll is processed in about a second at the rate below.
            max_poll: "10".to_owned(),
            topic: String::new(),
            partition: String::new(),
            from: From::Earliest,
            offset: "0".to_owned(),
            time: "00:00".to_owned(),
            rate: 10.0,
            members: 1,
        }
    }
}

impl ConsumeForm {
    /// One more member for a group, which reads what the others read.
    pub fn join(&mut self, group: &GroupSnapshot) {
        self.page = Page::New;
        self.kind = Kind::Group;
        self.group.clone_from(&group.group);
        self.modern = group.kind == GroupType::Consumer;
        let named = ClassicAssignor::ALL.into_iter();
        let named = named.into_iter().find(|one| one.name() == group.assignor);
        if let Some(assignor) = named.filter(|_| !self.modern) {
            self.assignor = assignor;
        }
        self.remote_assignor = match group.assignor.as_str() {
            "uniform" if self.modern => "uniform",
            "range" if self.modern => "range",
            _ => "",
        };
        let subscribed = group.members.iter().flat_map(|member| &member.subscribed);
        let committed = group.offsets.iter().map(|offset| &offset.topic);
        let mut topics: Vec<&str> = match group.members.is_empty() {
            true => committed.map(String::as_str).collect(),
            false => subscribed.map(String::as_str).collect(),
        };
        topics.sort_unstable();
        topics.dedup();
        if !topics.is_empty() {
            self.topics = topics.join(", ");
            self.by_pattern = false;
        }
    }

    /// A consumer of this topic.
    pub fn read(&mut self, topic: &str) {
        self.page = Page::New;
        topic.clone_into(&mut self.topic);
        topic.clone_into(&mut self.topics);
        self.by_pattern = false;
    }

    /// Fills what is empty with the first topic there is.
    pub fn suggest(&mut self, picture: &ClusterSnapshot) {
        let first = picture.topics.iter().find(|topic| !topic.internal);
        let Some(first) = first.map(|topic| &topic.name) else {
            return;
        };
        if self.topics.is_empty() && self.pattern.is_empty() {
            self.topics.clone_from(first);
        }
        if self.topic.is_empty() {
            self.topic.clone_from(first);
        }
    }

    /// The names between the commas.
    pub fn topic_names(&self) -> Vec<String> {
        let names = self.topics.split([',', ' ']).map(str::trim);
        let names = names.filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// Adds a name to those typed.
    pub fn add_topic(&mut self, topic: &str) {
        let mut names = self.topic_names();
        if !names.iter().any(|name| name == topic) {
            names.push(topic.to_owned());
        }
        self.topics = names.join(", ");
    }

    /// What the panel's main button asks for.
    pub fn command(&self, now: Time, picture: &ClusterSnapshot) -> Result<Command, String> {
        let reads = match self.kind {
            Kind::Group => ConsumerReads::Group(self.member(picture)?),
            Kind::Standalone => self.standalone(now)?,
        };
        if !(0.0..=MAX_CONSUMER_RATE).contains(&self.rate) {
            return Err(format!(
                "Rate: {} is not between 0 and {MAX_CONSUMER_RATE} records per second",
                self.rate
            ));
        }
        if !(1..=CONSUMERS_RUNNING as u32).contains(&self.members) {
            return Err(format!("Members: choose 1 to {CONSUMERS_RUNNING}"));
        }
        Ok(Command::StartConsumer {
            plan: ConsumerPlan {
                reads,
                rate: self.rate,
            },
            members: match self.kind {
                Kind::Group => self.members,
                Kind::Standalone => 1,
            },
        })
    }

    fn member(&self, picture: &ClusterSnapshot) -> Result<MemberPlan, String> {
        let group = self.group.trim().to_owned();
        if group.is_empty() {
            return Err("Group: type a name, or choose one".to_owned());
        }
        let topics = self.topic_names();
        let subscription = match self.by_pattern {
            true if self.pattern.trim().is_empty() => {
                return Err("Pattern: type a regular expression, such as shop\\..*".to_owned());
            }
            true => Subscribed::Pattern(self.pattern.trim().to_owned()),
            false if topics.is_empty() => return Err("Topics: name at least one".to_owned()),
            false => Subscribed::Topics(topics),
        };
        let protocol = match self.modern {
            false => MemberProtocol::Classic {
                assignor: self.assignor,
                session_timeout_ms: number("Session", &self.session_timeout, sessions(picture))?
                    as i32,
            },
            true => MemberProtocol::Consumer {
                assignor: match self.remote_assignor {
                    "" => None,
                    name => Some(name.to_owned()),
                },
            },
        };
        let instance = self.instance.trim();
        Ok(MemberPlan {
            group,
            subscription,
            protocol,
            instance: (!instance.is_empty()).then(|| instance.to_owned()),
            reset: self.reset,
            commit: match self.commit {
                Commit::After => CommitWhen::After,
                Commit::Before => CommitWhen::Before,
                Commit::Interval => CommitWhen::Interval {
                    ms: number("Interval", &self.interval, 1..=86_400_000)? as u32,
                },
                Commit::Never => CommitWhen::Never,
            },
            max_poll_records: number("Poll", &self.max_poll, 1..=u64::from(MAX_POLL_RECORDS))?
                as u32,
        })
    }

    fn standalone(&self, now: Time) -> Result<ConsumerReads, String> {
        let topic = self.topic.trim().to_owned();
        if topic.is_empty() {
            return Err("Topic: choose one".to_owned());
        }
        let partition = match self.partition.trim() {
            "" => None,
            text => {
                let index = number("Partition", text, 0..=i32::MAX as u64)?;
                Some(PartitionIndex(index as i32))
            }
        };
        let from = match self.from {
            From::Earliest => ReadFrom::Earliest,
            From::Latest => ReadFrom::Latest,
            From::Offset => {
                let offset = number("Offset", &self.offset, 0..=i64::MAX as u64)?;
                ReadFrom::Offset(Offset(offset as i64))
            }
            From::Time => {
                let at = parse_time(&self.time, now.as_ms());
                let wrong = "Time: type one, such as 22:15 or 2026-11-21 22:15";
                ReadFrom::TimeMs(at.ok_or(wrong)?)
            }
        };
        Ok(ConsumerReads::Standalone {
            topic,
            partition,
            from,
        })
    }
}

/// The session timeouts that coordinators take.
fn sessions(picture: &ClusterSnapshot) -> std::ops::RangeInclusive<u64> {
    let setting = |name: &str, otherwise: u64| {
        let mut settings = picture.brokers.iter().flat_map(|broker| &broker.settings);
        let found = settings.find(|(known, ..)| known == name);
        found
            .and_then(|(_, value, _)| value.parse().ok())
            .unwrap_or(otherwise)
    };
    setting("group.min.session.timeout.ms", 6_000)
        ..=setting("group.max.session.timeout.ms", 1_800_000)
}

fn number(field: &str, text: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let typed = text.trim().replace([',', '_'], "");
    let (least, most) = (range.start(), range.end());
    let found = typed.parse().ok().filter(|number| range.contains(number));
    found.ok_or_else(|| format!("{field}: {text:?} is not a number between {least} and {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> ConsumeForm {
        ConsumeForm {
            group: "billing".into(),
            topics: "orders, clicks".into(),
            topic: "orders".into(),
            ..ConsumeForm::default()
        }
    }

    fn picture() -> ClusterSnapshot {
        ClusterSnapshot::default()
    }

    fn plan(form: &ConsumeForm) -> ConsumerPlan {
        match form.command(Time::from_ms(1_700_000_000_000), &picture()) {
            Ok(Command::StartConsumer { plan, .. }) => plan,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fields_become_a_plan() {
        let mut form = form();
        form.members = 3;
        let command = form.command(Time(0), &picture()).unwrap();
        assert!(matches!(command, Command::StartConsumer { members: 3, .. }));
        let ConsumerReads::Group(member) = plan(&form).reads else {
            panic!("a member");
        };
        let topics = vec!["orders".to_owned(), "clicks".to_owned()];
        assert_eq!(member.subscription, Subscribed::Topics(topics));
        assert_eq!((member.instance, member.max_poll_records), (None, 10));
        form.kind = Kind::Standalone;
        form.partition = "2".into();
        form.from = From::Offset;
        form.offset = "1,042".into();
        let reads = ConsumerReads::Standalone {
            topic: "orders".into(),
            partition: Some(PartitionIndex(2)),
            from: ReadFrom::Offset(Offset(1_042)),
        };
        assert_eq!(plan(&form).reads, reads);
        // Several that read the same tell a learner nothing.
        let command = form.command(Time(0), &picture()).unwrap();
        assert!(matches!(command, Command::StartConsumer { members: 1, .. }));
    }

    #[test]
    fn refusals_name_the_field() {
        let refusal = |change: &dyn Fn(&mut ConsumeForm)| {
            let mut form = form();
            change(&mut form);
            form.command(Time(0), &picture()).unwrap_err()
        };
        assert!(refusal(&|f| f.group.clear()).starts_with("Group:"));
        assert!(refusal(&|f| f.topics = " , ".into()).starts_with("Topics:"));
        assert!(refusal(&|f| f.by_pattern = true).starts_with("Pattern:"));
        assert!(refusal(&|f| f.session_timeout = "soon".into()).starts_with("Session:"));
        // The shortest that the coordinator takes.
        let short = refusal(&|f| f.session_timeout = "5999".into());
        assert_eq!(
            short,
            "Session: \"5999\" is not a number between 6000 and 1800000"
        );
        assert!(refusal(&|f| f.max_poll = "0".into()).starts_with("Poll:"));
        assert!(refusal(&|f| f.rate = f64::NAN).starts_with("Rate:"));
        assert!(refusal(&|f| f.members = 0).starts_with("Members:"));
        let standalone = |change: &dyn Fn(&mut ConsumeForm)| {
            refusal(&|f| {
                f.kind = Kind::Standalone;
                change(f);
            })
        };
        assert!(standalone(&|f| f.topic.clear()).starts_with("Topic:"));
        assert!(standalone(&|f| f.partition = "-1".into()).starts_with("Partition:"));
        assert!(
            standalone(&|f| {
                f.from = From::Time;
                f.time = "noon".into();
            })
            .starts_with("Time:")
        );
    }
}
