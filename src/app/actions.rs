//! Everything that can be done from the keyboard or the palette, as one table per place.
//!
//! A row gives the palette, the shortcut sheet and the key dispatch their entry, so that they cannot
//! disagree. No shortcut fires while a text field has the keyboard or a dialog is open.

use egui::{Key, Modifiers};

use super::consumers::{self, Act};
use super::faults;
use super::moves;
use super::pace;
use super::scene::Scene;
use super::state::{Dialog, ThemeChoice, TopicTab, ViewKey};
use super::views::View;
use crate::inspect::Command;

/// One thing to do.
#[derive(Clone, Copy)]
pub struct Action {
    /// What it does, as the palette and the sheet print it.
    pub name: &'static str,
    /// Heading in the sheet.
    pub group: &'static str,
    pub keys: Option<Keys>,
    /// Whether it makes sense now; otherwise neither key nor palette entry exists.
    pub can: fn(&Scene<'_>) -> bool,
    pub run: fn(&mut Scene<'_>),
}

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    pub modifiers: Modifiers,
    pub key: Key,
}

impl Keys {
    /// A key by itself.
    pub const fn plain(key: Key) -> Keys {
        Keys {
            modifiers: Modifiers::NONE,
            key,
        }
    }

    /// A key with Shift.
    pub const fn shift(key: Key) -> Keys {
        Keys {
            modifiers: Modifiers::SHIFT,
            key,
        }
    }

    /// A key with Ctrl, or ⌘ on a Mac.
    pub const fn command(key: Key) -> Keys {
        Keys {
            modifiers: Modifiers::COMMAND,
            key,
        }
    }

    /// Whether these modifiers make the press mean this. Signs and digits need Shift on some keyboards
    /// and not on others; with letters and arrows Shift means something else.
    fn are_held(self, modifiers: Modifiers) -> bool {
        use Key::*;
        let typed_as_it_comes = matches!(
            self.key,
            Questionmark
                | Slash
                | Plus
                | Minus
                | Num1
                | Num2
                | Num3
                | Num4
                | Num5
                | Num6
                | Num7
                | Num8
        );
        match typed_as_it_comes {
            true => modifiers.matches_logically(self.modifiers),
            false => modifiers.matches_exact(self.modifiers),
        }
    }

