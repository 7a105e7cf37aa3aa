//! Where a window is: what the journal keeps of it, and how it is put onto the displays that there are.
//!
//! Lengths are logical pixels. Position and size are those of the window as it is when it is neither maximised, full screen
//! nor minimised, so that it goes back there.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A window that nobody has placed yet.
const USUAL: (f64, f64) = (1180.0, 820.0);
/// Smaller than this no page can be used.
pub const LEAST: (f64, f64) = (420.0, 320.0);
/// So much of a window's upper edge has to be on a display that it can be taken hold of there.
const GRIP: (f64, f64) = (80.0, 24.0);
/// How far each new window lies from the one before it.
const STEP: f64 = 28.0;
const STEPS: u32 = 8;

fn one() -> f64 {
    1.0
}

/// A window's place, as the journal keeps it. What other versions or a browser put in is kept in `more`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    #[serde(default)]
    pub maximized: bool,
    #[serde(default)]
    pub fullscreen: bool,
    #[serde(default)]
    pub minimized: bool,
    #[serde(default = "one")]
    pub zoom: f64,
    /// The display's name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Where that display began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_at: Option<(f64, f64)>,
    /// Where it was before it had to move: it goes back when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A window's place on a display that is gone, or too small for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Home {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub display: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_at: Option<(f64, f64)>,
}

/// A display of this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Display {
    pub name: Option<String>,
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Geometry {
    /// What the journal keeps, where it makes sense.
    pub fn read(kept: &Value) -> Option<Self> {
        let read: Self = serde_json::from_value(kept.clone()).ok()?;
        let sane = |x: f64, y: f64, width: f64, height: f64| {
            [x, y, width, height].iter().all(|length| length.abs() < 1e6) && width > 0.0 && height > 0.0
        };
        let home = read.home.filter(|home| sane(home.x, home.y, home.width, home.height));
        sane(read.x, read.y, read.width, read.height).then(|| Self { zoom: sane_zoom(read.zoom), home, ..read })
    }

    /// A place for a window that has none: beside the windows that there are.
    pub fn fresh(nth: u32, displays: &[Display]) -> Self {
        let step = STEP * f64::from(nth % STEPS);
        let (left, top, width, height) =
            displays.first().map_or((0.0, 0.0, 1280.0, 900.0), |first| (first.x, first.y, first.width, first.height));
        Self {
            x: left + 40.0 + step,
            y: top + 30.0 + step,
            width: USUAL.0.min(width - 80.0 - STEP),
            height: USUAL.1.min(height - 100.0 - STEP),
            maximized: false,
            fullscreen: false,
            minimized: false,
            zoom: 1.0,
            display: None,
            display_at: None,
            home: None,
            more: Map::new(),
        }
        .onto(displays)
    }

    /// The same window on the displays that there are. It moves along with its display, and stays where it can be taken hold of.
    /// Where it cannot, or its display is gone, it comes onto the nearest, as little changed as it can be; from there it goes home
    /// when that is possible again.
    pub fn onto(mut self, displays: &[Display]) -> Self {
        self.width = self.width.max(LEAST.0);
        self.height = self.height.max(LEAST.1);
        if displays.is_empty() {
            return self;
        }
        if let Some((home, display)) = self.at_home().and_then(|home| home.along(displays))
            && home.can_be_taken_hold_of_on(display)
        {
            return home;
        }
        let left = self.home.clone().or_else(|| self.as_home());
        let (mut placed, named) = match self.clone().along(displays) {
            Some((moved, display)) => (moved, Some(display)),
            None => (Self { home: left.clone(), ..self }, None),
        };
        if displays.iter().any(|display| placed.can_be_taken_hold_of_on(display)) {
            return placed;
        }
        let Some(display) = named.or_else(|| placed.nearest(displays)) else { return placed };
        placed.width = placed.width.min(display.width).max(LEAST.0);
        placed.height = placed.height.min(display.height).max(LEAST.1);
        placed.x = placed.x.min(display.x + display.width - placed.width).max(display.x);
        placed.y = placed.y.min(display.y + display.height - placed.height).max(display.y);
        placed.display.clone_from(&display.name);
        placed.display_at = Some((display.x, display.y));
        placed.home = left;
        placed
    }

    /// Where its display is now, if that is there.
    fn along(mut self, displays: &[Display]) -> Option<(Self, &Display)> {
        let display = displays.iter().find(|display| display.name.is_some() && display.name == self.display)?;
        let (x, y) = self.display_at.replace((display.x, display.y)).unwrap_or((display.x, display.y));
        self.x += display.x - x;
        self.y += display.y - y;
        Some((self, display))
    }

    fn at_home(&self) -> Option<Self> {
        let Home { x, y, width, height, display, display_at } = self.home.clone()?;
        Some(Self { x, y, width, height, display: Some(display), display_at, home: None, ..self.clone() })
    }

    fn as_home(&self) -> Option<Home> {
        let Self { x, y, width, height, display_at, .. } = *self;
        Some(Home { x, y, width, height, display: self.display.clone()?, display_at })
    }

    fn can_be_taken_hold_of_on(&self, display: &Display) -> bool {
        let across = (self.x + self.width).min(display.x + display.width) - self.x.max(display.x);
        let down = (self.y + GRIP.1).min(display.y + display.height) - self.y.max(display.y);
        across >= GRIP.0 && down >= GRIP.1
    }

    fn nearest<'d>(&self, displays: &'d [Display]) -> Option<&'d Display> {
        let (x, y) = (self.x + self.width / 2.0, self.y + self.height / 2.0);
        let away = |display: &Display| {
            let dx = (display.x - x).max(x - display.x - display.width).max(0.0);
            let dy = (display.y - y).max(y - display.y - display.height).max(0.0);
            dx * dx + dy * dy
        };
        displays.iter().min_by(|a, b| away(a).total_cmp(&away(b)))
    }
}

