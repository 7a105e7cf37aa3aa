//! Speed and memory, each figure beside the floor that was measured in the same run. Never a test: a busy machine
//! must not fail a build. `make bench` writes docs/BENCHMARKS.md.

mod floor;
mod generate;
mod http;
mod process;
mod served;
mod stats;
mod store;
mod upgrade;
mod vault;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// A bench that cannot go on says why and ends.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Milliseconds for people.
pub fn ms(milliseconds: f64) -> String {
    if milliseconds < 10.0 { format!("{milliseconds:.3} ms") } else { format!("{milliseconds:.0} ms") }
}

/// What can be measured apart. `seed` measures nothing: it only writes the journal, once, that all others copy.
const PARTS: &[&str] = &["seed", "journal", "server", "vault", "upgrade"];

/// Measures `parts`, or all of them, and only then keeps the figures.
pub fn run(parts: &[&str]) -> ExitCode {
    if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(part)) {
        eprintln!("bench: {unknown} is none of {}", PARTS.join(", "));
        return ExitCode::from(2);
    }
    match measure(parts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(parts: &[&str]) -> Result<()> {
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let binary = root.join("target/release/gander");
    let seed = root.join("target/bench/seed");
    if !seed.join("complete").exists() {
        eprintln!("bench: writing {} sessions with {} entries", generate::SESSIONS, generate::ENTRIES);
        let _ = fs::remove_dir_all(&seed);
        fs::create_dir_all(&seed)?;
        generate::generate(&seed)?;
        fs::write(seed.join("complete"), "")?;
    }
    if parts == ["seed"] {
        return Ok(());
    }
    let home = root.join("target/bench/home");
    let mut figures = Vec::new();

    if wanted("journal") {
        eprintln!("bench: the journal by itself");
        fresh_copy(&seed, &home)?;
        store::measure(&home, &mut figures)?;
    }
    if wanted("server") {
        eprintln!("bench: the server");
        fresh_copy(&seed, &home)?;
        served::measure(&binary, &home, &mut figures)?;
    }
    if wanted("vault") {
        eprintln!("bench: the vault");
        fresh_copy(&seed, &home)?;
        vault::measure(&binary, &home, &mut figures)?;
    }
    if wanted("upgrade") {
        eprintln!("bench: an upgrade");
        fresh_copy(&seed, &home)?;
        upgrade::measure(&binary, &root.join("target/release/gander-next"), &home, &mut figures)?;
    }

    let table = stats::table(&figures);
    println!("{table}");
    if !parts.is_empty() {
        return Ok(());
    }
    keep(&root.join("docs/BENCHMARKS.md"), &table)
}

fn fresh_copy(seed: &Path, home: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(home);
    fs::create_dir_all(home)?;
    for file in fs::read_dir(seed)? {
        let file = file?;
        if file.file_type()?.is_file() && file.file_name() != "complete" {
            let copy = home.join(file.file_name());
            fs::copy(file.path(), &copy)?;
            // What the system has still to write would be written while something is measured.
            fs::File::open(copy)?.sync_all()?;
        }
    }
    Ok(())
}

/// Puts the table between the page's markers; what stands around it is written by people.
fn keep(page: &Path, table: &str) -> Result<()> {
    const BEGIN: &str = "<!-- figures: written by make bench -->\n";
    const END: &str = "<!-- end of figures -->";
    let text = fs::read_to_string(page)?;
    let (before, rest) = text.split_once(BEGIN).ok_or("docs/BENCHMARKS.md has lost its markers")?;
    let (_, after) = rest.split_once(END).ok_or("docs/BENCHMARKS.md has lost its markers")?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    fs::write(page, format!("{before}{BEGIN}Measured on {cores} cores.\n\n{table}{END}{after}"))?;
    Ok(())
}
