//! Which endpoint is next. Computes only: health, open counts and randomness come in as arguments.

use portcullis_config::backend::Balance;

use crate::record::Choice;

/// The longest schedule; weights are scaled down to fit.
const SCHEDULE_MAX: usize = 4096;

/// The endpoints of a backend with their weights, prepared for choosing in constant time: positions in `0..weights.len()`.
#[derive(Debug)]
pub struct Balancer {
    balance: Balance,
    weights: Vec<u32>,
    /// Positions in turn, each as often as its weight says, spread smoothly (the order that nginx's smooth weighted
    /// round-robin gives). Also what the random choice draws from.
    schedule: Vec<u32>,
}

impl Balancer {
    /// Prepares for these weights (at least 1 each).
    pub fn new(balance: Balance, weights: Vec<u32>) -> Self {
        let schedule = schedule(&weights);
        Self { balance, weights, schedule }
    }

    /// The next endpoint for which `usable` says yes, or `None`.
    ///
    /// `turn` is the caller's counter (advanced by one a call), `random` a random number, `open` tells how many exchanges an
    /// endpoint has open. `usable` is asked once per endpoint at the most in the ordinary case, and for all of them when most are unusable.
    pub fn choose(
        &self,
        turn: usize,
        random: u64,
        open: impl Fn(usize) -> usize,
        usable: impl Fn(usize) -> bool,
    ) -> Option<(usize, Choice)> {
        match self.weights.len() {
            0 => return None,
            1 => return usable(0).then_some((0, Choice::Only)),
            _ => {}
        }
        match self.balance {
            Balance::RoundRobin => self.next_in_turn(turn, usable).map(|i| (i, Choice::Turn)),
            Balance::LeastRequests => self.fewest_open(turn, open, usable).map(|i| (i, Choice::FewestOpen)),
            Balance::PowerOfTwoChoices => self.better_of_two(random, open, usable).map(|i| (i, Choice::BetterOfTwo)),
        }
    }

    fn next_in_turn(&self, turn: usize, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let length = self.schedule.len();
        (0..length).map(|step| self.schedule[(turn.wrapping_add(step)) % length] as usize).find(|&i| usable(i))
    }

    /// Looks at every endpoint, starting at a different one each turn so that equals share.
    fn fewest_open(&self, turn: usize, open: impl Fn(usize) -> usize, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.weights.len();
        let mut best: Option<(usize, u64)> = None;
        for step in 0..count {
            let i = turn.wrapping_add(step) % count;
            if !usable(i) {
                continue;
            }
            let load = self.load(i, &open);
            if best.is_none_or(|(_, least)| load < least) {
                best = Some((i, load));
            }
        }
        best.map(|(i, _)| i)
    }

    fn better_of_two(
        &self,
        random: u64,
        open: impl Fn(usize) -> usize,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let length = self.schedule.len() as u64;
        let first = self.next_in_turn((random % length) as usize, &usable)?;
        let second =
            self.next_in_turn(((random >> 32) % length) as usize, |i| i != first && usable(i)).unwrap_or(first);
        Some(if self.load(second, &open) < self.load(first, &open) { second } else { first })
    }

    /// Open exchanges per weight, as if one more came, in fixed point.
    fn load(&self, i: usize, open: impl Fn(usize) -> usize) -> u64 {
        ((open(i) as u64 + 1) << 20) / u64::from(self.weights[i].max(1))
    }
}

/// Smooth weighted round-robin, one whole cycle ahead.
fn schedule(weights: &[u32]) -> Vec<u32> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let mut weights: Vec<i64> = weights.iter().map(|&weight| i64::from((weight / divisor).max(1))).collect();
    let total: i64 = weights.iter().sum();
    let room = SCHEDULE_MAX.max(weights.len()) as i64;
    if total > room {
        for weight in &mut weights {
            *weight = (*weight * room / total).max(1);
        }
    }
    let total: i64 = weights.iter().sum();
    if weights.iter().all(|&weight| weight == 1) {
        return (0..weights.len() as u32).collect();
    }
    let mut current = vec![0i64; weights.len()];
    (0..total)
        .map(|_| {
            let mut best = 0;
            for i in 0..weights.len() {
                current[i] += weights[i];
                if current[i] > current[best] {
                    best = i;
                }
            }
            current[best] -= total;
            best as u32
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(balancer: &Balancer, n: usize, usable: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..n).map(|turn| balancer.choose(turn, 0, |_| 0, &usable).unwrap().0).collect()
    }

    #[test]
    fn round_robin_goes_around() {
        let balancer = Balancer::new(Balance::RoundRobin, vec![1, 1, 1]);
        assert_eq!(turns(&balancer, 6, |_| true), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn weights_are_spread_smoothly() {
        let balancer = Balancer::new(Balance::RoundRobin, vec![5, 1, 1]);
        assert_eq!(turns(&balancer, 7, |_| true), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn skips_what_is_not_usable_and_gives_up_when_nothing_is() {
        let balancer = Balancer::new(Balance::RoundRobin, vec![1, 1, 1]);
        assert_eq!(turns(&balancer, 3, |i| i != 1), [0, 2, 2]);
        assert_eq!(balancer.choose(0, 0, |_| 0, |_| false), None);
    }

    #[test]
    fn least_requests_respects_weight() {
        let balancer = Balancer::new(Balance::LeastRequests, vec![1, 4]);
        let open = [1, 3];
        assert_eq!(balancer.choose(0, 0, |i| open[i], |_| true), Some((1, Choice::FewestOpen)));
    }

    #[test]
    fn two_choices_take_the_idler_one() {
        let balancer = Balancer::new(Balance::PowerOfTwoChoices, vec![1, 1]);
        let open = [9, 2];
        for random in [0, 1, 1 << 32, (1 << 32) | 1] {
            assert_eq!(balancer.choose(0, random, |i| open[i], |_| true), Some((1, Choice::BetterOfTwo)));
        }
    }

    proptest! {
        #[test]
        fn a_cycle_serves_everyone_near_its_weight(weights in proptest::collection::vec(1u32..1000, 2..40)) {
            let balancer = Balancer::new(Balance::RoundRobin, weights.clone());
            let cycle = balancer.schedule.len();
            prop_assert!(cycle <= SCHEDULE_MAX + weights.len());
            let mut served = vec![0usize; weights.len()];
            for turn in 0..cycle {
                served[balancer.choose(turn, 0, |_| 0, |_| true).unwrap().0] += 1;
            }
            let total: u32 = weights.iter().sum();
            for (i, &weight) in weights.iter().enumerate() {
                let share = f64::from(weight) / f64::from(total) * cycle as f64;
                prop_assert!(served[i] >= 1);
                prop_assert!((served[i] as f64 - share).abs() <= share * 0.1 + 2.0 + weights.len() as f64 * 0.05);
            }
        }
    }
}
