// SPDX-License-Identifier: Apache-2.0
//! The real servers behind one `virtual_server`: who is alive, whether there are enough, and who serves when there are not. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Number of a checker.
pub type CheckerId = u64;

/// The servers of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Weight that the service needs.
    pub quorum: u64,
    /// Added to it to gain the quorum, taken from it to lose it.
    pub hysteresis: u64,
    /// Whether there is a sorry server, and whether it is kept with weight 0.
    pub sorry: Option<Keep>,
    /// Its real servers.
    pub members: Vec<Member>,
    /// Whether there are enough; not before somebody looked.
    pub in_quorum: bool,
    /// Whether the sorry server serves.
    pub sorry_serves: bool,
}

/// What becomes of a server that shall not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is taken out.
    No,
    /// It stays with weight 0, and with it connections and templates.
    Quiet,
}

/// A real server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// As configured.
    pub weight: u32,
    /// What becomes of it when it fails.
    pub keep: Keep,
    /// Checkers that are not content.
    pub failed: BTreeSet<CheckerId>,
    /// What checkers add to the weight.
    pub corrections: BTreeMap<CheckerId, i64>,
}

/// Something that scripts are run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A server came up.
    Up(usize),
    /// A server went down.
    Down(usize),
    /// There are enough servers.
    Gained,
    /// There are not.
    Lost,
}

impl Member {
    /// Whether no checker has failed.
    pub fn alive(&self) -> bool {
        self.failed.is_empty()
    }

    /// The weight in force.
    pub fn weight(&self) -> u32 {
        let sum = self.corrections.values().fold(i64::from(self.weight), |sum, add| sum.saturating_add(*add));
        u32::try_from(sum.clamp(0, i64::from(i32::MAX))).unwrap_or_default()
    }
}

impl Pool {
    /// Takes a checker's mind.
    pub fn turn(&mut self, member: usize, checker: CheckerId, up: bool) -> Vec<Notice> {
        let Some(server) = self.members.get_mut(member) else { return Vec::new() };
        let before = server.alive();
        if up {
            server.failed.remove(&checker)
        } else {
            server.failed.insert(checker)
        };
        let mut notices = Vec::new();
        match (before, server.alive()) {
            (false, true) => notices.push(Notice::Up(member)),
            (true, false) => notices.push(Notice::Down(member)),
            _ => {}
        }
        notices.extend(self.judge());
        notices
    }

    /// Takes what a checker adds to a weight.
    pub fn correct(&mut self, member: usize, checker: CheckerId, add: i64) -> Vec<Notice> {
        let Some(server) = self.members.get_mut(member) else { return Vec::new() };
        server.corrections.insert(checker, add);
        self.judge().into_iter().collect()
    }

    /// The first look: a service counts as without quorum before it.
    pub fn begin(&mut self) -> Option<Notice> {
        self.in_quorum = false;
        let gained = self.judge();
        if gained.is_none() && self.sorry.is_some() {
            self.sorry_serves = true;
            return Some(Notice::Lost);
        }
        gained
    }

    /// Looks whether there are enough servers now.
    pub fn judge(&mut self) -> Option<Notice> {
        let sum = self.sum();
        if self.sorry.is_none() {
            self.sorry_serves = false;
        }
        if !self.in_quorum && sum >= self.quorum.saturating_add(self.hysteresis) {
            (self.in_quorum, self.sorry_serves) = (true, false);
            return Some(Notice::Gained);
        }
        if self.in_quorum && (sum == 0 || sum < self.quorum.saturating_sub(self.hysteresis)) {
            (self.in_quorum, self.sorry_serves) = (false, self.sorry.is_some());
            return Some(Notice::Lost);
        }
        None
    }

    /// The weight of all that are alive.
    pub fn sum(&self) -> u64 {
        self.members.iter().filter(|server| server.alive()).map(|server| u64::from(server.weight())).sum()
    }

    /// The weight a server has in the table; `None`: it is not there.
    pub fn presence(&self, member: usize) -> Option<u32> {
        let server = self.members.get(member)?;
        if server.alive() && !self.sorry_serves {
            return Some(server.weight());
        }
        (server.keep == Keep::Quiet).then_some(0)
    }

