//! The comparison of a replay with the journal.

use gander_acp::replay::{Compared, Extra, Said, Who, compare};

/// `u:` a prompt, `a:` a message; `?` in front: the agent may lack it.
fn said(lines: &[&str]) -> Vec<Said> {
    lines
        .iter()
        .map(|line| {
            let (may_lack, line) = line.strip_prefix('?').map_or((false, *line), |line| (true, line));
            let (who, text) = line.split_once(':').unwrap();
            Said { who: if who == "u" { Who::User } else { Who::Agent }, text: text.to_owned(), may_lack }
        })
        .collect()
}

#[track_caller]
fn check(journal: &[&str], replay: &[&str], expected: &Compared) {
    assert_eq!(compare(&said(journal), &said(replay)), *expected, "{journal:?} and {replay:?}");
}

fn contradiction(what: &str) -> Compared {
    Compared::Contradiction(what.to_owned())
}

fn extra(items: &[(Who, &str, usize, bool)]) -> Compared {
    let extra = |(who, text, item, whole): &(Who, &str, usize, bool)| Extra {
        who: *who,
        text: (*text).to_owned(),
        item: *item,
        whole: *whole,
    };
    Compared::ExtraTail(items.iter().map(extra).collect())
}

#[test]
fn the_same_conversation_is_the_same_however_it_is_cut() {
    check(&[], &[], &Compared::Same);
    check(&["u:hi", "a:hello"], &["u:hi", "a:hello"], &Compared::Same);
    check(&["u:hi", "a:one", "a:two"], &["u:hi", "a:one two"], &Compared::Same);
    check(&["u:hi there", "a:x"], &["u:hi ", "u:there", "a:x\n"], &Compared::Same);
    check(&["u:hi", "a:", "u:more", "a:x"], &["u:hi", "a:", "u:more", "a:x"], &Compared::Same);
}

#[test]
fn g13_what_an_interrupted_turn_left_may_be_missing_at_the_end() {
    check(&["u:hi", "a:hello", "?u:go", "?a:partial"], &["u:hi", "a:hello", "u:go"], &Compared::MissingTail);
    check(&["u:hi", "a:hello", "?u:go", "?a:partial"], &["u:hi", "a:hello", "u:go", "a:part"], &Compared::MissingTail);
    check(&["u:hi", "a:hello", "?u:go"], &["u:hi", "a:hello"], &Compared::MissingTail);
    check(&["?u:hi", "?a:par"], &[], &Compared::MissingTail);
    // And in the middle, once it was continued.
    check(&["?u:hi", "?a:par", "u:go on", "a:done"], &["u:hi", "u:go on", "a:done"], &Compared::Same);
    check(&["?u:never sent", "u:hi", "a:x"], &["u:hi", "a:x"], &Compared::Same);
    check(&["?u:hi", "?a:par", "?u:hi", "?a:parti", "u:hi", "a:x"], &["u:hi", "a:x"], &Compared::Same);
}

#[test]
fn g13_what_only_the_agent_has_is_an_extra_tail() {
    check(
        &["u:hi", "a:x"],
        &["u:hi", "a:x", "u:from afar", "a:y"],
        &extra(&[(Who::User, "from afar", 2, true), (Who::Agent, "y", 3, true)]),
    );
    // It finished what we only saw the beginning of.
    check(
        &["?u:hi", "?a:one tw"],
        &["u:hi", "a:one two", "a:three"],
        &extra(&[(Who::Agent, "o", 1, false), (Who::Agent, "three", 2, true)]),
    );
    check(&["?u:hi"], &["u:hi", "a:all of it"], &extra(&[(Who::Agent, "all of it", 1, true)]));
    check(&[], &["u:hi"], &extra(&[(Who::User, "hi", 0, true)]));
}

