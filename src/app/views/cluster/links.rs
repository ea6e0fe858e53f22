//! The links between brokers: what each lets through, where it runs, and which requests wait on it.

use egui::{Pos2, Rect, pos2, vec2};

use super::layout::Layout;
use crate::app::format;
use crate::app::replicas::{is_up, state_word};
use crate::app::theme::cluster as measure;
use crate::ids::{BrokerId, Time};
use crate::inspect::{Asker, BrokerState, ClusterSnapshot, InFlight, WaitsFor};

/// Points a curve is drawn and hit with.
const STEPS: usize = 24;

/// What one direction of a link does to what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Way {
    pub cut: bool,
    pub delay_ms: u64,
}

/// The two directions between two brokers, the lower number first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub a: BrokerId,
    pub b: BrokerId,
    pub there: Way,
    pub back: Way,
    /// Why nobody answers at one of its ends.
    pub down: Option<String>,
}

/// How a link is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Good,
    /// One of its ends does not run.
    Down,
    Slow,
    /// In one direction or both.
    Cut,
}

impl Link {
    /// The link between two brokers as the picture has it.
    pub fn between(picture: &ClusterSnapshot, one: BrokerId, other: BrokerId) -> Link {
        let (a, b) = (one.min(other), one.max(other));
        let way = |from: BrokerId, to: BrokerId| {
            let found = picture.links.iter().find(|l| l.from == from && l.to == to);
            found.map_or(Way::default(), |l| Way {
                cut: l.cut,
                delay_ms: l.delay_ms,
            })
        };
        let ends = picture
            .brokers
            .iter()
            .filter(|broker| broker.id == a || broker.id == b);
        let mut down =
            ends.filter(|broker| !is_up(&broker.state) && broker.state != BrokerState::Starting);
        Link {
            a,
            b,
            there: way(a, b),
            back: way(b, a),
            down: down
                .next()
                .map(|broker| format!("broker {} is {}", broker.id, state_word(&broker.state))),
        }
    }

    /// Every link of the cluster.
    pub fn all(picture: &ClusterSnapshot) -> Vec<Link> {
        let ids: Vec<BrokerId> = picture.brokers.iter().map(|broker| broker.id).collect();
        let pairs = ids.iter().enumerate();
        let pairs = pairs.flat_map(|(nth, a)| ids[nth + 1..].iter().map(move |b| (*a, *b)));
        pairs.map(|(a, b)| Link::between(picture, a, b)).collect()
    }

    pub fn look(&self) -> Look {
        if self.there.cut || self.back.cut {
            Look::Cut
        } else if self.there.delay_ms > 0 || self.back.delay_ms > 0 {
            Look::Slow
        } else if self.down.is_some() {
            Look::Down
        } else {
            Look::Good
        }
    }

    /// What is written on it; nothing on one that is as good as new.
    pub fn label(&self) -> Option<String> {
        match (self.there, self.back) {
            (there, back) if there.cut && back.cut => Some("cut".to_owned()),
            (there, _) if there.cut => Some(format!("{}→{} cut", self.a, self.b)),
            (_, back) if back.cut => Some(format!("{}→{} cut", self.b, self.a)),
            (there, back) if there.delay_ms == back.delay_ms && there.delay_ms > 0 => {
                Some(format!("+{}", format::duration_ms(there.delay_ms)))
            }
            (there, back) if there.delay_ms > 0 || back.delay_ms > 0 => {
                Some(format!("+{}/{} ms", there.delay_ms, back.delay_ms))
            }
            _ => None,
        }
    }

