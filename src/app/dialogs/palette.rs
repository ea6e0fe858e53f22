//! The command palette: views, topics, groups, brokers and every action that exists now, found by typing.

use egui::{Key, Modifiers, ScrollArea, TextEdit, Ui, vec2};

use crate::app::actions::{self, Action, VIEW_KEYS};
use crate::app::faults::{self, Offer};
use crate::app::scene::Scene;
use crate::app::state::{Selection, ViewKey};
use crate::app::theme::{size, space};
use crate::app::views::View;
use crate::app::widgets;
use crate::ids::BrokerId;

/// Entries listed at most.
const LISTED: usize = 50;
/// Characters searched for at most.
const TYPED_CHARS: usize = 256;
/// Height of the list, points.
const HEIGHT: f32 = 360.0;

/// What is typed and which entry is chosen.
#[derive(Default)]
pub struct Palette {
    typed: String,
    chosen: usize,
}

enum Entry {
    Do(Action),
    View(ViewKey, &'static str, Key),
    Topic(String),
    Broker(BrokerId),
    BrokerPage(BrokerId),
    Group(String),
    /// Breaks or mends something.
    Offer(Box<Offer>),
}

/// What matches, before it is known to be listed: of ten thousand topics only those are copied.
enum Found {
    Entry(Entry),
    Topic(usize),
    Group(usize),
}

impl Entry {
    fn name(&self) -> String {
        match self {
            Entry::Do(action) => action.name.to_owned(),
            Entry::View(_, name, _) => format!("Go to {name}"),
            Entry::Topic(name) => name.clone(),
            Entry::Broker(id) => format!("Broker {id}"),
            Entry::BrokerPage(id) => format!("Open broker {id}"),
            Entry::Group(name) => name.clone(),
            Entry::Offer(offer) => offer.name.clone(),
        }
    }

    fn note(&self, mac: bool) -> String {
        match self {
            Entry::Do(action) => action.keys.map_or(String::new(), |keys| keys.label(mac)),
            Entry::View(_, _, key) => key.symbol_or_name().to_owned(),
            Entry::Topic(_) => "topic".to_owned(),
            Entry::Broker(_) => "broker".to_owned(),
            Entry::BrokerPage(_) => "page".to_owned(),
            Entry::Group(_) => "group".to_owned(),
            Entry::Offer(offer) if offer.breaks() => "breaks".to_owned(),
            Entry::Offer(_) => String::new(),
        }
    }

    fn run(&self, scene: &mut Scene<'_>) {
        match self {
            Entry::Do(action) => (action.run)(scene),
            Entry::View(key, _, _) => scene.state.go_to(*key),
            Entry::Topic(name) => scene.state.open_topic(name),
            Entry::Broker(id) => scene.state.select(Selection::Broker(*id)),
            Entry::BrokerPage(id) => scene.state.open_broker(*id),
            Entry::Group(name) => scene.state.open_group(name),
            Entry::Offer(offer) => faults::perform(scene, offer),
        }
    }
}

impl Palette {
    /// Forgets what was typed.
    pub fn reset(&mut self) {
        self.typed.clear();
        self.chosen = 0;
    }

