//! The displays of this machine, in logical pixels.

use tauri::{AppHandle, LogicalPosition, LogicalSize, Monitor};

use crate::geometry::Display;

/// Those that there are, the first one first.
pub fn all(app: &AppHandle) -> Vec<Display> {
    let primary = app.primary_monitor().ok().flatten().and_then(|monitor| monitor.name().cloned());
    let mut all: Vec<Display> = app.available_monitors().unwrap_or_default().iter().map(of).collect();
    all.sort_by_key(|display| display.name != primary);
    all
}

pub fn of(monitor: &Monitor) -> Display {
    let scale = monitor.scale_factor();
    let (place, size): (LogicalPosition<f64>, LogicalSize<f64>) =
        (monitor.position().to_logical(scale), monitor.size().to_logical(scale));
    Display { name: monitor.name().cloned(), x: place.x, y: place.y, width: size.width, height: size.height }
}
