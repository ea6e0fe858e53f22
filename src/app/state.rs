//! What the user looks at, shared by all views: one selection, the open topic, the open dialog, and
//! the choices that are remembered.
//!
//! Plain values: no egui, no source. Views change it through the scene.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::history::find_topic;
use super::moves::{self, Watched};
use super::panels::consume_form::ConsumeForm;
use super::panels::produce_form::ProduceForm;
use super::panels::reset_form::ResetForm;
use super::sent::Sent;
use super::widgets::lane_view::Align;
use crate::ids::{BrokerId, ConnectionId, Offset, PartitionIndex, Time};
use crate::inspect::{
    ClusterSnapshot, Command, EventFilter, EventSubject, GroupSnapshot, ProduceOne,
};

/// The one thing that is selected, in every view at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Selection {
    #[default]
    Nothing,
    Broker(BrokerId),
    /// Between two brokers, the lower number first.
    Link(BrokerId, BrokerId),
    Topic(String),
    Partition(String, PartitionIndex),
    Segment(String, PartitionIndex, Offset),
    Record(String, PartitionIndex, Offset),
    /// Numbered by each broker on its own.
    Connection(BrokerId, ConnectionId),
    /// One of klar's own producers, by its id.
    Producer(u64),
    /// One of klar's own consumers, by its id.
    Consumer(u64),
    /// An event, by its number.
    Event(u64),
    Group(String),
    /// A group's member, by its id.
    Member(String, String),
}

impl Selection {
    /// One level up: a record's partition, a partition's topic, then nothing.
    pub fn up(&self) -> Selection {
        match self {
            Selection::Record(topic, partition, _) | Selection::Segment(topic, partition, _) => {
                Selection::Partition(topic.clone(), *partition)
            }
            Selection::Partition(topic, _) => Selection::Topic(topic.clone()),
            Selection::Member(group, _) => Selection::Group(group.clone()),
            _ => Selection::Nothing,
        }
    }

    /// The topic this is about, if it is about one.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Selection::Topic(topic)
            | Selection::Partition(topic, _)
            | Selection::Segment(topic, _, _)
            | Selection::Record(topic, _, _) => Some(topic),
            _ => None,
        }
    }

    /// The group this is about, if it is about one.
    pub fn group(&self) -> Option<&str> {
        match self {
            Selection::Group(group) | Selection::Member(group, _) => Some(group),
            _ => None,
        }
    }

    /// What events can be asked for that are about it.
    pub fn subject(&self) -> Option<EventSubject> {
        match (self, self.topic(), self.partition()) {
            (Selection::Broker(id), ..) => Some(EventSubject::Broker(*id)),
            (Selection::Link(a, b), ..) => Some(EventSubject::Link(*a, *b)),
            (Selection::Group(group) | Selection::Member(group, _), ..) => {
                Some(EventSubject::Group(group.clone()))
            }
            (_, Some(topic), Some(index)) => Some(EventSubject::Partition(topic.to_owned(), index)),
            (_, Some(topic), None) => Some(EventSubject::Topic(topic.to_owned())),
            _ => None,
        }
    }

    /// The partition this is about, if it is about one.
    pub fn partition(&self) -> Option<PartitionIndex> {
        match self {
            Selection::Partition(_, partition)
            | Selection::Segment(_, partition, _)
            | Selection::Record(_, partition, _) => Some(*partition),
            _ => None,
        }
    }
}

/// A view by its place in the left navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewKey {
    #[default]
    Cluster,
    Topics,
    Groups,
    Clients,
    Storage,
    Timeline,
}

/// Something shown over the views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialog {
    /// Search over topics, brokers and every action.
    Palette,
    /// All shortcuts.
    Shortcuts,
    /// Bootstrap string and client snippets.
    Connect,
    /// A new topic's name, partitions and settings.
    CreateTopic,
    /// More partitions for this topic.
    AddPartitions(String),
    /// Whether to delete every record of this topic.
    EmptyTopic(String),
    /// This topic's configuration.
    TopicSettings(String),
    /// Where this partition's replicas shall be, beginning with these brokers.
    Reassign(String, PartitionIndex, Vec<BrokerId>),
    /// Who shall lead this partition.
    MoveLeader(String, PartitionIndex),
    /// A file for the events that the timeline shows.
    ExportEvents,
    /// Whether everything that is not synced shall be lost.
    PullPlug,
    /// Whether this group shall be deleted with its offsets.
    DeleteGroup(String),
    /// Whether what this group committed for a partition shall be forgotten.
    DeleteOffset(String, String, PartitionIndex),
}

