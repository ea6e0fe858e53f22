//! The cluster's picture as people see it who lack one kind of cone: each two marks that mean different things must
//! still look different, by shape, letter or colour.
//!
//! Simulated as in Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
//! Deficiency", IEEE TVCG 15(6), 2009, table 1: the matrices of severity 1.0, applied to linear sRGB.

use egui::{Color32, Painter, Pos2, Rect, Shape, Ui, UiBuilder, Vec2, pos2, vec2};
use egui_kittest::Harness;
use image::{Rgba, RgbaImage};
use klar::app::replicas::ReplicaRole;
use klar::app::state::Selection;
use klar::app::theme::{self, DARK, LIGHT, Theme};
use klar::app::views::cluster::links::{Curve, Link, Way};
use klar::app::views::cluster::{heatmap, lanes, state_mark, wires};
use klar::app::widgets::lane::Ink;
use klar::app::widgets::lane_paint;
use klar::ids::BrokerId;
use klar::inspect::BrokerState;

use crate::cluster::show;
use crate::fixture::Fixture;
use crate::raster::Raster;
use crate::rig::{SIZES, file, open};
use crate::three_brokers::{self, DEAD};

/// CIE76 difference from which two colours are taken for different at a glance; 2.3 can just be noticed.
const APART: f64 = 20.0;
/// From here on a pixel does not look like the ground.
const DRAWN: f64 = 5.0;
/// Share of the pixels of two marks that must be apart.
const SHARE: f64 = 0.1;

type Matrix = [[f64; 3]; 3];

/// Ways to see, by name; the first is what most people have.
const VISIONS: [(&str, Matrix); 4] = [
    (
        "trichromacy",
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    ),
    (
        "protanopia",
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
    ),
    (
        "deuteranopia",
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    ),
    (
        "tritanopia",
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    ),
];

/// What is seen of a colour, linear sRGB from 0 to 1.
fn seen(color: [u8; 3], vision: &Matrix) -> [f64; 3] {
    let linear = color.map(|part| {
        let part = f64::from(part) / 255.0;
        match part <= 0.04045 {
            true => part / 12.92,
            false => ((part + 0.055) / 1.055).powf(2.4),
        }
    });
    vision.map(|row| (row[0] * linear[0] + row[1] * linear[1] + row[2] * linear[2]).clamp(0.0, 1.0))
}

/// A linear colour as bytes of sRGB.
fn encoded(linear: [f64; 3]) -> [u8; 3] {
    linear.map(|part| {
        let part = match part <= 0.0031308 {
            true => part * 12.92,
            false => 1.055 * part.powf(1.0 / 2.4) - 0.055,
        };
        (part * 255.0).round() as u8
    })
}

