//! The small parts every view is made of, so that they look and read alike everywhere.
//!
//! Each takes its colours and sizes from the theme and gives its control an accessible name.

mod button;
mod facts;
pub mod lane;
mod lane_bars;
pub mod lane_cells;
pub mod lane_flags;
pub mod lane_paint;
pub mod lane_view;
mod list;
mod table;
mod text;

pub use button::*;
pub use facts::*;
pub use list::*;
pub use table::*;
pub use text::*;
