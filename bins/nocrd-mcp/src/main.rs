//! no-crd.
fn main() {}