/// Choices that outlive the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    pub theme: ThemeChoice,
    pub view: ViewKey,
    /// Show topics whose names begin with `__`.
    pub internal_topics: bool,
    /// Width and height of the window, points.
    pub window: [f32; 2],
    pub nav_width: f32,
    pub inspector_width: f32,
    pub inspector_open: bool,
    pub timeline_height: f32,
    pub timeline_open: bool,
    /// Seconds the timeline shows.
    pub timeline_span_s: u32,
    /// A wire that carries requests lights up instead of showing them fly.
    pub reduce_motion: bool,
    /// Client language of the Connect card.
    pub snippet: String,
    pub body: BodyForm,
    pub topics: BTreeMap<String, TopicChoices>,
}

/// Topics whose choices are remembered.
pub const REMEMBERED_TOPICS: usize = 1_000;

impl Default for Remembered {
    fn default() -> Self {
        use super::theme::size;
        Remembered {
            theme: ThemeChoice::default(),
            view: ViewKey::default(),
            internal_topics: false,
            window: size::WINDOW,
            nav_width: size::NAV,
            inspector_width: size::INSPECTOR,
            inspector_open: true,
            timeline_height: size::TIMELINE,
            timeline_open: true,
            timeline_span_s: 300,
            reduce_motion: false,
            snippet: String::new(),
            body: BodyForm::default(),
            topics: BTreeMap::new(),
        }
    }
}

/// Which theme to draw in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// Whatever the desktop says; dark when it says nothing.
    #[default]
    System,
    Dark,
    Light,
}

/// What the user chose for one topic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicChoices {
    pub tab: TopicTab,
    /// What the log lanes line up at; `None` until chosen.
    pub align: Option<Align>,
    pub records: RecordsChoices,
}

/// What the Records tab of one topic asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordsChoices {
    pub start: BrowseStart,
    /// As typed, for [`BrowseStart::Offset`].
    pub offset: String,
    /// As typed, for [`BrowseStart::Time`].
    pub time: String,
    /// `None` is all partitions.
    pub partition: Option<i32>,
    pub in_key: bool,
    pub in_value: bool,
    pub in_headers: bool,
}

impl Default for RecordsChoices {
    fn default() -> Self {
        RecordsChoices {
            start: BrowseStart::Newest,
            offset: "0".to_owned(),
            time: "00:00".to_owned(),
            partition: None,
            in_key: true,
            in_value: true,
            in_headers: true,
        }
    }
}

/// Where reading records begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrowseStart {
    #[default]
    Newest,
    Earliest,
    Offset,
    Time,
    LiveTail,
}

/// How a record's value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyForm {
    /// Indented, when it is JSON; else text.
    #[default]
    Json,
    Text,
    Hex,
}

/// A way to move the log lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneMove {
    Follow,
    Fit,
    ZoomIn,
    ZoomOut,
    Earlier,
    Later,
}

/// The tabs of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopicTab {
    #[default]
    Log,
    Records,
    Segments,
    Config,
}

/// The tabs of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BrokerTab {
    #[default]
    Replicas,
    Settings,
    Connections,
    Files,
}

/// The tabs of the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientsTab {
    #[default]
    Connections,
    Doctor,
}

/// The tabs of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupTab {
    #[default]
    Assignment,
    Offsets,
    Rebalances,
}

/// The way back from something that leaves no fault behind to be mended.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    pub what: String,
    pub command: Command,
    /// The moment it is not offered any more.
    pub until: Time,
}

/// Milliseconds during which moved offsets can be moved back by one click.
const UNDO_RESET_MS: i64 = 20_000;

