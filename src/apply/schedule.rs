//! Which step is ready: a queue without I/O, async or clocks.

use std::collections::VecDeque;

use crate::plan::StepIndex;

/// Steps that become ready as those before them finish.
#[derive(Debug)]
pub struct Schedule {
    /// How many steps each one still waits for.
    waiting: Vec<u32>,
    /// Who waits for each one: `users[starts[i]..starts[i + 1]]`.
    starts: Vec<u32>,
    users: Vec<u32>,
    ready: VecDeque<StepIndex>,
    done: Vec<bool>,
    left: usize,
}

/// Steps that wait for each other: the plan is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("steps of the plan wait for each other")]
pub struct Circle(pub Vec<StepIndex>);

impl Schedule {
    /// Takes for each step the steps it waits for.
    ///
    /// # Errors
    /// Names steps that wait for each other.
    pub fn new(after: &[Vec<StepIndex>]) -> Result<Self, Circle> {
        let count = after.len();
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut starts = vec![0_u32; count + 1];
        for before in after.iter().flatten() {
            starts[before + 1] += 1;
        }
        for index in 0..count {
            starts[index + 1] += starts[index];
        }
        let mut next = starts.clone();
        let mut users = vec![0_u32; starts[count] as usize];
        for (user, befores) in after.iter().enumerate() {
            for &before in befores {
                users[next[before] as usize] = small(user);
                next[before] += 1;
            }
        }
        let waiting: Vec<u32> = after.iter().map(|befores| small(befores.len())).collect();
        let ready = (0..count).filter(|&index| waiting[index] == 0).collect();
        let schedule = Self {
            waiting,
            starts,
            users,
            ready,
            done: vec![false; count],
            left: count,
        };
        schedule.find_circle().map_or(Ok(schedule), Err)
    }

    fn find_circle(&self) -> Option<Circle> {
        let mut waiting = self.waiting.clone();
        let mut ready: Vec<StepIndex> = self.ready.iter().copied().collect();
        let mut seen = 0;
        while let Some(step) = ready.pop() {
            seen += 1;
            for &user in self.users_of(step) {
                waiting[user as usize] -= 1;
                if waiting[user as usize] == 0 {
                    ready.push(user as usize);
                }
            }
        }
        (seen < waiting.len()).then(|| Circle((0..waiting.len()).filter(|&step| waiting[step] > 0).collect()))
    }

    fn users_of(&self, step: StepIndex) -> &[u32] {
        &self.users[self.starts[step] as usize..self.starts[step + 1] as usize]
    }

    /// Takes a ready step, the longest ready first.
    pub fn pop(&mut self) -> Option<StepIndex> {
        while let Some(step) = self.ready.pop_front() {
            if !self.done[step] {
                return Some(step);
            }
        }
        None
    }

    /// Notes that a step is done: those that waited only for it become ready.
    pub fn finish(&mut self, step: StepIndex) {
        if std::mem::replace(&mut self.done[step], true) {
            return;
        }
        self.left -= 1;
        for position in self.starts[step]..self.starts[step + 1] {
            let user = self.users[position as usize] as usize;
            self.waiting[user] -= 1;
            if self.waiting[user] == 0 && !self.done[user] {
                self.ready.push_back(user);
            }
        }
    }

    /// Notes that a step failed and returns all that waits for it, which is never tried.
    pub fn fail(&mut self, step: StepIndex) -> Vec<StepIndex> {
        let mut skipped = Vec::new();
        let mut waiting = vec![step];
        while let Some(next) = waiting.pop() {
            if std::mem::replace(&mut self.done[next], true) {
                continue;
            }
            self.left -= 1;
            if next != step {
                skipped.push(next);
            }
            waiting.extend(self.users_of(next).iter().map(|&user| user as usize));
        }
        skipped.sort_unstable();
        skipped
    }

    /// Returns all that was neither done nor skipped, and skips it.
    pub fn abandon(&mut self) -> Vec<StepIndex> {
        self.ready.clear();
        let rest: Vec<StepIndex> = (0..self.done.len()).filter(|&step| !self.done[step]).collect();
        for &step in &rest {
            self.done[step] = true;
        }
        self.left = 0;
        rest
    }

    /// Whether everything is done or skipped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(after: &[Vec<usize>]) -> Vec<usize> {
        let mut schedule = Schedule::new(after).unwrap();
        let mut order = Vec::new();
        while let Some(step) = schedule.pop() {
            order.push(step);
            schedule.finish(step);
        }
        assert!(schedule.is_over());
        order
    }

    #[test]
    fn steps_come_after_those_they_wait_for() {
        assert_eq!(run(&[vec![], vec![0], vec![1], vec![0]]), [0, 1, 3, 2]);
        assert_eq!(run(&[vec![2], vec![], vec![1, 1]]), [1, 2, 0]);
        assert_eq!(run(&[]), Vec::<usize>::new());
    }

    #[test]
    fn a_failure_skips_what_waits_for_it_and_nothing_else() {
        let mut schedule = Schedule::new(&[vec![], vec![0], vec![1], vec![], vec![3, 2]]).unwrap();
        assert_eq!(
            (schedule.pop(), schedule.pop(), schedule.pop()),
            (Some(0), Some(3), None)
        );
        assert_eq!(schedule.fail(0), [1, 2, 4]);
        schedule.finish(3);
        assert_eq!(schedule.pop(), None);
        assert!(schedule.is_over());
    }

    #[test]
    fn steps_that_wait_for_each_other_are_found() {
        assert_eq!(
            Schedule::new(&[vec![1], vec![0], vec![]]).unwrap_err(),
            Circle(vec![0, 1])
        );
    }
}
