// SPDX-License-Identifier: Apache-2.0
//! The man page against the command line's grammar.

use crate::args;

#[test]
fn the_page_has_every_command_and_option() {
    let page = include_str!("../../man/keepalived-conf.1");
    for command in args::command().get_subcommands() {
        let name = command.get_name();
        assert!(page.contains(&format!(".It Cm {name}\n")), "command {name} is missing");
        for option in command.get_opts() {
            let long = option.get_long().expect("every option has a long name");
            assert!(page.contains(&format!("Fl -{long}")), "option --{long} of {name} is missing");
        }
    }
}

#[test]
fn the_limits_of_the_page_are_those_of_the_code() {
    let page = include_str!("../../man/keepalived-conf.1");
    assert!(page.contains(&format!("more than {} of them are refused", keepalived_conf::expand::MAX)));
    assert!(page.contains(&format!("longer than {} bytes", keepalived_conf::keepalived::define::MAX_LINE)));
}
