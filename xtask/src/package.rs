//! `package`: puts a built program, with its native windows where they are named, into a signed package for
//! `gander upgrade apply`. The program says itself what it is.
//!
//! The secret key is a minisign one: the file named with `--key`, or the text of one in GANDER_SIGNING_KEY (its password, if it has
//! one, in GANDER_SIGNING_PASSWORD). For tests `--new-key FOLDER` makes one on the fly, without a password.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use gander_upgrade::package::{self, Files, Manifest, signature_of};
use gander_upgrade::versions::Description;
use minisign::{KeyPair, SecretKey, SecretKeyBox};

pub const USAGE: &str = "usage: xtask package PROGRAM [--desktop PROGRAM] [--licences FILE] (--key FILE | --new-key FOLDER) [--out FOLDER] [--days N] [--level N]";

const DAY_MS: i64 = 86_400_000;

struct Order {
    program: PathBuf,
    desktop: Option<PathBuf>,
    licences: Option<PathBuf>,
    key: Option<PathBuf>,
    new_key: Option<PathBuf>,
    out: PathBuf,
    days: i64,
    level: i32,
}

/// The package's path, or why there is none.
pub fn run(arguments: &[&str]) -> Result<PathBuf, String> {
    make(&order(arguments)?)
}

fn order(arguments: &[&str]) -> Result<Order, String> {
    let [program, rest @ ..] = arguments else { return Err(USAGE.to_owned()) };
    let mut order = Order {
        program: program.into(),
        desktop: None,
        licences: None,
        key: None,
        new_key: None,
        out: "target/package".into(),
        days: 365,
        level: 19,
    };
    for pair in rest.chunks(2) {
        let number = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
        match pair {
            ["--desktop", path] => order.desktop = Some(path.into()),
            ["--licences", path] => order.licences = Some(path.into()),
            ["--key", path] => order.key = Some(path.into()),
            ["--new-key", path] => order.new_key = Some(path.into()),
            ["--out", path] => order.out = path.into(),
            ["--days", days] => order.days = number(days)?,
            ["--level", level] => order.level = number(level)? as i32,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(order)
}

fn make(order: &Order) -> Result<PathBuf, String> {
    let blame = |what: &Path| {
        let what = what.display().to_string();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    let is = describe(&order.program)?;
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let manifest = Manifest::new(is, now_ms, now_ms + order.days * DAY_MS);
    let key = key(order)?;
    fs::create_dir_all(&order.out).map_err(blame(&order.out))?;
    let path = order.out.join(package::name(&manifest));
    let files =
        Files { program: &order.program, licences: order.licences.as_deref(), desktop: order.desktop.as_deref() };
    let manifest = package::write(&path, &files, manifest, order.level).map_err(|error| error.to_string())?;
    let comment = format!("gander {} {}", manifest.version, manifest.target);
    let file = File::open(&path).map_err(blame(&path))?;
    let signed = minisign::sign(None, &key, file, Some(&comment), Some("signature of a gander package"));
    let signed = signed.map_err(|error| format!("the package could not be signed: {error}"))?;
    let signature = signature_of(&path);
    fs::write(&signature, signed.into_string()).map_err(blame(&signature))?;
    Ok(path)
}

fn describe(program: &Path) -> Result<Description, String> {
    let program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
    let output = Command::new(&program).args(["upgrade", "describe", "--json"]).env("GANDER_NO_LAUNCH", "1").output();
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    serde_json::from_slice(&output.stdout).map_err(|_| format!("{} does not say what it is", program.display()))
}

fn key(order: &Order) -> Result<SecretKey, String> {
    let wrong = |error: minisign::PError| format!("the signing key cannot be used: {error}");
    if let Some(folder) = &order.new_key {
        let pair = KeyPair::generate_unencrypted_keypair().map_err(wrong)?;
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let public = pair.pk.to_box().map_err(wrong)?.into_string();
        fs::write(folder.join("gander.pub"), public).map_err(|error| error.to_string())?;
        let secret = pair.sk.to_box(None).map_err(wrong)?.into_string();
        fs::write(folder.join("gander.key"), secret).map_err(|error| error.to_string())?;
        return Ok(pair.sk);
    }
    let text = match &order.key {
        Some(path) => fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => std::env::var("GANDER_SIGNING_KEY").map_err(|_| USAGE.to_owned())?,
    };
    let boxed = SecretKeyBox::from_string(&text).map_err(wrong)?;
    match std::env::var("GANDER_SIGNING_PASSWORD") {
        Ok(password) => boxed.into_secret_key(Some(password)).map_err(wrong),
        Err(_) => boxed.into_unencrypted_secret_key().map_err(wrong),
    }
}