    /// The link in words: its text alternative.
    pub fn sentence(&self) -> String {
        let name = format!("Link between broker {} and broker {}", self.a, self.b);
        let way = |from: BrokerId, to: BrokerId, way: Way| match (way.cut, way.delay_ms) {
            (true, _) => Some(format!("nothing arrives from {from} at {to}")),
            (false, 0) => None,
            (false, ms) => Some(format!(
                "{} longer from {from} to {to}",
                format::duration_ms(ms)
            )),
        };
        let ways = [
            way(self.a, self.b, self.there),
            way(self.b, self.a, self.back),
        ];
        let mut said: Vec<String> = ways.into_iter().flatten().collect();
        said.extend(self.down.clone());
        match said.is_empty() {
            true => format!("{name}: as good as new"),
            false => format!("{name}: {}", said.join(", ")),
        }
    }
}

/// Requests of one kind that wait on a link.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    pub from: BrokerId,
    pub to: BrokerId,
    pub api: String,
    /// They arrived and wait there; else only their asker tells of them.
    pub arrived: bool,
    pub count: usize,
    pub words: String,
}

/// The unanswered requests between two brokers, alike ones as one.
pub fn flows(picture: &ClusterSnapshot, a: BrokerId, b: BrokerId, now: Time) -> Vec<Flow> {
    let mut flows: Vec<Flow> = Vec::new();
    for request in &picture.in_flight {
        let Asker::Broker(from) = request.from else {
            continue;
        };
        if (from, request.to) != (a, b) && (from, request.to) != (b, a) {
            continue;
        }
        let arrived = request.waits_for != WaitsFor::Answer;
        let like = |flow: &&mut Flow| {
            flow.from == from && flow.api == request.api && flow.arrived == arrived
        };
        match flows.iter_mut().find(like) {
            Some(flow) => flow.count += 1,
            None => flows.push(Flow {
                from,
                to: request.to,
                api: request.api.clone(),
                arrived,
                count: 1,
                words: words(request, from, now),
            }),
        }
    }
    // A request both its ends tell of is where the one that has it says.
    let arrived: Vec<(BrokerId, String)> = flows
        .iter()
        .filter(|f| f.arrived)
        .map(|f| (f.from, f.api.clone()))
        .collect();
    flows.retain(|flow| flow.arrived || !arrived.contains(&(flow.from, flow.api.clone())));
    flows
}

fn words(request: &InFlight, from: BrokerId, now: Time) -> String {
    let about: Vec<String> = request
        .partitions
        .iter()
        .map(|(topic, partition)| format!("{topic}-{partition}"))
        .collect();
    let about = match about.is_empty() {
        true => String::new(),
        false => format!(", about {}", about.join(", ")),
    };
    format!(
        "{} from broker {from} to broker {}, sent {}, {}{about}",
        request.api,
        request.to,
        format::ago(now, request.since),
        waits_for(request.waits_for)
    )
}

/// What a request waits for, in words.
pub fn waits_for(what: WaitsFor) -> &'static str {
    match what {
        WaitsFor::Answer => "not answered yet",
        WaitsFor::Records => "waits there for records",
        WaitsFor::Replicas => "waits there for replicas",
        WaitsFor::Durability => "waits there for the disk or the voters",
        WaitsFor::Controller => "was passed on to the controller",
        WaitsFor::Group => "waits there for the other members of its group",
        WaitsFor::Coordinator => "waits there for the coordinator of its group",
        WaitsFor::Joining => "waits there until the broker has caught up with the metadata",
    }
}

/// The curve of a link between the cards at these two places.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub points: Vec<Pos2>,
}

impl Curve {
    /// Between the `i`th and the `j`th card, `i < j`.
    pub fn new(layout: &Layout, i: usize, j: usize) -> Curve {
        let (from, to) = (layout.cards[i], layout.cards[j]);
        let inner = layout.gutter;
        let leaves_right = |card: Rect| card.left() < inner.left();
        let edge = |card: Rect| {
            if leaves_right(card) {
                card.right()
            } else {
                card.left()
            }
        };
        let y = |card: Rect, own: usize, other: usize| {
            let others = layout.cards.len().max(2) as f32;
            let share = (other as f32 + if other > own { 0.0 } else { 1.0 }) / others;
            card.top() + card.height() * (0.12 + 0.76 * share)
        };
        let start = pos2(edge(from), y(from, i, j));
        let end = pos2(edge(to), y(to, j, i));
        let swing = |card: Rect| {
            let apart = (i.abs_diff(j) as f32).sqrt() * measure::SWING * 1.6;
            let most = inner.width() * if from.left() == to.left() { 1.1 } else { 0.6 };
            let out = if from.left() == to.left() {
                apart
            } else {
                most
            }
            .min(most);
            vec2(if leaves_right(card) { out } else { -out }, 0.0)
        };
        let (near_start, near_end) = (start + swing(from), end + swing(to));
        Curve::bent(start, near_start, near_end, end)
    }

