//! What must hold of any text that a stranger writes: the bodies of the targets in `fuzz/`. Compiled for the fuzzer, and for
//! the tests, which run each on its seeds.

mod bearer_header;
mod claims;
mod cookie_header;
mod door;
mod visibility;

pub use bearer_header::bearer_header;
pub use claims::claims;
pub use cookie_header::cookie_header;
pub use visibility::visibility;

/// What is run on a text; it panics when something does not hold.
pub type Target = fn(&[u8]);

/// All of them.
pub const TARGETS: [(&str, Target); 4] = [
    ("bearer_header", bearer_header),
    ("claims", claims),
    ("cookie_header", cookie_header),
    ("visibility", visibility),
];

#[cfg(test)]
mod tests {
    #[test]
    fn each_holds_on_its_seeds() {
        for (name, target) in super::TARGETS {
            let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(name);
            let mut count = 0;
            for seed in std::fs::read_dir(&seeds).unwrap() {
                target(&std::fs::read(seed.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no seeds");
        }
    }
}
