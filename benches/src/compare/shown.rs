//! The outcome as people read it.

use super::outcome::{Outcome, Reached};

/// A number with about four digits that say something.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

impl Outcome {
    /// Tables for people: comparisons, figures, goals.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = format!(
            "{:<34} {:>7} {:<32} {:>10} {:>9} {:>9} {:>9}\n",
            "what", "threads", "contender", "per s", "ours to it", "p50 us", "p99 us"
        );
        for row in &self.comparisons {
            out.push_str(&format!(
                "{:<34} {:>7} {:<32} {:>10.0} {:>9.2} {:>9} {:>9}\n",
                row.what,
                row.threads,
                row.contender,
                row.per_second,
                row.ours_to_it,
                row.p50_us.map_or(String::new(), number),
                row.p99_us.map_or(String::new(), number),
            ));
        }
        out.push('\n');
        out.push_str(&self.report.table());
        out.push('\n');
        let goals = self.goals();
        let width = goals.iter().map(|goal| goal.name.chars().count()).max().unwrap_or(0);
        goals.iter().for_each(|goal| out.push_str(&line(goal, width)));
        let count = |met| goals.iter().filter(|goal| goal.met == met).count();
        let (met, missed, open) = (count(Some(true)), count(Some(false)), count(None));
        out.push_str(&format!("\n{met} goals met, {missed} missed, {open} not measured\n"));
        out
    }
}

fn line(goal: &Reached, width: usize) -> String {
    let verdict = match goal.met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "-",
    };
    let value = goal.value.map_or("-".into(), number);
    let why = goal.why.as_ref().map_or(String::new(), |why| format!("  ({why})"));
    let (name, bound, wanted, unit) = (&goal.name, goal.bound, number(goal.goal), goal.unit);
    format!("{verdict:<6} {name:<width$} {value:>10} {bound:>2} {wanted:<8} {unit}{why}\n")
}