/// A zoom at which a page can be used.
pub fn sane_zoom(zoom: f64) -> f64 {
    if zoom.is_finite() { zoom.clamp(0.3, 4.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Display, Geometry};

    fn displays(sizes: &[(f64, f64, f64, f64)]) -> Vec<Display> {
        let named = |(n, &(x, y, width, height)): (usize, &(f64, f64, f64, f64))| Display {
            name: Some(format!("D{n}")),
            x,
            y,
            width,
            height,
        };
        sizes.iter().enumerate().map(named).collect()
    }

    fn at(x: f64, y: f64, width: f64, height: f64) -> Geometry {
        Geometry::read(&json!({"x": x, "y": y, "width": width, "height": height})).unwrap()
    }

    fn place(geometry: &Geometry) -> (f64, f64, f64, f64) {
        (geometry.x, geometry.y, geometry.width, geometry.height)
    }

    #[test]
    fn what_a_browser_or_another_version_kept_is_read_and_stays() {
        let kept = json!({"x": 1, "y": 2, "width": 800, "height": 600, "desk": 3});
        let read = Geometry::read(&kept).unwrap();
        assert!(!read.maximized && read.zoom == 1.0);
        assert_eq!(serde_json::to_value(&read).unwrap()["desk"], 3);
        assert_eq!(Geometry::read(&json!({"x": 1})), None);
        assert_eq!(Geometry::read(&json!({"x": 1e300, "y": 2, "width": 800, "height": 600})), None);
        assert_eq!(Geometry::read(&json!(null)), None);
        let zoomed = Geometry::read(&json!({"x": 1, "y": 2, "width": 8, "height": 6, "zoom": 1000})).unwrap();
        assert_eq!(zoomed.zoom, 4.0);
    }

    #[test]
    fn a_window_that_can_be_taken_hold_of_stays_where_it_is() {
        let both = displays(&[(0.0, 0.0, 1280.0, 1024.0), (1280.0, 0.0, 1280.0, 1024.0)]);
        for window in [at(10.0, 10.0, 800.0, 600.0), at(1200.0, 5.0, 800.0, 600.0), at(-700.0, 20.0, 800.0, 600.0)] {
            assert_eq!(place(&window.clone().onto(&both)), place(&window));
        }
    }

    #[test]
    fn a_window_of_a_display_that_is_gone_comes_onto_one_that_exists() {
        let one = displays(&[(0.0, 0.0, 1280.0, 1024.0)]);
        assert_eq!(place(&at(1900.0, 100.0, 800.0, 600.0).onto(&one)), (480.0, 100.0, 800.0, 600.0));
        assert_eq!(place(&at(-3000.0, 2000.0, 3000.0, 2000.0).onto(&one)), (0.0, 0.0, 1280.0, 1024.0));
        // Above the upper edge nothing can be taken hold of, even where most of the window can be seen.
        assert_eq!(place(&at(100.0, -50.0, 800.0, 600.0).onto(&one)), (100.0, 0.0, 800.0, 600.0));
        assert_eq!(at(9000.0, 0.0, 800.0, 600.0).onto(&one).display.as_deref(), Some("D0"));
    }

    fn on(display: &str, display_at: (f64, f64), window: Geometry) -> Geometry {
        Geometry { display: Some(display.into()), display_at: Some(display_at), ..window }
    }

    #[test]
    fn a_window_moves_along_with_its_display() {
        let moved = displays(&[(0.0, 0.0, 1280.0, 1024.0), (-1280.0, 0.0, 1280.0, 1024.0)]);
        let window = on("D1", (1280.0, 0.0), at(1400.0, 50.0, 800.0, 600.0));
        assert_eq!(place(&window.onto(&moved)), (-1160.0, 50.0, 800.0, 600.0));
        // Where the display was is not known: onto it, at the least.
        let mut window = at(1400.0, 50.0, 800.0, 600.0);
        window.display = Some("D1".into());
        assert_eq!(place(&window.onto(&moved)), (-800.0, 50.0, 800.0, 600.0));
        assert_eq!(place(&at(1400.0, 50.0, 800.0, 600.0).onto(&moved)), (480.0, 50.0, 800.0, 600.0));
    }

    #[test]
    fn a_window_goes_home_when_its_display_is_there_again() {
        let both = [(0.0, 0.0, 1280.0, 1024.0), (1280.0, 0.0, 2560.0, 1440.0)];
        let (one, both) = (displays(&both[..1]), displays(&both));
        let placed = on("D1", (1280.0, 0.0), at(1900.0, 100.0, 1600.0, 1200.0));
        let away = placed.clone().onto(&one);
        assert_eq!(place(&away), (0.0, 0.0, 1280.0, 1024.0));
        // It is the same once more, also after the journal kept it and after somebody moved it meanwhile.
        let mut kept = Geometry::read(&serde_json::to_value(&away).unwrap()).unwrap().onto(&one);
        assert_eq!(kept, away);
        (kept.x, kept.y, kept.width) = (30.0, 40.0, 900.0);
        let back = kept.onto(&both);
        assert_eq!(back, placed);
        // From there on it is moved as any other.
        let elsewhere = on("D0", (0.0, 0.0), Geometry { x: 10.0, ..back });
        assert_eq!(elsewhere.clone().onto(&one), elsewhere);
    }

    #[test]
    fn a_window_goes_home_when_its_display_is_large_again() {
        let (large, small) = (displays(&[(0.0, 0.0, 3840.0, 2160.0)]), displays(&[(0.0, 0.0, 1920.0, 1080.0)]));
        let placed = on("D0", (0.0, 0.0), at(2500.0, 1200.0, 1200.0, 800.0));
        let moved = placed.clone().onto(&small);
        assert_eq!(place(&moved), (720.0, 280.0, 1200.0, 800.0));
        assert_eq!(moved.clone().onto(&small), moved);
        assert_eq!(moved.onto(&large), placed);
    }

    #[test]
    fn a_home_that_makes_no_sense_is_forgotten() {
        let home = json!({"x": 1e300, "y": 0, "width": 800, "height": 600, "display": "D1"});
        let kept = json!({"x": 1, "y": 2, "width": 800, "height": 600, "home": home});
        assert_eq!(Geometry::read(&kept).unwrap().home, None);
    }

    #[test]
    fn new_windows_lie_beside_each_other_on_the_display() {
        let small = displays(&[(100.0, 0.0, 1024.0, 700.0)]);
        let places: Vec<_> = (0..9).map(|nth| place(&Geometry::fresh(nth, &small))).collect();
        assert_ne!(places[0], places[1]);
        assert_eq!(places[0], places[8]);
        for (x, y, ..) in places {
            assert!((100.0..1100.0).contains(&x) && (0.0..650.0).contains(&y));
        }
    }
}