    /// Draws the field and the entries that match.
    pub fn draw(&mut self, ui: &mut Ui, views: &[Box<dyn View>], scene: &mut Scene<'_>) {
        let moved = self.take_arrows(ui);
        let field = ui
            .add(
                TextEdit::singleline(&mut self.typed)
                    .char_limit(TYPED_CHARS)
                    .hint_text("Search topics, groups, brokers and actions")
                    .desired_width(f32::INFINITY)
                    .min_size(vec2(0.0, size::CONTROL + space::S))
                    .align(egui::Align2::LEFT_CENTER),
            )
            .accessible_name("Search topics, groups, brokers and actions");
        field.request_focus();
        if field.changed() {
            self.chosen = 0;
        }
        let (entries, more) = self.matching(views, scene);
        self.chosen = self.chosen.min(entries.len().saturating_sub(1));
        ui.add_space(space::XS);
        let clicked = self.list(ui, &entries, moved);
        if entries.is_empty() {
            widgets::muted(ui, "Nothing matches.");
        } else if more > 0 {
            widgets::small(
                ui,
                &format!(
                    "and {} more: type to narrow",
                    crate::app::format::count(more as u64)
                ),
            );
        }
        let entered = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Enter));
        let run = clicked.or(entered.then_some(self.chosen));
        if let Some(entry) = run.and_then(|index| entries.get(index)) {
            scene.state.dialog = None;
            entry.run(scene);
            self.reset();
        }
    }

    fn take_arrows(&mut self, ui: &mut Ui) -> bool {
        let (up, down) = ui.input_mut(|input| {
            (
                input.consume_key(Modifiers::NONE, Key::ArrowUp),
                input.consume_key(Modifiers::NONE, Key::ArrowDown),
            )
        });
        if up {
            self.chosen = self.chosen.saturating_sub(1);
        }
        if down {
            self.chosen += 1;
        }
        up || down
    }

    /// The entries that match, best first, and how many more there are.
    fn matching(&self, views: &[Box<dyn View>], scene: &Scene<'_>) -> (Vec<Entry>, usize) {
        let actions = actions::available(views, scene)
            .into_iter()
            .filter(|action| action.name != "Search everything")
            .map(Entry::Do);
        let shown_views = views
            .iter()
            .zip(VIEW_KEYS)
            .map(|(view, key)| Entry::View(view.key(), view.name(), key));
        let brokers = scene.picture.brokers.iter();
        let brokers = brokers.flat_map(|b| [Entry::Broker(b.id), Entry::BrokerPage(b.id)]);
        let mut scored: Vec<(i32, Found)> = shown_views
            .chain(actions)
            .chain(brokers)
            .filter_map(|entry| Some((score(&entry.name(), &self.typed)?, Found::Entry(entry))))
            .collect();
        let topics = &scene.picture.topics;
        for (place, topic) in topics.iter().enumerate() {
            if let Some(score) = score(&topic.name, &self.typed) {
                scored.push((score, Found::Topic(place)));
            }
        }
        let groups = &scene.picture.groups;
        for (place, group) in groups.iter().enumerate() {
            if let Some(score) = score(&group.group, &self.typed) {
                scored.push((score, Found::Group(place)));
            }
        }
        for offer in faults::everything(scene) {
            if let Some(score) = score(&offer.name, &self.typed) {
                let entry = Entry::Offer(Box::new(offer));
                scored.push((score, Found::Entry(entry)));
            }
        }
        scored.sort_by_key(|(score, _)| -score);
        let more = scored.len().saturating_sub(LISTED);
        scored.truncate(LISTED);
        let entry = |found| match found {
            Found::Entry(entry) => entry,
            Found::Topic(place) => Entry::Topic(topics[place].name.clone()),
            Found::Group(place) => Entry::Group(groups[place].group.clone()),
        };
        let entries = scored.into_iter().map(|(_, found)| entry(found));
        (entries.collect(), more)
    }

    /// Draws the entries; the clicked one.
    fn list(&mut self, ui: &mut Ui, entries: &[Entry], moved: bool) -> Option<usize> {
        let mac = ui.ctx().os().is_mac();
        let mut clicked = None;
        ScrollArea::vertical()
            .max_height(HEIGHT)
            .min_scrolled_height(HEIGHT)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                for (index, entry) in entries.iter().enumerate() {
                    let row = widgets::Row {
                        name: &entry.name(),
                        number: &entry.note(mac),
                        selected: index == self.chosen,
                        height: size::NAV_ROW,
                        dimmed: false,
                    };
                    let response = widgets::row(ui, &row);
                    if moved && index == self.chosen {
                        response.scroll_to_me(None);
                    }
                    if response.clicked() {
                        clicked = Some(index);
                    }
                }
            });
        clicked
    }
}

/// How well `typed` fits `name`: each of its words in order, better when together and at the start of
/// one. `None` when they are not all there.
fn score(name: &str, typed: &str) -> Option<i32> {
    let name: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    let mut score = 0;
    let mut at = 0;
    for word in typed.split_whitespace() {
        let word: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
        let starts = (at..name.len()).filter(|start| name[*start] == word[0]);
        let (best, end) = starts
            .filter_map(|start| word_score(&name, start, &word))
            .max_by_key(|(score, end)| (*score, std::cmp::Reverse(*end)))?;
        score += best - i32::try_from((end - word.len() - at).min(3)).unwrap_or(3);
        at = end;
    }
    Some(score)
}

/// How well a typed word fits from `start` on, and where it ends. Its letters lie in one word, or begin
/// the next ones: letters out of the middle of several words mean nothing to who typed them.
fn word_score(name: &[char], start: usize, word: &[char]) -> Option<(i32, usize)> {
    let begins = |at: usize| at == 0 || !name[at - 1].is_alphanumeric();
    let mut score = 0;
    let mut together = 0;
    let mut at = start;
    for wanted in word {
        let mut same_word = true;
        let found = (at..name.len()).find(|place| {
            same_word &= *place == start || name[*place].is_alphanumeric();
            // An apostrophe is typed where it stands.
            name[*place] == *wanted && (same_word || begins(*place) || *place == at)
        })?;
        together = if found == at { together + 1 } else { 0 };
        score += 1 + 2 * together + if begins(found) { 4 } else { 0 };
        at = found + 1;
    }
    Some((score, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_must_be_there_in_order() {
        assert!(score("orders", "ords").is_some());
        assert!(score("orders", "sdro").is_none());
        assert!(score("orders", "").is_some());
        assert!(score("Show all shortcuts", "show short").is_some());
        assert!(score("Show orders", "ord").is_some());
        assert!(score("Change this topic's settings", "topic's").is_some());
        assert!(score("payments", "pmts").is_some());
        assert!(score("", "").is_some() && score("", "a").is_none());
    }

    #[test]
    fn letters_are_not_gathered_from_the_middle_of_several_words() {
        assert!(score("Show or hide the timeline", "order").is_none());
        assert!(score("Add partitions to this topic", "apt").is_some());
    }

    #[test]
    fn a_beginning_beats_a_middle() {
        assert!(score("orders", "ord") > score("reorder-queue", "ord"));
        assert!(score("page-views", "pv") > score("sapovnik", "pv"));
    }
}
