//! A broker's state as a small sign: each state has a shape of its own.

use egui::{Painter, Rect, Stroke, pos2};

use crate::app::theme::{Theme, size};
use crate::inspect::BrokerState;

/// A disc runs, two bars are paused, a cross is dead, a square is stopped, a ring starts or is fenced.
pub fn paint(painter: &Painter, rect: Rect, state: &BrokerState, fenced: bool, theme: &Theme) {
    let (middle, radius) = (rect.center(), rect.width() / 2.0);
    let strong = |color| Stroke::new(size::LINE_STRONG, color);
    match state {
        BrokerState::Running if fenced => {
            painter.circle_stroke(middle, radius - 1.0, strong(theme.warning));
            let slash = [
                pos2(rect.left() + 2.0, rect.bottom() - 2.0),
                pos2(rect.right() - 2.0, rect.top() + 2.0),
            ];
            painter.line_segment(slash, strong(theme.warning));
        }
        BrokerState::Running => {
            painter.circle_filled(middle, radius, theme.ok);
        }
        BrokerState::Starting => {
            painter.circle_stroke(middle, radius - 1.0, strong(theme.warning));
        }
        BrokerState::Stopping => {
            painter.circle_stroke(middle, radius - 1.0, strong(theme.warning));
            painter.circle_filled(middle, radius / 2.5, theme.warning);
        }
        BrokerState::Paused => {
            for x in [rect.left() + 2.0, rect.right() - 2.0] {
                let bar = [pos2(x, rect.top()), pos2(x, rect.bottom())];
                painter.line_segment(bar, Stroke::new(size::LINE_STRONG + 1.0, theme.warning));
            }
        }
        BrokerState::Stopped => {
            painter.rect_filled(rect.shrink(1.0), 0.0, theme.muted);
        }
        BrokerState::Killed | BrokerState::Crashed { .. } => {
            for stroke in [
                [rect.left_top(), rect.right_bottom()],
                [rect.left_bottom(), rect.right_top()],
            ] {
                painter.line_segment(stroke, strong(theme.bad));
            }
        }
    }
}
