//! Who is let in: every route, from every wrong place and with every wrong credential.

use serde_json::json;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::world::{Answer, Changes, World};

/// One of each kind: operation, stream, page, file, way in, nothing.
const PATHS: &[&str] = &[
    "/api/v1/health",
    "/api/v1/openapi.json",
    "/api/v1/sessions",
    "/api/v1/changes",
    "/api/v1/nothing",
    "/",
    "/w/0190b3a4-0000-7000-8000-000000000000",
    "/index.html",
    "/assets/none.js",
    "/nothing",
];

/// A browser that was let in: its cookie.
async fn browser(world: &World) -> String {
    let code = world.post("auth/codes", json!({"to": "/w/x"})).await.ok();
    let path = code["url"].as_str().unwrap().strip_prefix(world.running().url()).unwrap().to_owned();
    let answer = world.raw("GET", &path, &[("Host", world.address())], b"").await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("location").unwrap(), "/w/x");
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let again = world.raw("GET", &path, &[("Host", world.address())], b"").await;
    assert_eq!(again.status, 401, "a code is good once");
    assert_eq!(again.header("set-cookie"), None);
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_wants_this_very_host() {
    let world = World::start().await;
    let token = format!("Bearer {}", world.running().token());
    let port = world.address().rsplit(':').next().unwrap().to_owned();
    let hosts = [
        format!("localhost:{port}"),
        format!("evil.example:{port}"),
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        format!("127.0.0.1:{port}."),
        format!("127.0.0.1:{port}@evil.example"),
        String::new(),
    ];
    for path in PATHS.iter().chain(&["/auth?code=x"]) {
        for host in &hosts {
            let answer = world.raw("GET", path, &[("Host", host), ("Authorization", &token)], b"").await;
            assert_eq!(answer.status, 403, "{path} with Host {host:?}");
        }
        let twice = [("Host", world.address()), ("Host", "evil.example"), ("Authorization", &token)];
        assert!(matches!(world.raw("GET", path, &twice, b"").await.status, 400 | 403), "{path} with two Hosts");
        let none = world.raw("GET", path, &[("Authorization", &token)], b"").await;
        assert!(matches!(none.status, 400 | 403), "{path} without a Host");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_a_foreign_origin_even_with_the_token() {
    let world = World::start().await;
    let token = format!("Bearer {}", world.running().token());
    let foreign = ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1", "http://localhost:1", ""];
    for path in PATHS {
        for origin in foreign {
            let headers = [("Host", world.address()), ("Authorization", &token), ("Origin", origin)];
            assert_eq!(world.raw("GET", path, &headers, b"").await.status, 403, "{path} from {origin:?}");
        }
        let own = [("Host", world.address()), ("Authorization", &token), ("Origin", world.running().url())];
        if *path != "/api/v1/changes" {
            assert_ne!(world.raw("GET", path, &own, b"").await.status, 403, "{path} from our own origin");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_wants_a_credential() {
    let mut world = World::start().await;
    let first_token = format!("Bearer {}", world.running().token());
    assert!(world.running().token().len() >= 43, "256 bits");
    for path in PATHS {
        let answer = world.raw("GET", path, &[("Host", world.address())], b"").await;
        assert_eq!(answer.status, 401, "{path} without a credential");
        hardened(path, &answer);
        for wrong in ["Bearer x", "Bearer ", "Basic eDp5", "x"] {
            let headers = [("Host", world.address()), ("Authorization", wrong)];
            assert_eq!(world.raw("GET", path, &headers, b"").await.status, 401, "{path} with {wrong:?}");
        }
    }
    world.restart().await;
    let headers = [("Host", world.address()), ("Authorization", first_token.as_str())];
    let answer = world.raw("GET", "/api/v1/health", &headers, b"").await;
    answer.refused(401, "unauthorized");
    assert!(!answer.text().contains(world.running().token()));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_counted() {
    let world = World::start().await;
    let headers = [("Host", world.address()), ("Authorization", "Bearer guess")];
    let mut last = 0;
    for _ in 0..120 {
        last = world.raw("GET", "/api/v1/health", &headers, b"").await.status;
    }
    assert_eq!(last, 429);
    world.get("health").await.ok();
}

#[track_caller]
fn hardened(path: &str, answer: &Answer) {
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
    assert!(!policy.contains("unsafe-eval") && !policy.contains("script-src 'self' 'unsafe-inline'"), "{policy}");
    assert_eq!(answer.header("x-frame-options").as_deref(), Some("DENY"), "{path}");
    assert_eq!(answer.header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
    assert_eq!(answer.header("referrer-policy").as_deref(), Some("no-referrer"), "{path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_grant_is_taken_only_from_our_own_pages() {
    let mut world = World::start().await;
    let cookie = browser(&world).await;
    let url = world.running().url().to_owned();
    let address = world.address().to_owned();
    let host = ("Host", address.as_str());
    let cookie_header = ("Cookie", cookie.as_str());
    let get = |path: &'static str, extra: Vec<(&'static str, String)>| {
        let (world, host, cookie) = (&world, host, cookie_header);
        async move {
            let mut headers = vec![host, cookie];
            headers.extend(extra.iter().map(|(name, value)| (*name, value.as_str())));
            world.raw("GET", path, &headers, b"").await.status
        }
    };
    let site = |site: &str| vec![("Sec-Fetch-Site", site.to_owned())];
    assert_eq!(get("/api/v1/health", site("same-origin")).await, 200);
    for wrong in ["cross-site", "same-site", "none", "", "SAME-ORIGIN"] {
        assert_eq!(get("/api/v1/health", site(wrong)).await, 403, "{wrong}");
    }
    assert_eq!(get("/api/v1/health", vec![]).await, 403, "no fetch metadata, no browser");
    let mut navigate = site("none");
    navigate.push(("Sec-Fetch-Mode", "navigate".to_owned()));
    assert_eq!(get("/w/0190b3a4-0000-7000-8000-000000000000", navigate).await, 200);
    let mut cross = site("cross-site");
    cross.push(("Sec-Fetch-Mode", "navigate".to_owned()));
    assert_eq!(get("/w/0190b3a4-0000-7000-8000-000000000000", cross).await, 403);

    // Changing something needs the Origin too.
    let post = |origin: Option<&str>| {
        let world = &world;
        let origin = origin.map(str::to_owned);
        async move {
            let mut headers =
                vec![host, cookie_header, ("Sec-Fetch-Site", "same-origin"), ("Content-Type", "application/json")];
            if let Some(origin) = &origin {
                headers.push(("Origin", origin));
            }
            world.raw("POST", "/api/v1/windows", &headers, b"{}").await.status
        }
    };
    assert_eq!(post(None).await, 403);
    assert_eq!(post(Some("http://evil.example")).await, 403);
    assert_eq!(post(Some(&url)).await, 200);

    // A page cannot let others in, or stop the process.
    for path in ["/api/v1/auth/codes", "/api/v1/stop"] {
        let headers = [
            host,
            cookie_header,
            ("Sec-Fetch-Site", "same-origin"),
            ("Origin", url.as_str()),
            ("Content-Type", "application/json"),
        ];
        world.raw("POST", path, &headers, b"{}").await.refused(403, "forbidden");
    }

    // A WebSocket goes by its Origin alone.
    assert!(socket(&world, &cookie, None).await.is_none());
    assert!(socket(&world, &cookie, Some("http://evil.example")).await.is_none());
    assert!(socket(&world, "gander-00000000=x", Some(&url)).await.is_none());
    let mut changes = socket(&world, &cookie, Some(&url)).await.unwrap();
    assert_eq!(changes.next().await.unwrap()["type"], "hello");

    // It survives a restart, and is revoked at once, open streams included.
    drop(changes);
    world.restart().await;
    let mut changes = socket(&world, &cookie, Some(&url)).await.expect("the grant is kept");
    let grants = world.get("auth/grants").await.ok();
    assert!(!grants.to_string().contains(cookie.split_once('=').unwrap().1));
    let id = grants["grants"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.delete(&format!("auth/grants/{id}")).await.status, 204);
    while changes.next().await.is_some() {}
    assert!(socket(&world, &cookie, Some(&url)).await.is_none());
    world.restart().await;
    assert!(socket(&world, &cookie, Some(&url)).await.is_none());
}

async fn socket(world: &World, cookie: &str, origin: Option<&str>) -> Option<Changes> {
    let mut request = format!("ws://{}/api/v1/changes", world.address()).into_client_request().unwrap();
    request.headers_mut().insert("Cookie", cookie.parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert("Origin", origin.parse().unwrap());
    }
    Changes::open(request).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_leads_nowhere_else() {
    let world = World::start().await;
    for to in ["//evil.example", "/\\evil.example", "http://evil.example/", "x", "/a\nb"] {
        world.post("auth/codes", json!({"to": to})).await.refused(400, "bad_request");
        let code = world.post("auth/codes", json!({})).await.ok();
        let query: String = to.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!("/auth?code={}&to={query}", code["code"].as_str().unwrap());
        let answer = world.raw("GET", &path, &[("Host", world.address())], b"").await;
        assert_eq!(answer.header("location").as_deref(), Some("/"), "{to:?}");
    }
    let answer = world.raw("GET", "/auth?code=none", &[("Host", world.address())], b"").await;
    assert_eq!((answer.status, answer.header("set-cookie")), (401, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_and_must_be_what_they_say() {
    let world = World::start().await;
    let token = format!("Bearer {}", world.running().token());
    let post = |mime: &'static str, body: Vec<u8>| {
        let (world, token) = (&world, &token);
        async move {
            let headers = [("Host", world.address()), ("Authorization", token.as_str()), ("Content-Type", mime)];
            world.raw("POST", "/api/v1/windows", &headers, &body).await
        }
    };
    post("text/plain", b"{}".to_vec()).await.refused(400, "bad_request");
    post("application/x-www-form-urlencoded", b"a=b".to_vec()).await.refused(400, "bad_request");
    post("application/json", b"{".to_vec()).await.refused(400, "bad_request");
    post("application/json", b"\xff\xfe".to_vec()).await.refused(400, "bad_request");
    post("application/json", br#"{"unknown":1}"#.to_vec()).await.refused(400, "bad_request");
    post("application/json", vec![b' '; 9 << 20]).await.refused(413, "too_large");
    world.get("windows/not-an-id").await.refused(404, "not_found");
    world.get("sessions/0190b3a4-0000-7000-8000-000000000000").await.refused(404, "not_found");
    let (_, session) = world.window().await;
    for list in ["sessions?", "search?q=goose&", &format!("sessions/{session}/entries?")] {
        for limit in ["x", "0", "501", "-1", "99999999999"] {
            world.get(&format!("{list}limit={limit}")).await.refused(400, "bad_request");
        }
        world.get(&format!("{list}limit=500")).await.ok();
    }
    let refused = world.get("sessions?limit=501").await;
    assert!(refused.text().contains("from 1 to 500, and not 501"), "{}", refused.text());
    world.get("nothing").await.refused(404, "not_found");
    assert_eq!(world.delete("health").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::start().await;
    let mode = |name: &str| std::fs::metadata(world.dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("runtime.json"), 0o600);
    assert_eq!(mode("journal.db"), 0o600);
    assert_eq!(std::fs::metadata(world.dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
    let runtime = gander_server::RuntimeFile::read(world.dir.path()).unwrap();
    assert_eq!((runtime.url.as_str(), runtime.token.as_str()), (world.running().url(), world.running().token()));
    world.stop().await;
    assert!(!world.dir.path().join("runtime.json").exists());
}