/// Everything the views share.
#[derive(Debug, Clone, Default)]
pub struct UiState {
    pub view: ViewKey,
    pub selection: Selection,
    /// The topic whose page is open in the Topics view; `None` is the list.
    pub open_topic: Option<String>,
    /// The broker whose page is open in the Cluster view; `None` is the picture of all.
    pub open_broker: Option<BrokerId>,
    pub broker_tab: BrokerTab,
    pub clients_tab: ClientsTab,
    /// The group whose page is open in the Groups view; `None` is the list.
    pub open_group: Option<String>,
    pub group_tab: GroupTab,
    pub dialog: Option<Dialog>,
    /// Which events the Timeline view shows.
    pub timeline: EventFilter,
    /// The produce panel takes the inspector's place.
    pub producing: bool,
    /// What is typed in the produce panel; kept while it is closed.
    pub produce: ProduceForm,
    /// The consume panel takes the inspector's place.
    pub consuming: bool,
    /// What is typed in the consume panel; kept while it is closed.
    pub consume: ConsumeForm,
    /// The newest command sent from the consume panel, whose outcome it shows.
    pub consume_sent: Option<Sent>,
    /// The panel that moves a group's offsets takes the inspector's place.
    pub resetting: bool,
    /// What is chosen in that panel; kept while it is closed.
    pub reset: ResetForm,
    /// The newest command sent from the produce panel, whose outcome it shows.
    pub produce_sent: Option<Sent>,
    /// The command the open dialog sent: it closes when that succeeds, and shows why it did not.
    pub dialog_sent: Option<Sent>,
    /// What was done last and can be taken back.
    pub undo: Option<Undo>,
    /// Moves of replicas begun here that have not ended.
    pub moves: Vec<Watched>,
    /// A topic that was created here: its page opens in the first picture that has it.
    pub opening: Option<String>,
    /// Set by `/`: the view's filter field takes the keyboard in this frame.
    pub focus_filter: bool,
    /// Set by the keys that move the log lanes, for this frame.
    pub lane_move: Option<LaneMove>,
    /// Set by the arrow keys: the list in sight moves its selection by so many rows in this frame.
    pub row_step: i32,
    pub remembered: Remembered,
}

impl UiState {
    /// The state of a window that opens with these choices.
    pub fn new(remembered: Remembered) -> UiState {
        UiState {
            view: remembered.view,
            remembered,
            ..UiState::default()
        }
    }

    /// Shows a view.
    pub fn go_to(&mut self, view: ViewKey) {
        self.view = view;
        self.remembered.view = view;
    }

    /// Selects something without leaving the view. The inspector shows it: the produce panel gives way
    /// and keeps what is typed.
    pub fn select(&mut self, selection: Selection) {
        self.selection = selection;
        self.close_panels();
    }

    /// The inspector has its place back; true if a panel had it.
    fn close_panels(&mut self) -> bool {
        let panels = [
            &mut self.producing,
            &mut self.consuming,
            &mut self.resetting,
        ];
        let open = panels.into_iter().map(std::mem::take);
        open.fold(false, |any, open| any | open)
    }

    /// Takes what is awaited from the picture. Once a frame, before it is drawn.
    pub fn see(&mut self, now: Time, picture: &ClusterSnapshot) {
        let undo = self.undo.take().filter(|undo| now < undo.until);
        self.undo = moves::see(&mut self.moves, now, picture).or(undo);
        if let Some((what, command)) = self.reset.see(picture) {
            self.undo = Some(Undo {
                what,
                command,
                until: now.plus_ms(UNDO_RESET_MS),
            });
        }
        let sent = [
            &mut self.produce_sent,
            &mut self.consume_sent,
            &mut self.dialog_sent,
        ];
        for sent in sent.into_iter().flatten() {
            sent.see(picture);
        }
        if let Some(topic) = &self.opening
            && find_topic(&picture.topics, topic).is_some()
        {
            let topic = topic.clone();
            self.open_topic(&topic);
        }
    }

    /// Keys that nothing in sight took are over with their frame: later they would act elsewhere.
    pub fn forget_keys(&mut self) {
        self.focus_filter = false;
        self.lane_move = None;
        self.row_step = 0;
    }