    /// From `start` to `end`, leaving and arriving in the direction of the points beside them.
    pub fn bent(start: Pos2, near_start: Pos2, near_end: Pos2, end: Pos2) -> Curve {
        let [p0, p1, p2, p3] = [start, near_start, near_end, end].map(Pos2::to_vec2);
        let at = |t: f32| {
            let u = 1.0 - t;
            (p0 * u * u * u + p1 * 3.0 * u * u * t + p2 * 3.0 * u * t * t + p3 * t * t * t)
                .to_pos2()
        };
        Curve {
            points: (0..=STEPS)
                .map(|step| at(step as f32 / STEPS as f32))
                .collect(),
        }
    }

    /// The point a share of the way along.
    pub fn at(&self, share: f32) -> Pos2 {
        let place = share.clamp(0.0, 1.0) * STEPS as f32;
        let nth = (place.floor() as usize).min(STEPS - 1);
        self.points[nth] + (self.points[nth + 1] - self.points[nth]) * (place - nth as f32)
    }

    /// The direction of travel there.
    pub fn direction(&self, share: f32) -> egui::Vec2 {
        (self.at(share + 0.02) - self.at(share - 0.02)).normalized()
    }

    /// How far a point is from it.
    pub fn distance(&self, to: Pos2) -> f32 {
        let each = self.points.windows(2).map(|pair| {
            let (start, along) = (pair[0], pair[1] - pair[0]);
            let length = along.length_sq().max(f32::EPSILON);
            let share = ((to - start).dot(along) / length).clamp(0.0, 1.0);
            (start + along * share).distance(to)
        });
        each.fold(f32::INFINITY, f32::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(there: Way, back: Way) -> Link {
        Link {
            a: BrokerId(1),
            b: BrokerId(2),
            there,
            back,
            down: None,
        }
    }

    #[test]
    fn a_link_says_what_it_lets_through() {
        let cut = Way {
            cut: true,
            delay_ms: 0,
        };
        let slow = Way {
            cut: false,
            delay_ms: 200,
        };
        let good = Way::default();
        for (there, back, look, label) in [
            (good, good, Look::Good, None),
            (cut, cut, Look::Cut, Some("cut")),
            (cut, good, Look::Cut, Some("1→2 cut")),
            (good, cut, Look::Cut, Some("2→1 cut")),
            (slow, slow, Look::Slow, Some("+200 ms")),
        ] {
            let link = link(there, back);
            assert_eq!((link.look(), link.label().as_deref()), (look, label));
        }
        let said = link(cut, slow).sentence();
        assert!(
            said.ends_with("nothing arrives from 1 at 2, 200 ms longer from 2 to 1"),
            "{said}"
        );
    }

    #[test]
    fn curves_stay_in_the_gutter() {
        let area = Rect::from_min_size(pos2(0.0, 0.0), vec2(916.0, 620.0));
        for brokers in 2..=10 {
            let layout = Layout::new(area, &vec![vec![9]; brokers]);
            let gutter = layout.gutter.expand(1.0);
            for i in 0..brokers {
                for j in i + 1..brokers {
                    for point in Curve::new(&layout, i, j).points {
                        assert!(gutter.contains(point), "{brokers}: {i}-{j} {point:?}");
                    }
                }
            }
        }
    }
}
