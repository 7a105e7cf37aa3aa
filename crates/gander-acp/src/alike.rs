//! Whether two texts are the same but for what was lost on the way. Pure.
//!
//! Bytes that are no UTF-8 and halves of characters become U+FFFD when they are taken in. The agent may remember the whole
//! character, its own spelling of the bytes, or nothing in their place; so a replaced character stands for a few of any.

use std::collections::HashSet;

const REPLACED: char = char::REPLACEMENT_CHARACTER;
/// How many characters one replaced character may stand for: `\xff` is how some agents spell a byte.
const STANDS_FOR: usize = 4;
/// How many ways of reading replaced characters are tried before two texts are said to be different.
const MAX_TRIED: usize = 200_000;

/// How a text begins as another does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alike {
    /// They are the same.
    Same,
    /// Theirs is the same for as long as it goes, and ends before ours does.
    Shorter,
    /// Ours is the same for as long as it goes; it is at least this many characters of theirs.
    Longer(usize),
    /// They are different.
    Different,
}

/// Compares what we have with what they have.
pub(crate) fn alike(ours: &str, theirs: &str) -> Alike {
    if ours == theirs {
        return Alike::Same;
    }
    if !ours.contains(REPLACED) && !theirs.contains(REPLACED) {
        return match (ours.starts_with(theirs), theirs.starts_with(ours)) {
            (true, _) => Alike::Shorter,
            (_, true) => Alike::Longer(ours.chars().count()),
            _ => Alike::Different,
        };
    }
    let (ours, theirs): (Vec<char>, Vec<char>) = (ours.chars().collect(), theirs.chars().collect());
    let mut best = Alike::Different;
    let mut open = vec![(0, 0)];
    let mut tried = HashSet::new();
    while let Some((mut at, mut there)) = open.pop() {
        while let (Some(our), Some(their)) = (ours.get(at), theirs.get(there))
            && our == their
            && *our != REPLACED
        {
            (at, there) = (at + 1, there + 1);
        }
        best = match (ours.get(at), theirs.get(there), best) {
            (None, None, _) => return Alike::Same,
            // Rather too much of theirs is taken for new than too little.
            (None, Some(_), Alike::Longer(known)) => Alike::Longer(known.min(there)),
            (None, Some(_), _) => Alike::Longer(there),
            (Some(_), None, Alike::Different) => Alike::Shorter,
            (.., best) => best,
        };
        if tried.len() >= MAX_TRIED || !tried.insert((at, there)) {
            continue;
        }
        // What is taken up next is pushed last: one for one.
        for count in (2..=STANDS_FOR).rev().chain([0, 1]) {
            if ours.get(at) == Some(&REPLACED) && there + count <= theirs.len() {
                open.push((at + 1, there + count));
            }
            if theirs.get(there) == Some(&REPLACED) && at + count <= ours.len() {
                open.push((at + count, there + 1));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::{Alike, alike};

    #[test]
    fn a_replaced_character_stands_for_a_few_of_any() {
        assert_eq!(alike("bad��bytes", "bad��bytes"), Alike::Same);
        assert_eq!(alike("caf��!", "café!"), Alike::Same);
        assert_eq!(alike("caf�!", "caf!"), Alike::Same);
        assert_eq!(alike("a��b", r"a\xff\xfeb"), Alike::Same);
        assert_eq!(alike("né", "n�"), Alike::Same);
        assert_eq!(alike("x�y�z", "xyéz"), Alike::Same);
        assert_eq!(alike("bad�bytes", "good�bytes"), Alike::Different);
        assert_eq!(alike("a�b", "a123456789b"), Alike::Different);
    }

    #[test]
    fn the_rest_is_told_in_their_own_characters() {
        assert_eq!(alike("caf��", "café and more"), Alike::Longer(3));
        assert_eq!(alike("caf�� and more", "café and"), Alike::Shorter);
        assert_eq!(alike("one", "one two"), Alike::Longer(3));
        assert_eq!(alike("one two", "one"), Alike::Shorter);
        assert_eq!(alike("", ""), Alike::Same);
    }

    #[test]
    fn nothing_takes_for_ever() {
        let ours = format!("{}{}", "�b".repeat(50_000), "a".repeat(50));
        let theirs = format!("{}{}", "bb".repeat(50_000), "c".repeat(50));
        assert_eq!(alike(&ours, &theirs), Alike::Different);
        assert_eq!(alike(&"�".repeat(100_000), &"é".repeat(70_000)), Alike::Same);
    }
}
