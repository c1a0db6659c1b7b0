//! From `OpenMetrics`, which the library writes, to the older text that every scraper reads.
//!
//! Three things differ: a counter is introduced under its full name, there are no units and no end mark, and bounds of
//! buckets are spelled as the distribution registry spells them, so that its dashboards find them.
//!
//! *Invariant:* no sample is dropped, added or changed but for the spelling of a bound.
//!
//! Spec: Prometheus exposition formats, text format 0.0.4.

use std::fmt::Write as _;

pub(super) fn prometheus_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, sentence)| sentence);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let total = if kind == "counter" { "_total" } else { "" };
            if let Some(sentence) = help.take() {
                let _ = writeln!(text, "# HELP {name}{total} {sentence}");
            }
            let _ = writeln!(text, "# TYPE {name}{total} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(&with_plain_bound(line).unwrap_or_else(|| line.to_owned()));
            text.push('\n');
        }
    }
    text
}

/// A sample of a bucket with its bound spelled anew; nothing for any other sample.
fn with_plain_bound(line: &str) -> Option<String> {
    let (before, rest) = line.split_once("le=\"")?;
    let (bound, after) = rest.split_once('"')?;
    let bound = bound.parse::<f64>().ok().filter(|bound| bound.is_finite())?;
    Some(format!("{before}le=\"{}\"{after}", plain(bound)))
}

/// The shortest spelling, with an exponent from a million on, as Go has it.
fn plain(number: f64) -> String {
    let spelled = format!("{number:e}");
    let Some((digits, exponent)) = spelled.split_once('e') else { return spelled };
    match exponent.parse::<i32>() {
        Ok(exponent) if (-4..6).contains(&exponent) => format!("{number}"),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        Err(_) => spelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_spelled_as_the_distribution_registry_spells_them() {
        for (number, expected) in [
            (0.005, "0.005"),
            (1.0, "1"),
            (60.0, "60"),
            (524_288.0, "524288"),
            (1_048_576.0, "1.048576e+06"),
            (2_147_483_648.0, "2.147483648e+09"),
            (0.000_01, "1e-05"),
        ] {
            assert_eq!(plain(number), expected);
        }
    }

    #[test]
    fn a_counter_is_introduced_under_the_name_it_is_sampled_by() {
        let open_metrics = "# HELP a Counted.\n# TYPE a counter\na_total{x=\"1\"} 5\n# HELP b Sizes.\n# TYPE b histogram\n\
                            # UNIT b bytes\nb_sum 2.0\nb_bucket{h=\"x\",le=\"1024.0\"} 1\nb_bucket{h=\"x\",le=\"+Inf\"} 1\n\
                            # EOF\n";
        let expected = "# HELP a_total Counted.\n# TYPE a_total counter\na_total{x=\"1\"} 5\n# HELP b Sizes.\n\
                        # TYPE b histogram\nb_sum 2.0\nb_bucket{h=\"x\",le=\"1024\"} 1\nb_bucket{h=\"x\",le=\"+Inf\"} 1\n";
        assert_eq!(prometheus_text(open_metrics), expected);
    }
}
