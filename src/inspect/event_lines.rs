//! Events as lines of a file: for people, and for programs.

use super::Event;

/// How events are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventForm {
    /// Moment, broker and sentence.
    #[default]
    Text,
    /// One JSON object a line, with everything there is of the event.
    JsonLines,
}

impl EventForm {
    /// How a file of this form ends, by custom.
    pub fn extension(self) -> &'static str {
        match self {
            EventForm::Text => "txt",
            EventForm::JsonLines => "jsonl",
        }
    }
}

impl Event {
    /// The event on one line, without its end.
    pub fn line(&self, form: EventForm) -> String {
        match form {
            EventForm::Text => {
                let (moment, teller) = (self.time.iso(), self.reporter());
                format!("{moment}  {teller}  {}", self.kind.sentence())
            }
            EventForm::JsonLines => {
                serde_json::to_string(self).expect("every part of an event has a form in JSON")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{BrokerId, Time};
    use crate::inspect::EventKind;

    fn deleted(cause: &str) -> Event {
        Event {
            number: 7,
            time: Time::from_ms(1_709_210_096_789),
            broker: Some(BrokerId(2)),
            kind: EventKind::TopicDeleted {
                topic: "orders".into(),
                cause: cause.into(),
            },
        }
    }

    #[test]
    fn a_line_for_people_has_moment_broker_and_sentence() {
        assert_eq!(
            deleted("asked for by a\nb").line(EventForm::Text),
            "2024-02-29T12:34:56.789Z  broker 2  Topic orders deleted: asked for by a\\nb."
        );
    }

    #[test]
    fn a_line_for_programs_is_read_back_as_the_same_event() {
        let event = deleted("asked for by \"me\"\n");
        let line = event.line(EventForm::JsonLines);
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
