//! `icons`: what macOS and Windows want for an icon, made of the pictures in `packaging/icons`. Both files are containers of
//! PNG pictures, so nothing is drawn here: an `.icns` is a head and then, per picture, four letters that say which it is; an `.ico` is
//! a table and then the pictures.

use std::fs;
use std::path::{Path, PathBuf};

use crate::deb::{at, bytes};

/// Apple's four letters beside the side of the picture in pixels. The last five are for screens with twice the dots.
const ICNS: &[(&str, u32)] = &[
    ("icp4", 16),
    ("icp5", 32),
    ("ic07", 128),
    ("ic08", 256),
    ("ic09", 512),
    ("ic11", 32),
    ("ic12", 64),
    ("ic13", 256),
    ("ic14", 512),
];
/// The first one is what tools take that look at one only.
const ICO: &[u32] = &[32, 16, 24, 48, 64, 256];

/// Writes both; gives their folder.
pub fn run(arguments: &[&str]) -> Result<PathBuf, String> {
    if !arguments.is_empty() {
        return Err("usage: xtask icons".to_owned());
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = source.join("crates/gander-desktop/icons");
    for (name, made) in [("icon.icns", icns(&source)?), ("icon.ico", ico(&source)?)] {
        let path = folder.join(name);
        fs::write(&path, made).map_err(at(&path))?;
    }
    Ok(folder)
}

fn picture(source: &Path, side: u32) -> Result<Vec<u8>, String> {
    bytes(&source.join(format!("packaging/icons/{side}.png")))
}

fn icns(source: &Path) -> Result<Vec<u8>, String> {
    let mut pictures = Vec::new();
    for (letters, side) in ICNS {
        let picture = picture(source, *side)?;
        pictures.extend(letters.as_bytes());
        pictures.extend((picture.len() as u32 + 8).to_be_bytes());
        pictures.extend(picture);
    }
    Ok([b"icns".as_slice(), &(pictures.len() as u32 + 8).to_be_bytes(), &pictures].concat())
}

fn ico(source: &Path) -> Result<Vec<u8>, String> {
    let pictures = ICO.iter().map(|side| picture(source, *side)).collect::<Result<Vec<_>, _>>()?;
    let mut made = [0_u16, 1, ICO.len() as u16].map(u16::to_le_bytes).concat();
    let mut offset = 6 + 16 * ICO.len() as u32;
    for (side, picture) in ICO.iter().zip(&pictures) {
        // A side of 256 is written as 0.
        made.extend([*side as u8, *side as u8, 0, 0]);
        made.extend([1_u16, 32].map(u16::to_le_bytes).concat());
        made.extend([picture.len() as u32, offset].map(u32::to_le_bytes).concat());
        offset += picture.len() as u32;
    }
    Ok([made, pictures.concat()].concat())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{icns, ico};

    #[test]
    fn the_icons_of_the_windows_are_those_of_the_packages() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (name, made) in [("icon.icns", icns(&source)), ("icon.ico", ico(&source))] {
            let kept = std::fs::read(source.join("crates/gander-desktop/icons").join(name)).unwrap();
            assert!(made.unwrap() == kept, "{name} is not what `cargo run -p xtask -- icons` makes");
        }
    }
}