    /// Opens a topic's page and selects the topic, or keeps what is selected inside it.
    pub fn open_topic(&mut self, topic: &str) {
        self.go_to(ViewKey::Topics);
        self.opening = None;
        self.open_topic = Some(topic.to_owned());
        if self.selection.topic() != Some(topic) {
            self.selection = Selection::Topic(topic.to_owned());
        }
    }

    /// Opens a broker's page and selects the broker.
    pub fn open_broker(&mut self, broker: BrokerId) {
        self.go_to(ViewKey::Cluster);
        self.open_broker = Some(broker);
        self.select(Selection::Broker(broker));
    }

    /// Opens a group's page and selects the group, or keeps what is selected inside it.
    pub fn open_group(&mut self, group: &str) {
        self.go_to(ViewKey::Groups);
        self.open_group = Some(group.to_owned());
        if self.selection.group() != Some(group) {
            self.select(Selection::Group(group.to_owned()));
        }
    }

    /// Opens the panel that moves a group's offsets, with what was chosen for it last.
    pub fn open_reset(&mut self, group: &str) {
        if self.reset.group != group {
            self.reset = ResetForm::of(group);
        }
        self.close_panels();
        self.resetting = true;
        self.remembered.inspector_open = true;
    }

    /// Opens the produce panel on the topic that is open or selected, with what is typed in it.
    pub fn open_produce_panel(&mut self) {
        let topic = self.open_topic.as_deref().or(self.selection.topic());
        match topic.map(str::to_owned) {
            Some(topic) => self.produce_into(&topic),
            None => self.show_produce_panel(),
        }
    }

    /// Opens the produce panel on this topic, with what is typed in it.
    pub fn produce_into(&mut self, topic: &str) {
        topic.clone_into(&mut self.produce.topic);
        self.show_produce_panel();
    }

    fn show_produce_panel(&mut self) {
        self.close_panels();
        self.producing = true;
        self.remembered.inspector_open = true;
    }

    /// Opens the produce panel filled with this record.
    pub fn open_produce(&mut self, record: ProduceOne) {
        self.produce.fill(record);
        self.produce_sent = None;
        self.show_produce_panel();
    }

    /// Opens the consume panel with what is typed in it, or with what is open: a group to join, a topic to read.
    pub fn open_consume_panel(&mut self, picture: &ClusterSnapshot) {
        let group = self.open_group.as_deref().or(self.selection.group());
        let group = group.filter(|_| self.view == ViewKey::Groups);
        let topic = self.open_topic.as_deref().or(self.selection.topic());
        if let Some(group) = group.and_then(|group| picture.group(group)) {
            self.consume.join(group);
        } else if let Some(topic) = topic.map(str::to_owned) {
            self.consume.read(&topic);
        }
        self.show_consume_panel();
    }

    /// Opens the consume panel on this topic.
    pub fn consume_from(&mut self, topic: &str) {
        self.consume.read(topic);
        self.show_consume_panel();
    }

    /// Opens the consume panel for one more member of this group.
    pub fn add_member(&mut self, group: &GroupSnapshot) {
        self.consume.join(group);
        self.show_consume_panel();
    }

    fn show_consume_panel(&mut self) {
        self.close_panels();
        self.consuming = true;
        self.consume_sent = None;
        self.remembered.inspector_open = true;
    }

    /// `Esc`: closes the dialog or the produce panel, else goes up one level.
    pub fn up(&mut self) {
        if self.dialog.take().is_some() | self.close_panels() {
            return;
        }
        if let Some(broker) = self.open_broker.filter(|_| self.view == ViewKey::Cluster) {
            self.leave_broker(broker);
            return;
        }
        if let Some(group) = self.open_group.clone()
            && self.view == ViewKey::Groups
        {
            self.leave_group(group);
            return;
        }
        match self.selection.up() {
            Selection::Nothing if self.open_topic.is_some() && self.view == ViewKey::Topics => {
                self.open_topic = None;
                self.selection = Selection::Nothing;
            }
            above => self.selection = above,
        }
    }

