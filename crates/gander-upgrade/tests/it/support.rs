//! An upgrade to begin with.

use gander_upgrade::lock::Holder;
use gander_upgrade::state::{Kind, Side, Step};
use gander_upgrade::{Phase, Place, State, UpgradeId, Version};

pub fn id(number: u8) -> UpgradeId {
    UpgradeId::from_bytes([number; 16])
}

pub fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// An upgrade from 1.0.0 to 1.1.0 in its first phase.
pub fn begun(place: &Place, number: u8) -> State {
    let side = |text: &str| Side { version: version(text), program: place.program(&version(text)), format: 1 };
    State {
        v: 1,
        id: id(number),
        kind: Kind::Upgrade,
        from: side("1.0.0"),
        to: side("1.1.0"),
        phase: Phase::Stage,
        steps: vec![Step { phase: Phase::Stage, at_ms: 1 }],
        driver: Holder::this(1),
        pointer_before: None,
        pointer_after: None,
        was_running: false,
        starts: 0,
        port: None,
        backup: None,
        exports: None,
        seal: None,
        sealed_copy: false,
        back_to: None,
        check: None,
        failed: None,
        warnings: Vec::new(),
    }
}
