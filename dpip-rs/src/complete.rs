// SPDX-License-Identifier: Apache-2.0
//! What may follow the words of an unfinished command line: read off the tables that also make the help.

use crate::args::OPTIONS;
use crate::object::{Command, OBJECTS, Object};

/// The words that may stand after `before`, in place of `word`; some may not begin with it.
///
/// `links` is asked for the names of links where one may stand.
pub fn candidates(before: &[String], word: &str, links: impl FnOnce() -> Vec<String>) -> Vec<String> {
    if word.starts_with('-') {
        return options();
    }
    let words = match without_options(before) {
        Words::All(words) => words,
        Words::ValueOf("family") => return owned(["inet", "inet6"]),
        Words::ValueOf(_) => return Vec::new(),
    };
    let Some((object, words)) = words.split_first() else {
        return owned(OBJECTS.iter().map(|object| object.name).chain(["help"]));
    };
    let Some(object) = Object::find(object) else { return Vec::new() };
    let Some((command, words)) = words.split_first() else {
        return owned(object.commands.iter().map(|command| command.verb.words().0).chain(["help"]));
    };
    object.command(command).map_or_else(Vec::new, |command| arguments(command, words, links))
}

fn owned<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn options() -> Vec<String> {
    let long = OPTIONS.iter().flat_map(|option| option.long).map(|name| format!("--{name}"));
    let short = OPTIONS.iter().filter_map(|option| option.short).map(|letter| format!("-{letter}"));
    long.chain(short).chain(owned(["--help", "-h"])).collect()
}

enum Words<'a> {
    /// The words that are neither options nor their values.
    All(Vec<&'a str>),
    /// The value of this option comes next.
    ValueOf(&'static str),
}

fn without_options(before: &[String]) -> Words<'_> {
    let mut words = Vec::new();
    let mut rest = before.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        match word.strip_prefix('-') {
            None => words.push(word),
            Some(name) => {
                let same = |short: char| name.strip_prefix(short) == Some("");
                let option = OPTIONS.iter().filter(|option| option.value.is_some()).find(|option| {
                    option.short.is_some_and(same)
                        || option.long.iter().any(|long| name.strip_prefix('-') == Some(long))
                });
                if let Some(option) = option
                    && rest.next().is_none()
                {
                    return Words::ValueOf(option.id);
                }
            }
        }
    }
    Words::All(words)
}

/// What may follow a keyword, or else the keywords not used yet.
fn arguments(command: &Command, words: &[&str], links: impl FnOnce() -> Vec<String>) -> Vec<String> {
    let forms: Vec<Vec<&str>> = command.forms.iter().map(|form| tokens(form)).collect();
    let after_last = |form: &Vec<&'static str>| {
        let last = form.iter().position(|token| is_keyword(token) && words.last() == Some(token))?;
        form.get(last + 1).copied().filter(|token| !is_keyword(token))
    };
    if let Some(value) = forms.iter().find_map(after_last) {
        return values(value, links);
    }
    let first = forms.iter().filter_map(|form| form.first().copied()).filter(|token| !is_keyword(token));
    let keywords = forms.iter().flatten().filter(|token| is_keyword(token) && !words.contains(token));
    let mut found = owned(keywords.copied());
    if words.is_empty() {
        let first: Vec<&str> = first.flat_map(|token| token.split('|')).collect();
        found.extend(values(&first.join("|"), links));
    }
    found
}

/// The words of a form, without the brackets around what is optional.
pub fn tokens(form: &str) -> Vec<&str> {
    form.split_whitespace().map(|token| token.trim_start_matches('[').trim_end_matches(']')).collect()
}

/// Whether a token is to be written as it stands: not a value, not a choice.
pub fn is_keyword(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_lowercase())
        && token.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// What may stand for a token: links for `IF` and `NAME`, the words of a choice.
fn values(token: &str, links: impl FnOnce() -> Vec<String>) -> Vec<String> {
    let choices = token.split('|');
    let literal = |choice: &&str| !choice.chars().any(|c| c.is_ascii_uppercase()) || *choice == "QinQ";
    let mut found = owned(choices.clone().filter(|choice| !choice.is_empty()).filter(literal));
    if choices.into_iter().any(|choice| matches!(choice, "IF" | "NAME")) {
        found.extend(links());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::golden::call;

    fn after(line: &str) -> String {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut found = candidates(&words, "", || owned(["dpdk0", "dpdk1"]));
        found.sort();
        found.dedup();
        found.join(" ")
    }

    #[test]
    fn objects_commands_keywords_and_values_follow_each_other() {
        for (line, words) in [
            ("", "addr config drops health help ipset link neigh route synproxy tunnel vlan vrrp"),
            ("-s -f inet", "addr config drops health help ipset link neigh route synproxy tunnel vlan vrrp"),
            ("addr", "add del flush help replace set show"),
            ("addr add", "broadcast dev preferred_lft sapool scope valid_lft"),
            ("addr add 10.0.0.1/24 dev", "dpdk0 dpdk1"),
            ("addr add 10.0.0.1/24 dev dpdk0", "broadcast preferred_lft sapool scope valid_lft"),
            ("addr add 10.0.0.1/24 dev dpdk0 scope", "global host link site"),
            ("addr list dev", "dpdk0 dpdk1"),
            ("route add", "default dev local metric mtu scope src via"),
            ("route add default", "dev local metric mtu scope src via"),
            ("route add default via", ""),
            ("link show", "cpu dpdk0 dpdk1"),
            ("link set", "addr allmulticast dpdk0 dpdk1 link mtu promisc"),
            ("link set dpdk0 link", "down up"),
            ("vlan add link", "dpdk0 dpdk1"),
            ("vlan add link dpdk0 proto", "802.1q vlan"),
            ("-f", "inet inet6"),
            ("--ipc", ""),
            ("drops show", ""),
            ("nonsense", ""),
            ("addr nonsense", ""),
        ] {
            assert_eq!(after(line), words, "{line}");
        }
    }

    #[test]
    fn a_dash_begins_an_option() {
        let found = candidates(&[], "--s", || panic!("no link may stand here"));
        assert!(found.contains(&"--stats".to_owned()) && found.contains(&"-s".to_owned()), "{found:?}");
    }

    /// The forms make the help, the man page and completion: the parsers have to agree with them.
    #[test]
    fn every_keyword_of_every_form_is_known_to_its_parser() {
        for object in OBJECTS {
            for command in object.commands {
                for keyword in command.forms.iter().flat_map(|form| tokens(form)).filter(|t| is_keyword(t)) {
                    let line = format!("dpip {} {} x {keyword}", object.name, command.verb.words().0);
                    let called = call(&line).unwrap();
                    if let Err(Failure::Usage(text)) = (command.parse)(&called) {
                        assert_ne!(text, format!("unexpected `{keyword}`"), "{line}");
                    }
                }
            }
        }
    }
}
