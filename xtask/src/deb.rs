//! `deb`: puts built programs into a Debian package, with what a desktop and a shell expect beside them (`packaging/`). Debian's
//! own tools do what is Debian's: dpkg-shlibdeps finds what the programs need, dpkg-deb builds. The program says itself which
//! version it is, and writes its own manual pages and completions.
//!
//! The same programs give the same bytes: times are those of SOURCE_DATE_EPOCH, or of the last commit.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::licences;

pub const USAGE: &str = "usage: xtask deb PROGRAM [--desktop PROGRAM] [--out FOLDER] [--fast]";

const NAME: &str = "gander";
const ID: &str = "chat.gander.Gander";
const MAINTAINER: &str = "The Gander authors <gander-chat@users.noreply.github.com>";
const HOMEPAGE: &str = "https://github.com/gander-chat/gander";
const ICON_SIZES: &[u32] = &[16, 24, 32, 48, 64, 128, 256, 512];

struct Order {
    program: PathBuf,
    desktop: Option<PathBuf>,
    out: PathBuf,
    /// For tests: large and quick.
    fast: bool,
}

/// The package's path, or why there is none.
pub fn run(arguments: &[&str]) -> Result<PathBuf, String> {
    make(&order(arguments)?)
}

fn order(arguments: &[&str]) -> Result<Order, String> {
    let [program, rest @ ..] = arguments else { return Err(USAGE.to_owned()) };
    let mut order = Order { program: program.into(), desktop: None, out: "target/package".into(), fast: false };
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match *word {
            "--desktop" => order.desktop = Some(rest.next().ok_or(USAGE)?.into()),
            "--out" => order.out = rest.next().ok_or(USAGE)?.into(),
            "--fast" => order.fast = true,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(order)
}

/// The tree of a package, as it is filled.
struct Tree {
    /// What is to become `/`.
    root: PathBuf,
    /// Seconds since 1970, UTC: the time of everything in it.
    epoch_s: String,
}

fn make(order: &Order) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = order.program.canonicalize().map_err(at(&order.program))?;
    let is = describe(&program)?;
    let version = is["version"].as_str().ok_or("the program does not say its version")?;
    let architecture = architecture(is["target"].as_str().unwrap_or_default())?;
    fs::create_dir_all(&order.out).map_err(at(&order.out))?;
    let work = order.out.join(format!(".deb-{}", std::process::id()));
    let epoch_s = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(epoch) => epoch,
        Err(_) => output(Command::new("git").arg("-C").arg(&source).args(["log", "-1", "--format=%ct"]))?,
    };
    let tree = Tree { root: work.join("tree"), epoch_s };
    let built = tree.fill(order, &source, &program, version, architecture, &work).and_then(|()| {
        let path = order.out.join(format!("{NAME}_{version}_{architecture}.deb"));
        let mut command = Command::new("dpkg-deb");
        command.args(["--root-owner-group", "--build"]);
        command.args(if order.fast { ["-Zgzip", "-z1"] } else { ["-Zxz", "-z6"] });
        output(command.arg(&tree.root).arg(&path).env("SOURCE_DATE_EPOCH", &tree.epoch_s))?;
        Ok(path)
    });
    let _ = fs::remove_dir_all(&work);
    built
}

impl Tree {
    fn fill(
        &self,
        order: &Order,
        source: &Path,
        program: &Path,
        version: &str,
        architecture: &str,
        work: &Path,
    ) -> Result<(), String> {
        let packaging = source.join("packaging");
        let mut programs = vec![self.program(program, NAME)?];
        if let Some(desktop) = &order.desktop {
            programs.push(self.program(desktop, "gander-desktop")?);
        }
        self.manual(&programs[0], order.desktop.is_some())?;
        for (shell, path) in [
            ("bash", "usr/share/bash-completion/completions/gander"),
            ("zsh", "usr/share/zsh/vendor-completions/_gander"),
            ("fish", "usr/share/fish/vendor_completions.d/gander.fish"),
        ] {
            self.write(path, (output(itself(&programs[0]).args(["completions", shell]))? + "\n").as_bytes())?;
        }
        let starts = if order.desktop.is_some() { "gander-desktop" } else { "gander open" };
        let entry = read(&packaging.join(format!("{ID}.desktop.in")))?.replace("@PROGRAM@", starts);
        self.write(&format!("usr/share/applications/{ID}.desktop"), entry.as_bytes())?;
        let day = output(Command::new("date").args(["-u", "+%F", "-d", &format!("@{}", self.epoch_s)]))?;
        let metainfo = read(&packaging.join(format!("{ID}.metainfo.xml.in")))?;
        let metainfo = metainfo.replace("@VERSION@", version).replace("@DATE@", &day);
        self.write(&format!("usr/share/metainfo/{ID}.metainfo.xml"), metainfo.as_bytes())?;
        for size in ICON_SIZES {
            let icon = bytes(&packaging.join(format!("icons/{size}.png")))?;
            self.write(&format!("usr/share/icons/hicolor/{size}x{size}/apps/{ID}.png"), &icon)?;
        }
        let icon = bytes(&packaging.join("icons/gander.svg"))?;
        self.write(&format!("usr/share/icons/hicolor/scalable/apps/{ID}.svg"), &icon)?;
        self.documents(source, version, order.desktop.is_some())?;
        self.control(&packaging, &programs, version, architecture, work)
    }