    /// As printed on a key: `Ctrl K`, `Shift T`, `?`.
    pub fn label(self, mac: bool) -> String {
        let mut parts = Vec::new();
        if self.modifiers.command {
            parts.push(if mac { "⌘" } else { "Ctrl" });
        }
        if self.modifiers.shift {
            parts.push("Shift");
        }
        parts.push(match self.key {
            Key::Escape => "Esc",
            Key::ArrowUp => "↑",
            Key::ArrowDown => "↓",
            Key::ArrowLeft => "←",
            Key::ArrowRight => "→",
            Key::OpenBracket => "[",
            Key::CloseBracket => "]",
            Key::Period => ".",
            key => key.symbol_or_name(),
        });
        parts.join(" ")
    }
}

/// What can be done in every view.
pub const GLOBAL: &[Action] = &[
    Action {
        name: "Search everything",
        group: "Window",
        keys: Some(Keys::command(Key::K)),
        can: always,
        run: |scene| scene.state.dialog = Some(Dialog::Palette),
    },
    Action {
        name: "Show all shortcuts",
        group: "Window",
        keys: Some(Keys::plain(Key::Questionmark)),
        can: always,
        run: |scene| scene.state.dialog = Some(Dialog::Shortcuts),
    },
    Action {
        name: "Filter this list",
        group: "Window",
        keys: Some(Keys::plain(Key::Slash)),
        can: shows_filter,
        run: |scene| scene.state.focus_filter = true,
    },
    Action {
        name: "Up one level",
        group: "Window",
        keys: Some(Keys::plain(Key::Escape)),
        can: always,
        run: |scene| scene.state.up(),
    },
    Action {
        name: "Switch between dark and light",
        group: "Window",
        keys: Some(Keys::plain(Key::T)),
        can: always,
        run: switch_theme,
    },
    Action {
        name: "Show or hide the inspector",
        group: "Window",
        keys: Some(Keys::plain(Key::I)),
        can: always,
        run: |scene| scene.state.remembered.inspector_open ^= true,
    },
    Action {
        name: "Show or hide the timeline",
        group: "Window",
        keys: Some(Keys::shift(Key::T)),
        can: always,
        run: |scene| scene.state.remembered.timeline_open ^= true,
    },
    Action {
        name: "Show or hide internal topics",
        group: "Window",
        keys: None,
        can: |scene| scene.picture.topics.iter().any(|topic| topic.internal),
        run: |scene| scene.state.remembered.internal_topics ^= true,
    },
    Action {
        name: "Reduce motion: wires light up",
        group: "Window",
        keys: None,
        can: |scene| !scene.state.remembered.reduce_motion,
        run: |scene| scene.state.remembered.reduce_motion = true,
    },
    Action {
        name: "Show requests fly",
        group: "Window",
        keys: None,
        can: |scene| scene.state.remembered.reduce_motion,
        run: |scene| scene.state.remembered.reduce_motion = false,
    },
    Action {
        name: "Produce records",
        group: "Topics",
        keys: Some(Keys::plain(Key::P)),
        can: |scene| scene.abilities.produce,
        run: |scene| scene.state.open_produce_panel(),
    },
    Action {
        name: "Consume records",
        group: "Topics",
        keys: Some(Keys::plain(Key::C)),
        can: |scene| scene.abilities.produce,
        run: |scene| {
            let picture = std::sync::Arc::clone(scene.picture);
            scene.state.open_consume_panel(&picture);
        },
    },
    act(
        "Pause this consumer",
        |scene| has_act(scene, Act::Pause),
        |scene| do_act(scene, Act::Pause),
    ),
    act(
        "Resume this consumer",
        |scene| has_act(scene, Act::Resume),
        |scene| do_act(scene, Act::Resume),
    ),
    act(
        "Crash this consumer",
        |scene| has_act(scene, Act::Crash),
        |scene| do_act(scene, Act::Crash),
    ),
    act(
        "Remove this consumer",
        |scene| has_act(scene, Act::Remove),
        |scene| do_act(scene, Act::Remove),
    ),
    act(
        "Start this consumer again",
        |scene| has_act(scene, Act::Again),
        |scene| do_act(scene, Act::Again),
    ),
    Action {
        name: "Create a topic",
        group: "Topics",
        keys: Some(Keys::plain(Key::N)),
        can: |scene| scene.abilities.change_topics,
        run: |scene| scene.state.dialog = Some(Dialog::CreateTopic),
    },
    Action {
        name: "Change this topic's settings",
        group: "Topics",
        keys: Some(Keys::plain(Key::S)),
        can: has_topic,
        run: |scene| on_topic(scene, Dialog::TopicSettings),
    },
    Action {
        name: "Add partitions to this topic",
        group: "Topics",
        keys: Some(Keys::shift(Key::P)),
        can: has_topic,
        run: |scene| on_topic(scene, Dialog::AddPartitions),
    },
    Action {
        name: "Empty this topic",
        group: "Topics",
        keys: Some(Keys::shift(Key::E)),
        can: has_topic,
        run: |scene| on_topic(scene, Dialog::EmptyTopic),
    },
    Action {
        name: "Delete this topic",
        group: "Topics",
        keys: Some(Keys::shift(Key::Delete)),
        can: has_topic,
        run: delete_topic,
    },
    Action {
        name: "What happened to what is selected",
        group: "Timeline",
        keys: Some(Keys::plain(Key::W)),
        can: |scene| scene.state.selection.subject().is_some(),
        run: |scene| {
            scene.state.timeline.about = scene.state.selection.subject();
            scene.state.go_to(ViewKey::Timeline);
        },
    },
    Action {
        name: "Export events",
        group: "Timeline",
        keys: Some(Keys::command(Key::S)),
        can: |scene| !scene.picture.events.is_empty(),
        run: |scene| scene.state.dialog = Some(Dialog::ExportEvents),
    },
    span("Timeline: the last minute", |scene| show_seconds(scene, 60)),
    span("Timeline: the last 5 minutes", |scene| {
        show_seconds(scene, 300);
    }),
    span("Timeline: the last 15 minutes", |scene| {
        show_seconds(scene, 900);
    }),
    span("Timeline: the last hour", |scene| {
        show_seconds(scene, 3_600);
    }),
    Action {
        name: "Connect a client",
        group: "Clients",
        keys: Some(Keys::shift(Key::B)),
        can: always,
        run: |scene| scene.state.dialog = Some(Dialog::Connect),
    },
    Action {
        name: "Copy the bootstrap string",
        group: "Clients",
        keys: Some(Keys::plain(Key::B)),
        can: always,
        run: |scene| {
            let bootstrap = scene.picture.bootstrap.clone();
            scene.copy(bootstrap, "Bootstrap string copied");
        },
    },
];

/// The topic that is open or selected, if it can be changed.
fn changeable_topic(scene: &Scene<'_>) -> Option<String> {
    let state = &scene.state;
    let name = state.open_topic.as_deref().or(state.selection.topic())?;
    let topic = scene.topic(name)?;
    let free = !topic.internal && !scene.is_deleting(name);
    (scene.abilities.change_topics && free).then(|| name.to_owned())
}

fn has_topic(scene: &Scene<'_>) -> bool {
    changeable_topic(scene).is_some()
}

fn on_topic(scene: &mut Scene<'_>, dialog: fn(String) -> Dialog) {
    scene.state.dialog = changeable_topic(scene).map(dialog);
}

fn delete_topic(scene: &mut Scene<'_>) {
    if let Some(name) = changeable_topic(scene) {
        scene.send(Command::DeleteTopic { name, now: false });
    }
}

fn always(_: &Scene<'_>) -> bool {
    true
}

/// What is in sight has a filter field.
fn shows_filter(scene: &Scene<'_>) -> bool {
    if scene.state.view == ViewKey::Groups {
        return scene.state.open_group.is_none();
    }
    scene.state.view != ViewKey::Topics
        || matches!(
            scene.state.tab(),
            None | Some(TopicTab::Records | TopicTab::Config)
        )
}

const fn span(name: &'static str, run: fn(&mut Scene<'_>)) -> Action {
    Action {
        name,
        group: "Window",
        keys: None,
        can: always,
        run,
    }
}

