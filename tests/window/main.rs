//! The window on made-up pictures: every view in both themes, driven through its accessible names.
//!
//! Pictures are written to `screenshots/`. A missing glyph or a control without a name fails the test.

#![allow(clippy::unwrap_used)]

mod broker_page;
mod cluster;
mod colour_blind;
mod consumers;
mod cost;
mod doctor;
#[allow(dead_code)] // each view's tests use another part of it
mod fixture;
mod groups;
mod heatmap;
mod idle;
mod moves;
mod numbers;
mod pace;
mod panels;
mod raster;
mod rig;
mod shell;
mod speed;
mod stalled;
mod story;
mod three_brokers;
mod timeline;
mod topics;
