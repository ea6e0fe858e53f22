//! Arguments → window or headless; nothing else.
pub fn main() {}