    /// From what is selected on a broker's page to the broker, from there to the picture of all, where it stays selected.
    fn leave_broker(&mut self, broker: BrokerId) {
        match self.selection == Selection::Broker(broker) {
            true => self.open_broker = None,
            false => self.selection = Selection::Broker(broker),
        }
    }

    /// From what is selected on a group's page to the group, from there to the list, where it stays selected.
    fn leave_group(&mut self, group: String) {
        let itself = Selection::Group(group);
        match self.selection == itself {
            true => self.open_group = None,
            false => self.selection = itself,
        }
    }

    /// What was chosen for `topic`; remembered once changed.
    pub fn choices(&self, topic: &str) -> TopicChoices {
        self.remembered
            .topics
            .get(topic)
            .cloned()
            .unwrap_or_default()
    }

    /// The tab of the open topic; `None` while no topic is open.
    pub fn tab(&self) -> Option<TopicTab> {
        let topic = self.open_topic.as_deref()?;
        let choices = self.remembered.topics.get(topic);
        Some(choices.map_or_else(TopicTab::default, |choices| choices.tab))
    }

    /// Remembers choices for `topic`, forgetting another topic's when there are too many.
    pub fn set_choices(&mut self, topic: &str, choices: TopicChoices) {
        let kept = &mut self.remembered.topics;
        if choices == TopicChoices::default() {
            kept.remove(topic);
            return;
        }
        kept.insert(topic.to_owned(), choices);
        while kept.len() > REMEMBERED_TOPICS {
            let Some(other) = kept.keys().find(|name| *name != topic).cloned() else {
                return;
            };
            kept.remove(&other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_goes_up_one_level_at_a_time() {
        let mut state = UiState::default();
        state.open_topic("orders");
        state.select(Selection::Record(
            "orders".into(),
            PartitionIndex(1),
            Offset(9),
        ));
        state.dialog = Some(Dialog::Palette);
        state.up();
        assert_eq!(state.dialog, None);
        state.up();
        assert_eq!(
            state.selection,
            Selection::Partition("orders".into(), PartitionIndex(1))
        );
        state.up();
        assert_eq!(state.selection, Selection::Topic("orders".into()));
        assert_eq!(state.open_topic.as_deref(), Some("orders"));
        state.up();
        assert_eq!(state.selection, Selection::Nothing);
        assert_eq!(state.open_topic, None);
        state.up();
    }

    #[test]
    fn escape_leaves_a_broker_by_way_of_the_broker() {
        let mut state = UiState::default();
        state.open_broker(BrokerId(2));
        assert_eq!(state.view, ViewKey::Cluster);
        state.select(Selection::Partition("orders".into(), PartitionIndex(1)));
        state.up();
        assert_eq!(state.selection, Selection::Broker(BrokerId(2)));
        assert_eq!(state.open_broker, Some(BrokerId(2)));
        state.up();
        assert_eq!(state.open_broker, None);
        assert_eq!(state.selection, Selection::Broker(BrokerId(2)));
    }

    #[test]
    fn opening_a_topic_keeps_what_is_selected_in_it() {
        let mut state = UiState::default();
        let record = Selection::Record("orders".into(), PartitionIndex(1), Offset(9));
        state.select(record.clone());
        state.open_topic("orders");
        assert_eq!(state.selection, record);
        state.open_topic("clicks");
        assert_eq!(state.selection, Selection::Topic("clicks".into()));
    }

    #[test]
    fn remembered_choices_have_a_limit_and_defaults_cost_nothing() {
        let mut state = UiState::default();
        state.set_choices("plain", TopicChoices::default());
        assert!(state.remembered.topics.is_empty());
        for n in 0..REMEMBERED_TOPICS + 5 {
            let choices = TopicChoices {
                tab: TopicTab::Records,
                ..TopicChoices::default()
            };
            state.set_choices(&format!("t{n}"), choices);
        }
        assert_eq!(state.remembered.topics.len(), REMEMBERED_TOPICS);
        assert_eq!(state.choices("t1004").tab, TopicTab::Records);
    }
}