    /// The weight the sorry server has in the table; `None`: it is not there.
    pub fn sorry_presence(&self) -> Option<u32> {
        match self.sorry? {
            _ if self.sorry_serves => Some(1),
            Keep::Quiet => Some(0),
            Keep::No => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(weights: &[u32], quorum: u64, hysteresis: u64, sorry: Option<Keep>) -> Pool {
        let member = |&weight: &u32| Member {
            weight,
            keep: Keep::No,
            failed: BTreeSet::new(),
            corrections: BTreeMap::new(),
        };
        let members = weights.iter().map(member).collect();
        let mut pool = Pool { quorum, hysteresis, sorry, members, ..Pool::default() };
        pool.begin();
        pool
    }

    fn table(pool: &Pool) -> (Vec<Option<u32>>, Option<u32>) {
        ((0..pool.members.len()).map(|at| pool.presence(at)).collect(), pool.sorry_presence())
    }

    #[test]
    fn a_server_is_up_while_none_of_its_checkers_has_failed() {
        let mut pool = pool(&[1, 1], 1, 0, None);
        assert_eq!(pool.turn(0, 7, false), [Notice::Down(0)]);
        assert_eq!(pool.turn(0, 8, false), []);
        assert_eq!(table(&pool), (vec![None, Some(1)], None));
        assert_eq!(pool.turn(0, 7, true), []);
        assert_eq!(pool.turn(0, 8, true), [Notice::Up(0)]);
        assert_eq!(table(&pool), (vec![Some(1), Some(1)], None));
    }

    #[test]
    fn inhibited_servers_stay_with_weight_zero() {
        let mut pool = pool(&[5, 1], 1, 0, Some(Keep::Quiet));
        pool.members[0].keep = Keep::Quiet;
        pool.turn(0, 7, false);
        assert_eq!(table(&pool), (vec![Some(0), Some(1)], Some(0)));
        assert_eq!(pool.turn(1, 8, false), [Notice::Down(1), Notice::Lost]);
        assert_eq!(table(&pool), (vec![Some(0), None], Some(1)));
    }

    #[test]
    fn hysteresis_keeps_the_quorum_from_flapping() {
        let mut pool = pool(&[1; 5], 3, 1, Some(Keep::No));
        assert!(pool.in_quorum);
        for (at, notices) in [(0, vec![]), (1, vec![]), (2, vec![]), (3, vec![Notice::Lost])] {
            assert_eq!(pool.turn(at, 1, false)[1..], notices, "server {at}: lost below 3 - 1");
        }
        assert_eq!(table(&pool), (vec![None; 5], Some(1)));
        for (at, notices) in [(0, vec![]), (1, vec![]), (2, vec![Notice::Gained])] {
            assert_eq!(pool.turn(at, 1, true)[1..], notices, "server {at}: gained at 3 + 1");
        }
        assert_eq!(table(&pool), (vec![Some(1), Some(1), Some(1), None, Some(1)], None));
    }

    #[test]
    fn the_start_decides_who_serves() {
        let begun = |failed: bool, sorry| {
            let mut pool = pool(&[1], 1, 0, sorry);
            if failed {
                pool.members[0].failed.insert(1);
            }
            (pool.in_quorum, pool.sorry_serves) = (false, false);
            (pool.begin(), pool.sorry_serves)
        };
        assert_eq!(begun(false, Some(Keep::No)), (Some(Notice::Gained), false));
        assert_eq!(begun(true, Some(Keep::No)), (Some(Notice::Lost), true));
        assert_eq!(begun(true, None), (None, false));
    }

    #[test]
    fn weights_are_corrected_and_count_for_the_quorum() {
        let mut pool = pool(&[10], 5, 0, None);
        assert_eq!(pool.correct(0, 1, -4), []);
        assert_eq!(pool.presence(0), Some(6));
        assert_eq!(pool.correct(0, 2, -2), [Notice::Lost]);
        assert_eq!(pool.presence(0), Some(4), "without a sorry server it goes on");
        pool.correct(0, 1, -400);
        assert_eq!(pool.presence(0), Some(0));
        pool.correct(0, 1, i64::MAX);
        assert_eq!(pool.presence(0), Some(i32::MAX as u32));
    }
}