/// CIE L*a*b* under D65.
fn lab([r, g, b]: [f64; 3]) -> [f64; 3] {
    let x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047;
    let y = 0.2126729 * r + 0.7151522 * g + 0.0721750 * b;
    let z = (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883;
    let [x, y, z] = [x, y, z].map(|t: f64| match t > 216.0 / 24_389.0 {
        true => t.cbrt(),
        false => (24_389.0 / 27.0 * t + 16.0) / 116.0,
    });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// How different two colours look (CIE76).
fn difference(a: [u8; 3], b: [u8; 3], vision: &Matrix) -> f64 {
    let (a, b) = (lab(seen(a, vision)), lab(seen(b, vision)));
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f64>().sqrt()
}

type Draw = Box<dyn Fn(&Ui, Rect, &'static Theme)>;

/// Marks of one kind: each two of them mean something else.
struct Kind {
    name: String,
    size: Vec2,
    marks: Vec<(String, Draw)>,
}

fn badges() -> Kind {
    let marks = ReplicaRole::ALL.map(|role| {
        let draw = move |ui: &Ui, rect: Rect, theme: &Theme| {
            let metrics = lane_paint::metrics(1.0);
            let mesh = lane_paint::mesh(&[lanes::badge(role, rect)], &metrics, theme);
            ui.painter().add(Shape::mesh(mesh));
            let ink = match role {
                ReplicaRole::Leader => theme.on_leader,
                role => lane_paint::role_color(role, theme),
            };
            let centred = egui::Align2::CENTER_CENTER;
            let font = theme::small_heading();
            ui.painter()
                .text(rect.center(), centred, lanes::letter(role), font, ink);
        };
        (role.word().to_owned(), Box::new(draw) as Draw)
    });
    Kind {
        name: "badge".to_owned(),
        size: theme::cluster::BADGE.into(),
        marks: marks.into(),
    }
}

fn tiles(side: f32, level: u8) -> Kind {
    let marks = ReplicaRole::ALL.map(|role| {
        let draw = move |ui: &Ui, rect: Rect, theme: &Theme| {
            let mut quads = Vec::new();
            heatmap::shape(&mut quads, (role, Ink::Replica(role)), level, rect);
            let metrics = lane_paint::metrics(1.0);
            ui.painter()
                .add(Shape::mesh(lane_paint::mesh(&quads, &metrics, theme)));
        };
        (role.word().to_owned(), Box::new(draw) as Draw)
    });
    Kind {
        name: format!("tile of {side} points and brightness {level}"),
        size: Vec2::splat(side),
        marks: marks.into(),
    }
}

fn states() -> Kind {
    let states = [
        ("running", BrokerState::Running, false),
        ("fenced", BrokerState::Running, true),
        ("starting", BrokerState::Starting, false),
        ("stopping", BrokerState::Stopping, false),
        ("paused", BrokerState::Paused, false),
        ("stopped", BrokerState::Stopped, false),
        ("killed", BrokerState::Killed, false),
    ];
    let marks = states.map(|(name, state, fenced)| {
        let draw = move |ui: &Ui, rect: Rect, theme: &Theme| {
            let painter: &Painter = ui.painter();
            state_mark::paint(painter, rect, &state, fenced, theme);
        };
        (name.to_owned(), Box::new(draw) as Draw)
    });
    Kind {
        name: "broker".to_owned(),
        size: Vec2::splat(theme::size::DOT * 2.5),
        marks: marks.into(),
    }
}

fn links() -> Kind {
    let (good, cut) = (
        Way::default(),
        Way {
            cut: true,
            delay_ms: 0,
        },
    );
    let slow = Way {
        cut: false,
        delay_ms: 200,
    };
    let links = [
        ("good", good, None),
        ("slow", slow, None),
        ("cut", cut, None),
        ("down", good, Some("broker 2 is killed".to_owned())),
    ];
    let marks = links.map(|(name, way, down)| {
        let draw = move |ui: &Ui, rect: Rect, _: &Theme| {
            let link = Link {
                a: BrokerId(1),
                b: BrokerId(2),
                there: way,
                back: way,
                down: down.clone(),
            };
            let (top, bottom) = (rect.center_top(), rect.center_bottom());
            let curve = Curve::bent(
                top,
                top + (bottom - top) / 3.0,
                bottom - (bottom - top) / 3.0,
                bottom,
            );
            wires::line(ui, &link, &curve, false, false);
        };
        (name.to_owned(), Box::new(draw) as Draw)
    });
    Kind {
        name: "link".to_owned(),
        size: vec2(11.0, 120.0),
        marks: marks.into(),
    }
}

/// From one mark to the next.
const PITCH: Vec2 = Vec2::new(24.0, 130.0);

/// The pixels of each mark of a kind.
fn drawn(kind: Kind, dark: bool) -> Vec<(String, Vec<[u8; 3]>)> {
    let names: Vec<String> = kind.marks.iter().map(|(name, _)| name.clone()).collect();
    let (size, marks) = (kind.size, kind.marks);
    let place = move |nth: usize| Rect::from_min_size(pos2(4.0 + PITCH.x * nth as f32, 4.0), size);
    let mut harness = Harness::builder()
        .with_size(vec2(PITCH.x * names.len() as f32 + 8.0, PITCH.y))
        .with_theme(if dark {
            egui::Theme::Dark
        } else {
            egui::Theme::Light
        })
        .with_context_setup(theme::install)
        .renderer(Raster::default())
        .build_ui(move |ui| {
            let theme = Theme::for_mode(dark);
            let whole = ui.ctx().content_rect();
            let mut all = ui.new_child(UiBuilder::new().max_rect(whole));
            all.set_clip_rect(whole);
            all.painter().rect_filled(whole, 0.0, theme.card);
            for (nth, (_, draw)) in marks.iter().enumerate() {
                draw(&all, place(nth), theme);
            }
        });
    harness.run();
    let image = harness.render().unwrap();
    let pixels = |nth: usize| {
        let at: Pos2 = place(nth).min;
        let corner = (at.x as u32, at.y as u32);
        let (columns, rows) = (size.x.ceil() as u32, size.y.ceil() as u32);
        let all =
            (0..rows).flat_map(move |y| (0..columns).map(move |x| (corner.0 + x, corner.1 + y)));
        all.map(|(x, y)| {
            let Rgba([r, g, b, _]) = *image.get_pixel(x, y);
            [r, g, b]
        })
        .collect()
    };
    names
        .into_iter()
        .enumerate()
        .map(|(nth, name)| (name, pixels(nth)))
        .collect()
}

/// Whether enough of two marks on the same ground looks different.
fn told_apart(a: &[[u8; 3]], b: &[[u8; 3]], ground: [u8; 3], vision: &Matrix) -> bool {
    let is_drawn = |pixel| difference(pixel, ground, vision) >= DRAWN;
    let pairs = a.iter().zip(b);
    let drawn = pairs.filter(|(a, b)| is_drawn(**a) || is_drawn(**b));
    let differences: Vec<f64> = drawn.map(|(a, b)| difference(*a, *b, vision)).collect();
    let apart = differences
        .iter()
        .filter(|difference| **difference >= APART);
    apart.count() as f64 >= (differences.len() as f64 * SHARE).max(1.0)
}

#[test]
fn marks_that_mean_something_else_look_different_to_everybody() {
    let mut alike = Vec::new();
    for dark in [true, false] {
        let card = Theme::for_mode(dark).card;
        let ground = [card.r(), card.g(), card.b()];
        let sizes = [
            (2.0, 1),
            (2.0, 9),
            (4.0, 1),
            (4.0, 9),
            (7.0, 1),
            (12.0, 1),
            (12.0, 9),
            (25.0, 5),
        ];
        let tiles = sizes.map(|(side, level)| tiles(side, level));
        for kind in [badges(), states(), links()].into_iter().chain(tiles) {
            let name = kind.name.clone();
            let marks = drawn(kind, dark);
            for (vision, matrix) in &VISIONS {
                for (nth, (a, of_a)) in marks.iter().enumerate() {
                    for (b, of_b) in &marks[nth + 1..] {
                        if !told_apart(of_a, of_b, ground, matrix) {
                            alike.push(format!("{name}, dark {dark}, {vision}: {a} and {b}"));
                        }
                    }
                }
            }
        }
    }
    assert!(
        alike.is_empty(),
        "{} look alike:\n{}",
        alike.len(),
        alike.join("\n")
    );
}

#[test]
fn more_heat_is_further_from_the_ground_to_everybody() {
    for theme in [&DARK, &LIGHT] {
        for (vision, matrix) in &VISIONS {
            let lightness =
                |color: Color32| lab(seen([color.r(), color.g(), color.b()], matrix))[0];
            let levels = (0..=9).map(|level| lightness(theme.heat(level as f32 / 9.0)));
            let away: Vec<f64> = levels
                .map(|light| (light - lightness(theme.card)).abs())
                .collect();
            let apart = away.windows(2).all(|pair| pair[1] - pair[0] >= 2.0);
            assert!(apart, "{vision}, dark {}: {away:.0?}", theme.dark);
        }
    }
}

#[test]
fn a_simulation_keeps_greys_and_confuses_what_it_should() {
    let [grey, red, green] = [[128; 3], [0xEF, 0x5B, 0x5B], [0x3F, 0xB6, 0x8B]];
    for (name, matrix) in &VISIONS {
        let same = encoded(seen(grey, matrix));
        assert!(
            same.iter().all(|part| part.abs_diff(128) <= 1),
            "{name}: {same:?}"
        );
    }
    let [all, _, deuteranopia, _] = VISIONS.map(|(_, matrix)| difference(red, green, &matrix));
    assert!(deuteranopia < all / 2.0, "{deuteranopia:.0} of {all:.0}");
}

/// Writes how the cluster looks to those who lack a kind of cone, if pictures are wanted.
fn act(name: &str, fixture: &Fixture, selection: &Selection) {
    if std::env::var_os("KLAR_PICTURES").is_none() {
        return;
    }
    for dark in [true, false] {
        let mut window = open(fixture, SIZES[0], dark, |_| {});
        show(&mut window);
        window.state_mut().state_mut().select(selection.clone());
        window.run();
        let image = window.render().unwrap();
        for (vision, matrix) in &VISIONS[1..] {
            let mut image: RgbaImage = image.clone();
            for Rgba([r, g, b, _]) in image.pixels_mut() {
                [*r, *g, *b] = encoded(seen([*r, *g, *b], matrix));
            }
            image
                .save(file(&format!("{name}-{vision}"), dark, SIZES[0]))
                .unwrap();
        }
    }
}

#[test]
fn pictures_of_the_cluster_as_others_see_it() {
    let dead = Selection::Broker(DEAD);
    act("cluster-faults", &three_brokers::shop(), &dead);
    let nothing = Selection::Nothing;
    act("cluster-heatmap", &crate::heatmap::thousands(), &nothing);
}
