//! The Connect card: the bootstrap string, and a program per client language that writes and reads.

use egui::{CornerRadius, Frame, Label, Margin, RichText, ScrollArea, Ui};

use crate::app::scene::Scene;
use crate::app::theme::{self, Theme, radius, space};
use crate::app::widgets;

/// One language's snippet.
struct Snippet {
    name: &'static str,
    /// How to get the client.
    install: &'static str,
    /// `BOOTSTRAP` and `TOPIC` are replaced.
    program: &'static str,
}

const SNIPPETS: &[Snippet] = &[
    Snippet {
        name: "kcat",
        install: "apt-get install kcat   or   brew install kcat",
        program: include_str!("snippets/kcat.txt"),
    },
    Snippet {
        name: "Python",
        install: "pip install confluent-kafka",
        program: include_str!("snippets/python.txt"),
    },
    Snippet {
        name: "Java",
        install: "org.apache.kafka:kafka-clients:4.1.0 in pom.xml or build.gradle",
        program: include_str!("snippets/java.txt"),
    },
    Snippet {
        name: "Go",
        install: "go mod init hello && go get github.com/twmb/franz-go/pkg/kgo",
        program: include_str!("snippets/go.txt"),
    },
    Snippet {
        name: "Node",
        install: "npm install kafkajs",
        program: include_str!("snippets/node.txt"),
    },
];

/// Topic the snippets use when none is selected.
const TOPIC: &str = "orders";

pub fn draw(ui: &mut Ui, scene: &mut Scene<'_>) {
    widgets::title(ui, "Connect a client");
    bootstrap(ui, scene);
    ui.add_space(space::XS);
    let mut chosen = chosen(&scene.state.remembered.snippet);
    let all: Vec<(usize, String)> = SNIPPETS
        .iter()
        .enumerate()
        .map(|(index, snippet)| (index, snippet.name.to_owned()))
        .collect();
    if widgets::tabs(ui, &mut chosen, &all) {
        scene.state.remembered.snippet = SNIPPETS[chosen].name.to_owned();
    }
    let snippet = &SNIPPETS[chosen];
    ui.add_space(space::XS);
    ui.horizontal(|ui| {
        widgets::muted(ui, "Install");
        ui.add(Label::new(RichText::new(snippet.install).font(theme::mono())).selectable(true));
    });
    let topic = scene.state.selection.topic().unwrap_or(TOPIC);
    let program = fill_in(snippet.program, &scene.picture.bootstrap, topic);
    code(ui, &program);
    ui.horizontal(|ui| {
        if widgets::primary_button(ui, "Copy program").clicked() {
            scene.copy(program, "Program copied");
        }
        if widgets::button(ui, "Close").clicked() {
            scene.state.dialog = None;
        }
    });
}

fn bootstrap(ui: &mut Ui, scene: &mut Scene<'_>) {
    ui.horizontal(|ui| {
        widgets::muted(ui, "Bootstrap");
        ui.add(
            Label::new(RichText::new(&scene.picture.bootstrap).font(theme::mono()))
                .selectable(true),
        );
        if widgets::link(ui, "copy").clicked() {
            let text = scene.picture.bootstrap.clone();
            scene.copy(text, "Bootstrap string copied");
        }
    });
    let reach = if scene.picture.listens_beyond_loopback {
        "Clients on other machines can connect: they use this machine's own address where 127.0.0.1 stands here. There is no encryption and no password: use it only in a network you trust."
    } else {
        "Only programs on this machine can connect. For others, start klar with --listen and an address they can reach."
    };
    widgets::paragraph(ui, reach);
}

fn code(ui: &mut Ui, program: &str) {
    let theme = Theme::of(ui);
    Frame::new()
        .fill(theme.window)
        .stroke(theme.hairline())
        .corner_radius(CornerRadius::same(radius::CONTROL))
        .inner_margin(Margin::same(space::M as i8))
        .show(ui, |ui| {
            ScrollArea::both()
                .max_height(320.0)
                .auto_shrink([false, true])
                .show(ui, |ui| {
                    ui.add(
                        Label::new(RichText::new(program).font(theme::mono()).color(theme.text))
                            .extend()
                            .selectable(true),
                    );
                });
        });
}

fn chosen(name: &str) -> usize {
    SNIPPETS
        .iter()
        .position(|snippet| snippet.name == name)
        .unwrap_or(0)
}

fn fill_in(program: &str, bootstrap: &str, topic: &str) -> String {
    program
        .replace("BOOTSTRAP", bootstrap)
        .replace("TOPIC", topic)
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    // That each runs, writes and reads is tried by the tests of the foreign clients.
    #[test]
    fn every_program_names_the_bootstrap_and_the_topic() {
        for snippet in SNIPPETS {
            let program = fill_in(snippet.program, "127.0.0.1:9092", "clicks");
            assert!(program.contains("127.0.0.1:9092"), "{}", snippet.name);
            assert!(program.contains("clicks"), "{}", snippet.name);
            assert!(!program.contains("BOOTSTRAP") && !program.contains("TOPIC"));
        }
    }
}