/// Something to do to the selected consumer.
const fn act(name: &'static str, can: fn(&Scene<'_>) -> bool, run: fn(&mut Scene<'_>)) -> Action {
    Action {
        name,
        group: "Clients",
        keys: None,
        can,
        run,
    }
}

fn has_act(scene: &Scene<'_>, act: Act) -> bool {
    let selected = consumers::selected(scene);
    selected.is_some_and(|one| consumers::acts(one.state).contains(&act))
}

fn do_act(scene: &mut Scene<'_>, act: Act) {
    if let Some(consumer) = consumers::selected(scene) {
        consumers::perform(scene, &consumer, act);
    }
}

fn show_seconds(scene: &mut Scene<'_>, seconds: u32) {
    scene.state.remembered.timeline_span_s = seconds;
    scene.state.remembered.timeline_open = true;
}

fn switch_theme(scene: &mut Scene<'_>) {
    scene.state.remembered.theme = if scene.dark {
        ThemeChoice::Light
    } else {
        ThemeChoice::Dark
    };
}

/// The actions that exist now: the shown view's first, then the selection's, then those of every view.
pub fn available(views: &[Box<dyn View>], scene: &Scene<'_>) -> Vec<Action> {
    let own = views
        .iter()
        .find(|view| view.key() == scene.state.view)
        .map_or(&[][..], |view| view.actions());
    own.iter()
        .chain(faults::ACTIONS)
        .chain(pace::ACTIONS)
        .chain(moves::ACTIONS)
        .chain(GLOBAL)
        .filter(|action| (action.can)(scene))
        .copied()
        .collect()
}

/// Carries out the shortcuts pressed in this frame.
pub fn run_pressed(ctx: &egui::Context, views: &[Box<dyn View>], scene: &mut Scene<'_>) {
    let palette = Keys::command(Key::K);
    // The palette opens even out of a text field; nothing else does.
    if take_press(ctx, palette) {
        scene.state.dialog = match scene.state.dialog {
            Some(Dialog::Palette) => None,
            _ => Some(Dialog::Palette),
        };
        return;
    }
    if ctx.text_edit_focused() || scene.state.dialog.is_some() || egui::Popup::is_any_open(ctx) {
        return;
    }
    if let Some(view) = pressed_view(ctx, views) {
        scene.state.go_to(view);
    }
    // Space and Enter belong to a button that has the keyboard.
    let on_a_button = ctx.memory(|memory| memory.focused().is_some());
    let is_free = |keys: &Keys| keys.key != Key::Space || !on_a_button;
    for action in available(views, scene) {
        let keys = action.keys.filter(is_free);
        if keys.is_some_and(|keys| take_press(ctx, keys)) {
            (action.run)(scene);
        }
    }
}

/// Takes a press of these keys out of the input; false when there was none.
fn take_press(ctx: &egui::Context, keys: Keys) -> bool {
    let pressed = |event: &egui::Event| {
        matches!(event, egui::Event::Key { key, modifiers, pressed: true, .. }
            if *key == keys.key && keys.are_held(*modifiers))
    };
    ctx.input_mut(|input| {
        let before = input.events.len();
        input.events.retain(|event| !pressed(event));
        input.events.len() < before
    })
}

/// The keys of the views, in the order of the navigation.
pub const VIEW_KEYS: [Key; 8] = [
    Key::Num1,
    Key::Num2,
    Key::Num3,
    Key::Num4,
    Key::Num5,
    Key::Num6,
    Key::Num7,
    Key::Num8,
];

fn pressed_view(ctx: &egui::Context, views: &[Box<dyn View>]) -> Option<ViewKey> {
    views
        .iter()
        .zip(VIEW_KEYS)
        .find(|(_, key)| take_press(ctx, Keys::plain(*key)))
        .map(|(view, _)| view.key())
}