#[test]
fn g13_another_conversation_is_a_contradiction() {
    check(&["u:hi", "a:x"], &["u:bye", "a:y"], &contradiction("turn 1 has another prompt in the agent's memory"));
    check(
        &["u:hi", "a:x"],
        &["u:hi", "a:y"],
        &contradiction("the answer of turn 1 is another one in the agent's memory"),
    );
    // What was finished must not be missing: the agent would go on without it.
    check(
        &["u:hi", "a:x", "u:b", "a:y"],
        &["u:hi", "a:x"],
        &contradiction("the agent does not remember turn 2, which was finished"),
    );
    check(&["u:hi", "a:x"], &[], &contradiction("the agent does not remember turn 1, which was finished"));
    check(
        &["u:hi", "a:xy"],
        &["u:hi", "a:x"],
        &contradiction("the answer of turn 1 is another one in the agent's memory"),
    );
    // More in an answer that was finished and has turns behind it.
    check(
        &["u:hi", "a:x", "u:b", "a:y"],
        &["u:hi", "a:x and more", "u:b", "a:y"],
        &contradiction("the answer of turn 1 is another one in the agent's memory"),
    );
}

#[test]
fn g13_an_interrupted_first_turn_does_not_adopt_a_foreign_conversation() {
    let foreign = contradiction("nothing of this session is in the agent's memory, but another conversation is");
    check(&["?u:hi", "?a:par"], &["u:bye", "a:y"], &foreign);
    check(&["?u:hi", "?a:par"], &["u:hi", "a:something else"], &foreign);
}

#[test]
fn g13_a_prompt_that_was_sent_again_is_found_once_or_twice() {
    check(&["?u:hi", "u:hi", "a:x"], &["u:hi", "a:x"], &Compared::Same);
    check(&["?u:hi", "u:hi", "a:x"], &["u:hi", "u:hi", "a:x"], &Compared::Same);
    check(&["?u:hi", "?a:x", "u:hi", "a:xy"], &["u:hi", "a:xy"], &Compared::Same);
    let many: Vec<&str> = std::iter::repeat_n(["?u:hi", "?a:par"], 2000).flatten().chain(["u:hi", "a:x"]).collect();
    check(&many, &["u:hi", "a:x"], &Compared::Same);
}

#[test]
fn g13_prompts_without_an_answer_may_be_joined_in_the_agents_memory() {
    let journal = ["u:hi", "a:x", "?u:go", "?a:par", "?u:go on", "?a:part", "u:and now", "a:done"];
    check(&journal, &["u:hi", "a:x", "u:go\n", "u:go on", "u:and now", "a:done"], &Compared::Same);
    check(&journal, &["u:hi", "a:x", "u:gogo onand now", "a:done"], &Compared::Same);
    check(&journal, &["u:hi", "a:x", "u:go on", "u:and now", "a:done"], &Compared::Same);
    check(&journal[..6], &["u:hi", "a:x", "u:gogo on"], &Compared::MissingTail);
    check(&journal[..6], &["u:hi", "a:x", "u:gogo on", "a:part two"], &extra(&[(Who::Agent, "two", 3, false)]));
    let another = |turn: u32| contradiction(&format!("turn {turn} has another prompt in the agent's memory"));
    check(&journal[..6], &["u:hi", "a:x", "u:gogo on, more"], &extra(&[(Who::User, "gogo on, more", 2, true)]));
    check(&["?u:hi", "?a:par"], &["u:his own affair", "a:y"], &another(1));
    check(&journal, &["u:hi", "a:x", "u:gogo onand then", "a:done"], &another(4));
}

#[test]
fn g13_replaced_characters_are_no_contradiction() {
    check(&["u:hi", "a:bad \u{fffd}\u{fffd} bytes"], &["u:hi", "a:bad \u{fffd}\u{fffd} bytes"], &Compared::Same);
    // The agent kept the character whose halves came one by one, or dropped what was none.
    check(&["u:hi", "a:caf\u{fffd}\u{fffd}"], &["u:hi", "a:café"], &Compared::Same);
    check(&["u:hi", "a:bad \u{fffd}\u{fffd} bytes"], &["u:hi", "a:bad  bytes"], &Compared::Same);
    check(&["?u:hi", "?a:caf\u{fffd}\u{fffd} o"], &["u:hi", "a:café olé"], &extra(&[(Who::Agent, "lé", 1, false)]));
    check(
        &["u:hi", "a:bad \u{fffd} bytes"],
        &["u:hi", "a:something else"],
        &contradiction("the answer of turn 1 is another one in the agent's memory"),
    );
}
