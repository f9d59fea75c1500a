//! What a run came to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::goals::{GOALS, Id};
use crate::report::{Figure, Latency, Report};

/// One contender at one number of threads.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) what: &'static str,
    pub(super) threads: usize,
    pub(super) contender: &'static str,
    /// Median over the turns.
    pub(super) per_second: f64,
    /// Ours divided by this one's, median over the rounds.
    pub(super) ours_to_it: f64,
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
}

/// A goal and what was reached.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Reached {
    pub(super) name: String,
    /// `None` where this run did not measure it.
    pub(super) value: Option<f64>,
    pub(super) unit: &'static str,
    pub(super) bound: &'static str,
    pub(super) goal: f64,
    pub(super) met: Option<bool>,
    /// With how much less than the goal is set for it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) measured_with: Option<String>,
    /// Why it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Outcome {
    pub(super) comparisons: Vec<Comparison>,
    pub(super) report: Report,
    values: BTreeMap<Id, (f64, Option<String>)>,
    reasons: BTreeMap<Id, String>,
}

impl Outcome {
    pub(super) fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.report.plain(name, value, unit);
    }

    /// Rates of ours and of the raw disk in pairs. Returns the median ratio.
    pub(super) fn rates(&mut self, name: &str, unit: &'static str, pairs: &[(f64, f64)], latency: &Latency) -> f64 {
        self.report.compared(name, unit, pairs, latency);
        self.report.figures.last().and_then(|figure| figure.ratio).expect("just compared")
    }

    pub(super) fn reached(&mut self, id: Id, value: f64) {
        self.reached_at(id, value, None);
    }

    /// With less than the goal is set for, where `scaled` says so.
    pub(super) fn reached_at(&mut self, id: Id, value: f64, scaled: Option<String>) {
        self.values.insert(id, (value, scaled));
    }

    pub(super) fn not_measured(&mut self, id: Id, why: impl Into<String>) {
        self.reasons.insert(id, why.into());
    }

    /// Every goal, measured or not.
    pub(super) fn goals(&self) -> Vec<Reached> {
        let reached = |goal: &super::goals::Goal| {
            let measured = self.values.get(&goal.id).filter(|(value, _)| value.is_finite());
            let why = || {
                if self.values.contains_key(&goal.id) {
                    return "what was measured came to no number".into();
                }
                let why = self.reasons.get(&goal.id).cloned();
                why.unwrap_or_else(|| "not part of this run; run with --threads 1,8,64".into())
            };
            let measured_with = measured.and_then(|(_, scaled)| scaled.clone());
            Reached {
                name: match &measured_with {
                    Some(scaled) => format!("{} (measured with {scaled})", goal.name),
                    None => goal.name.to_owned(),
                },
                value: measured.map(|(value, _)| *value),
                unit: goal.unit,
                bound: goal.bound.sign(),
                goal: goal.goal,
                met: measured.map(|(value, _)| goal.bound.is_met(*value, goal.goal)),
                why: measured.is_none().then(why),
                measured_with,
            }
        };
        GOALS.iter().map(reached).collect()
    }

    /// One object.
    #[must_use]
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Whole<'a> {
            goals: Vec<Reached>,
            comparisons: &'a [Comparison],
            figures: &'a [Figure],
        }
        let whole = Whole { goals: self.goals(), comparisons: &self.comparisons, figures: &self.report.figures };
        serde_json::to_string(&whole).expect("plain values")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_that_was_not_measured_is_null_with_a_reason_and_one_that_was_is_judged() {
        let mut outcome = Outcome::default();
        outcome.reached(Id::WarmRead, 1.9);
        outcome.reached_at(Id::Reopen, 0.2, Some("100,000 files".into()));
        outcome.not_measured(Id::PathHistory, "no program");
        outcome.reached(Id::Readdir, f64::NAN);
        let json: serde_json::Value = serde_json::from_str(&outcome.json()).unwrap();
        let goals = json["goals"].as_array().unwrap();
        assert_eq!(goals.len(), GOALS.len());
        let of = |id: Id| &goals[GOALS.iter().position(|goal| goal.id == id).unwrap()];
        assert_eq!((of(Id::WarmRead)["met"].as_bool(), of(Id::Reopen)["met"].as_bool()), (Some(false), Some(true)));
        assert!(of(Id::Reopen)["name"].as_str().unwrap().ends_with("(measured with 100,000 files)"));
        for (id, why) in [(Id::PathHistory, "no program"), (Id::Readdir, "no number"), (Id::StatHot, "not part")] {
            assert!(of(id)["value"].is_null() && of(id)["met"].is_null(), "{}", of(id));
            assert!(of(id)["why"].as_str().unwrap().contains(why), "{}", of(id));
        }
    }
}