    /// A program, without its symbols.
    fn program(&self, from: &Path, name: &str) -> Result<PathBuf, String> {
        let to = self.place(&format!("usr/bin/{name}"))?;
        output(Command::new("strip").args(["--strip-all", "--remove-section=.comment"]).arg("-o").arg(&to).arg(from))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).map_err(at(&to))?;
        Ok(to)
    }

    fn manual(&self, program: &Path, desktop: bool) -> Result<(), String> {
        let folder = self.root.join("usr/share/man/man1");
        output(itself(program).arg("manual").arg(&folder))?;
        if desktop {
            // The same page: what the window does, `gander` without a command tells.
            self.write("usr/share/man/man1/gander-desktop.1", b".so man1/gander.1\n")?;
        }
        let mut pages = Vec::new();
        for found in fs::read_dir(&folder).map_err(at(&folder))? {
            pages.push(found.map_err(at(&folder))?.path());
        }
        output(Command::new("gzip").arg("-9n").args(pages)).map(drop)
    }

    fn documents(&self, source: &Path, version: &str, desktop: bool) -> Result<(), String> {
        let folder = format!("usr/share/doc/{NAME}");
        self.write(&format!("{folder}/copyright"), &bytes(&source.join("packaging/debian/copyright"))?)?;
        let day = output(Command::new("date").args(["-u", "-R", "-d", &format!("@{}", self.epoch_s)]))?;
        let changes = format!(
            "{NAME} ({version}) unstable; urgency=medium\n\n  * What changed for users is in CHANGELOG.md.gz beside this file.\n\n -- {MAINTAINER}  {day}\n"
        );
        self.write(&format!("{folder}/changelog"), changes.as_bytes())?;
        self.write(&format!("{folder}/CHANGELOG.md"), &bytes(&source.join("CHANGELOG.md"))?)?;
        self.write(&format!("{folder}/licences.txt"), licences::text(source, desktop)?.as_bytes())?;
        for name in ["changelog", "CHANGELOG.md", "licences.txt"] {
            output(Command::new("gzip").arg("-9n").arg(self.root.join(&folder).join(name)))?;
        }
        Ok(())
    }

    fn control(
        &self,
        packaging: &Path,
        programs: &[PathBuf],
        version: &str,
        architecture: &str,
        work: &Path,
    ) -> Result<(), String> {
        let needs = needs(programs, work)?;
        let installed_kib = output(Command::new("du").args(["-k", "-s", "--apparent-size"]).arg(&self.root))?;
        let installed_kib = installed_kib.split_whitespace().next().unwrap_or("0").to_owned();
        // The tray's library is looked for when the windows start, and is no part of what they link with.
        let recommends = if programs.len() > 1 { "xdg-utils, libayatana-appindicator3-1" } else { "xdg-utils" };
        let description = read(&packaging.join("debian/description"))?;
        let control = format!(
            "Package: {NAME}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {MAINTAINER}\n\
             Installed-Size: {installed_kib}\nDepends: {needs}\nRecommends: {recommends}\nSection: devel\nPriority: optional\n\
             Homepage: {HOMEPAGE}\nDescription: {description}"
        );
        let sums = output(
            Command::new("sh")
                .args(["-c", "find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum"])
                .current_dir(&self.root),
        )?;
        self.write("DEBIAN/control", control.as_bytes())?;
        self.write("DEBIAN/md5sums", (sums + "\n").as_bytes())
    }

    fn place(&self, path: &str) -> Result<PathBuf, String> {
        let to = self.root.join(path);
        let mut folder = to.parent();
        if let Some(parent) = folder {
            fs::create_dir_all(parent).map_err(at(parent))?;
        }
        // Whatever the umask of whoever builds: what is installed is everybody's to read.
        while let Some(parent) = folder.filter(|parent| parent.starts_with(&self.root)) {
            fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).map_err(at(parent))?;
            folder = parent.parent();
        }
        Ok(to)
    }

    fn write(&self, path: &str, text: &[u8]) -> Result<(), String> {
        let to = self.place(path)?;
        fs::write(&to, text).map_err(at(&to))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o644)).map_err(at(&to))
    }
}

/// The packages whose libraries the programs load, with the versions that they need.
fn needs(programs: &[PathBuf], work: &Path) -> Result<String, String> {
    // It wants to stand in a source package.
    let debian = work.join("debian");
    fs::create_dir_all(&debian).map_err(at(&debian))?;
    let control = debian.join("control");
    fs::write(&control, format!("Source: {NAME}\n\nPackage: {NAME}\nArchitecture: any\n")).map_err(at(&control))?;
    let mut command = Command::new("dpkg-shlibdeps");
    command.arg("-O").current_dir(work);
    for program in programs {
        command.arg("-e").arg(program.canonicalize().map_err(at(program))?);
    }
    let told = output(&mut command)?;
    let needs = told.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    needs.map(str::to_owned).ok_or_else(|| "dpkg-shlibdeps names no package that the programs need".to_owned())
}

fn architecture(target: &str) -> Result<&'static str, String> {
    match target.split('-').next().unwrap_or_default() {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        _ => Err(format!("a package for {target} is not known how to make")),
    }
}

fn describe(program: &Path) -> Result<Value, String> {
    let said = output(itself(program).args(["upgrade", "describe", "--json"]))?;
    serde_json::from_str(&said).map_err(|_| format!("{} does not say what it is", program.display()))
}

/// A program that is to be packed, and not the one that the builder's own data folder leads to.
fn itself(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("GANDER_NO_LAUNCH", "1");
    command
}

/// What a tool says on standard output, without the white space at its ends. It must succeed.
pub fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).stderr(Stdio::piped()).output();
    let done = done.map_err(|error| format!("{name} could not be run: {error}"))?;
    if !done.status.success() {
        return Err(format!("{name} failed ({}): {}", done.status, String::from_utf8_lossy(&done.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

pub fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(at(path))
}

pub fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(at(path))
}

pub fn at(path: &Path) -> impl Fn(std::io::Error) -> String + use<> {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}
