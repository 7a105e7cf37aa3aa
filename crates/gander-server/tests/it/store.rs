//! Lists, windows and the store as a whole.

use serde_json::{Value, json};

use crate::world::{World, id, text};

fn ids(list: &Value) -> Vec<String> {
    list["sessions"].as_array().unwrap().iter().map(|session| text(&session["id"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn g12_a_filter_says_how_many_it_hides_and_the_audit_balances() {
    let world = World::start().await;
    let mut sessions = Vec::new();
    for name in ["apples", "pears", "plums"] {
        let (_, session) = world.window().await;
        world.turn(&session, &format!("/echo {name}")).await;
        world.patch(&format!("sessions/{session}"), json!({"name": name})).await.ok();
        sessions.push(session);
    }
    let (_, empty) = world.window().await;
    world.patch(&format!("sessions/{}", sessions[0]), json!({"status": "archived"})).await.ok();
    world.patch(&format!("sessions/{}", sessions[1]), json!({"status": "trashed", "pinned": true})).await.ok();
    let list = world.get("sessions").await.ok();
    assert_eq!(ids(&list), [sessions[2].clone()]);
    assert_eq!((&list["hidden"], &list["total"], &list["next"]), (&json!(3), &json!(1), &Value::Null));
    let counts = json!({"active": 1, "archived": 1, "trashed": 1, "quarantined": 0, "empty": 1});
    assert_eq!(list["counts"], counts);
    assert_eq!(ids(&world.get("sessions?status=empty").await.ok()), std::slice::from_ref(&empty));
    let all = world.get("sessions?status=all").await.ok();
    assert_eq!((ids(&all).len(), &all["hidden"]), (4, &json!(0)));
    assert_eq!(ids(&world.get("sessions?status=all&q=PLU").await.ok()), [sessions[2].clone()]);
    world.get("sessions?status=gone").await.refused(400, "bad_request");
    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let page = world.get(&format!("sessions?status=all&limit=1&after={after}")).await.ok();
        paged.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(paged, ids(&all));
    let audit = world.get("health").await.ok()["audit"].clone();
    assert_eq!(audit, json!({"on_disk": 4, "active": 2, "archived": 1, "trashed": 1, "quarantined": 0}));

    let prompt = world.send_body(&sessions[1], &id(), "/echo from the trash").await;
    world.post(&format!("sessions/{}/turns", sessions[1]), prompt).await.refused(409, "wrong_state");
    world.post(&format!("sessions/{}/purge", sessions[2]), json!({})).await.refused(409, "wrong_state");
    let purged = world.post(&format!("sessions/{}/purge", sessions[1]), json!({})).await.ok();
    assert_eq!(purged["session"]["status"], "trashed");
    let entries = world.entries(&sessions[1]).await;
    assert!(entries.iter().any(|e| e["erased"] == true && e["body"].is_null() && e["salt"].is_null()));
}

#[tokio::test(flavor = "multi_thread")]
async fn g04_everything_is_verified_without_being_asked() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo apples").await;
    assert_eq!(world.get("health").await.ok()["verified_at"], Value::Null, "a start does not wait for it");
    while world.get("health").await.ok()["verified_at"].is_null() {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let findings = world.get("findings").await.ok();
    assert_eq!(findings["findings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn g06_a_new_chat_belongs_to_its_window_whatever_others_do() {
    let world = World::start().await;
    let (first, _) = world.window().await;
    let (second, _) = world.window().await;
    let chat = |window: &str| {
        let (world, path) = (&world, format!("windows/{window}/new-chat"));
        async move { text(&world.post(&path, json!({})).await.ok()["session"]["id"]) }
    };
    let (one, two, again) = tokio::join!(chat(&first), chat(&second), chat(&first));
    assert_eq!(one, again, "its own empty session is used again");
    assert_ne!(one, two);
    let draft = json!({"session_id": one, "rev": 1, "text": "half a thought", "attachments": []});
    world.put(&format!("windows/{first}/draft"), draft).await.ok();
    let other = chat(&first).await;
    assert_ne!(other, one, "beside a draft another one is made");
    assert_eq!(world.session(&other).await["owner_window"], json!(first));
    assert_eq!(world.session(&one).await["draft"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn g05_windows_come_back_as_they_were() {
    let mut world = World::start().await;
    let (first, session) = world.window().await;
    let (second, _) = world.window().await;
    world.turn(&session, "/echo one").await;
    let place = json!({"geometry": {"x": 1, "y": 2, "w": 800, "h": 600}, "scroll": {"seq": 3}, "ordinal": 7});
    world.patch(&format!("windows/{first}"), place).await.ok();
    world.put(&format!("windows/{second}/session"), json!({"session_id": session})).await.ok();
    world.put(&format!("windows/{second}/session"), json!({"session_id": id()})).await.refused(404, "not_found");
    assert_eq!(
        world.get(&format!("windows/{second}")).await.ok()["session_id"],
        json!(session),
        "a failed open moves nothing"
    );
    world.post(&format!("windows/{first}/focus"), json!({})).await.ok();
    let third = text(&world.post("windows", json!({})).await.ok()["id"]);
    assert_eq!(world.delete(&format!("windows/{third}")).await.status, 204);
    let strip = |mut list: Value| {
        list.as_object_mut().unwrap().remove("cursor");
        list
    };
    let before = strip(world.get("windows").await.ok());
    assert_eq!(before["focused"], json!(first));
    world.restart().await;
    assert_eq!(strip(world.get("windows").await.ok()), before);
    let reopened = world.post(&format!("windows/{third}/reopen"), json!({})).await.ok();
    assert_eq!(reopened["open"], true);
    world.post(&format!("windows/{}/reopen", id()), json!({})).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_moved_to_another_window_and_who_shows_windows_hears_of_it() {
    let world = World::start().await;
    let (first, session) = world.window().await;
    let (second, _) = world.window().await;
    world.turn(&session, "/echo one").await;
    let draft = json!({"session_id": session, "rev": 1, "text": "half", "attachments": []});
    world.put(&format!("windows/{first}/draft"), draft).await.ok();
    let mut changes = world.changes(None).await;
    let path = format!("windows/{first}/move-session");
    let moved = world.post(&path, json!({"session_id": session, "to": second})).await.ok();
    assert_eq!(moved["window"]["id"], json!(second));
    assert_eq!(moved["window"]["session_id"], json!(session));
    assert_eq!(moved["window"]["draft"]["text"], "half");
    assert_ne!(moved["from"]["session_id"], json!(session));
    let there = json!(session);
    let shows = |c: &Value, window: &str, shown: &Value| {
        c["type"] == "window" && c["window_id"] == json!(window) && c["data"]["session_id"] == *shown
    };
    let (mut left, mut came, mut raised) = (false, false, false);
    changes
        .until("both windows, and the raising", |c| {
            left |= shows(c, &first, &moved["from"]["session_id"]);
            came |= shows(c, &second, &there);
            raised |= c["type"] == "raise" && c["window_id"] == json!(second);
            left && came && raised
        })
        .await;

    // It is elsewhere now: moved once more by somebody who does not know, nothing happens.
    let refused = world.post(&path, json!({"session_id": session})).await.refused(409, "wrong_state");
    assert!(text(&refused["detail"]).contains("does not show"), "{refused}");
    let alone = world.post(&format!("windows/{second}/move-session"), json!({"session_id": session})).await.ok();
    assert!(![&first, &second].contains(&&text(&alone["window"]["id"])));
    assert_eq!(world.get("windows").await.ok()["focused"], alone["window"]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_shows_what_it_inherited_and_goes_on_by_itself() {
    let world = World::start().await;
    let (window, session) = world.window().await;
    world.turn(&session, "/echo first").await;
    world.turn(&session, "/echo second").await;
    let parent = world.entries(&session).await;
    let first_prompt = parent.iter().find(|entry| entry["kind"] == "prompt").unwrap()["seq"].clone();
    let fork = world
        .post(&format!("sessions/{session}/fork"), json!({"at_seq": first_prompt, "window_id": window}))
        .await
        .ok();
    let fork = text(&fork["session"]["id"]);
    assert_eq!(world.get(&format!("windows/{window}")).await.ok()["session_id"], json!(fork));
    let entries = world.entries(&fork).await;
    assert!(entries.iter().any(|entry| entry["session_id"] == json!(session) && entry["kind"] == "turn_ended"));
    assert!(!crate::world::said(&entries).contains("second"));
    assert_eq!(world.turn(&fork, "/echo another way").await["state"], "ended");
    assert_eq!(world.entries(&session).await, parent, "the parent is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_found() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo a needle in the haystack").await;
    let found = tokio::time::timeout(crate::world::PATIENCE, async {
        loop {
            let page = world.get("search?q=needl").await.ok();
            if page["complete"] == true {
                return page;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let hits = found["results"].as_array().unwrap();
    assert!(hits.len() >= 2, "{found}");
    assert!(hits.iter().all(|hit| hit["session_id"] == json!(session)));
    assert!(hits.iter().any(|hit| text(&hit["snippet"]).contains("\u{2}needle\u{3}")), "{found}");
    world.get("search?q=%20").await.refused(400, "bad_request");
    assert_eq!(world.get("search?q=%22unbalanced%20OR%20(*").await.ok()["results"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn g03_a_verification_beside_the_work_recomputes_everything() {
    let world = World::start().await;
    let (_, session) = world.window().await;
    world.turn(&session, "/echo one").await;
    let job = world.post("jobs/verify", json!({})).await.ok();
    let path = format!("jobs/{}", text(&job["id"]));
    let done = tokio::time::timeout(crate::world::PATIENCE, async {
        loop {
            let job = world.get(&path).await.ok();
            if job["state"] != "running" {
                return job;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let report = &done["report"];
    let health = world.get("health").await.ok();
    assert_eq!(
        (&report["ok"], &report["findings"], &report["root"]),
        (&json!(true), &json!([]), &health["root"]),
        "{done}"
    );
    assert_eq!(report["entries"], world.session(&session).await["entries"]);
    assert_eq!((&done["done"], &health["audit"]), (&done["total"], &report["audit"]));
    assert!(health["verified_at"].is_string());
    world.get("jobs/none").await.refused(404, "not_found");
}
