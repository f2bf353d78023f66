// SPDX-License-Identifier: Apache-2.0
//! The objects of `dpip OBJECT COMMAND`: one file each, with the same three functions.

pub mod addr;
pub mod config;
pub mod drops;
pub mod health;
pub mod ipset;
pub mod link;
pub mod neigh;
pub mod route;
pub mod synproxy;
pub mod tunnel;
pub mod vlan;
pub mod vrrp;

use sockopt::{Code, Get, Reply, Request, Set};

use crate::args::Call;
use crate::failure::Failure;

/// Every object, in the order of the help.
pub static OBJECTS: [&Object; 12] = [
    &link::OBJECT,
    &addr::OBJECT,
    &route::OBJECT,
    &neigh::OBJECT,
    &vlan::OBJECT,
    &tunnel::OBJECT,
    &ipset::OBJECT,
    &drops::OBJECT,
    &synproxy::OBJECT,
    &health::OBJECT,
    &vrrp::OBJECT,
    &config::OBJECT,
];

/// One object: what there is to say and to do about it.
#[derive(Debug)]
pub struct Object {
    /// Its word.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// What can be done with it.
    pub commands: &'static [Command],
    /// What the capitals in the synopses stand for.
    pub terms: &'static [(&'static str, &'static str)],
    /// The replies to a show, as people read them.
    pub text: fn(&Call, &[Reply]) -> Result<String, Failure>,
    /// The replies to a show, as programs read them.
    pub json: fn(&Call, &[Reply]) -> Result<String, Failure>,
}

impl Object {
    /// The object of that word.
    pub fn find(name: &str) -> Option<&'static Object> {
        OBJECTS.into_iter().find(|object| object.name == name)
    }

    /// The command of that word.
    pub fn command(&'static self, word: &str) -> Option<&'static Command> {
        let called = |command: &&Command| {
            let (name, alias) = command.verb.words();
            name == word || alias == Some(word)
        };
        self.commands.iter().find(called)
    }
}

/// One command of an object.
#[derive(Debug)]
pub struct Command {
    /// What it does.
    pub verb: Verb,
    /// What may follow the word of the command, one line for each form.
    pub forms: &'static [&'static str],
    /// What it does, for people.
    pub about: &'static str,
    /// The words of a call to what the daemon is asked.
    pub parse: fn(&Call) -> Result<Job, Failure>,
}

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A new one.
    Add,
    /// One less.
    Del,
    /// Other values for one that is there.
    Set,
    /// Other values for one that is there, or a new one.
    Replace,
    /// All of them away.
    Flush,
    /// A listing.
    Show,
    /// A listing of counters.
    Stats,
    /// A new one, empty.
    Create,
    /// One less, with all that is in it.
    Destroy,
    /// A question that is answered yes or no.
    Test,
    /// Files read again.
    Reload,
}

impl Verb {
    /// The word, and what else it may be called.
    pub fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Verb::Add => ("add", None),
            Verb::Del => ("del", None),
            Verb::Set => ("set", Some("change")),
            Verb::Replace => ("replace", None),
            Verb::Flush => ("flush", None),
            Verb::Show => ("show", Some("list")),
            Verb::Stats => ("stats", None),
            Verb::Create => ("create", None),
            Verb::Destroy => ("destroy", None),
            Verb::Test => ("test", None),
            Verb::Reload => ("reload", None),
        }
    }
}

/// What a call asks of the daemon.
pub enum Job {
    /// A change, and what to print once it is made.
    Change(Request, String),
    /// One change; a refusal for this reason is only a warning.
    Tolerant(Set, Code),
    /// A change that depends on what is there.
    Look(Get, Decide),
    /// A listing, made of the replies to these.
    Show(Vec<Get>),
    /// A question that is answered yes or no.
    Test(Get),
    /// Something else, whose reply is printed like a listing.
    Ask(Request),
}

/// Makes the change out of the reply to the question before it.
pub type Decide = Box<dyn Fn(&Reply) -> Result<Set, Failure>>;

impl Job {
    /// One change that prints nothing.
    pub fn set(set: Set) -> Self {
        Job::Change(Request::Set(set), String::new())
    }

    /// A listing of one reply.
    pub fn get(get: Get) -> Self {
        Job::Show(vec![get])
    }
}
