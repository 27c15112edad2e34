//! The frontier as SVG: few false rollbacks to the left, few bad responses at the bottom.

use std::fmt::Write as _;

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Whose.
    pub family: &'static str,
    /// Its number in the legend.
    pub number: usize,
    /// Share of good versions that were thrown away.
    pub false_rollbacks: f64,
    /// Mean number of bad responses served.
    pub bad: f64,
    /// Share of the bad versions that were promoted.
    pub missed: f64,
}

/// One panel: a fault, and what each setting did.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Its title.
    pub title: String,
    /// The settings.
    pub points: Vec<Point>,
}

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 40.0;

fn colour(family: &str) -> &'static str {
    match family {
        "MicroApp" => "#0072b2",
        "Flagger" => "#d55e00",
        "Argo" => "#009e73",
        _ => "#cc79a7",
    }
}

/// The x of a share: its square root, so that the small ones are apart.
fn x(share: f64) -> f64 {
    LEFT + share.clamp(0.0, 1.0).sqrt() * (WIDTH - LEFT - 20.0)
}

/// The y of a number of bad responses, from 1 to 100 000, in logarithms.
fn y(bad: f64) -> f64 {
    TOP + HEIGHT - 60.0 - libm::log10(bad.clamp(1.0, 1e5)) / 5.0 * (HEIGHT - 80.0)
}

/// The whole picture; `legend` names the numbers.
pub fn svg(panels: &[Panel], legend: &[&str]) -> String {
    let width = WIDTH * panels.len() as f64;
    let rows = legend.len().div_ceil(panels.len().max(1)) as f64;
    let height = HEIGHT + 40.0 + rows * 18.0 + 20.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        let _ = writeln!(out, "<g transform=\"translate({} 0)\">", index as f64 * WIDTH);
        axes(&mut out, panel);
        for point in &panel.points {
            mark(&mut out, point);
        }
        out.push_str("</g>\n");
    }
    for (index, name) in legend.iter().enumerate() {
        let (column, row) = (index % panels.len().max(1), index / panels.len().max(1));
        let (left, top) = (column as f64 * WIDTH + 20.0, HEIGHT + 50.0 + row as f64 * 18.0);
        let _ = writeln!(out, "<text x=\"{left}\" y=\"{top}\">{}: {}</text>", index + 1, escape(name));
    }
    out.push_str("</svg>\n");
    out
}

fn axes(out: &mut String, panel: &Panel) {
    let (bottom, right) = (y(1.0), x(1.0));
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"22\" font-weight=\"bold\">{}</text>", escape(&panel.title));
    for share in [0.0, 0.01, 0.05, 0.2, 0.5, 1.0] {
        let at = x(share);
        let _ = writeln!(
            out,
            "<line x1=\"{at:.1}\" y1=\"{:.1}\" x2=\"{at:.1}\" y2=\"{bottom:.1}\" stroke=\"#ddd\"/>",
            y(1e5)
        );
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 15.0,
            share * 100.0
        );
    }
    for power in 0..=5 {
        let (bad, label) = (10_f64.powi(power), 10_u64.pow(power.unsigned_abs()));
        let at = y(bad);
        let _ = writeln!(out, "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>");
        let _ = writeln!(out, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, at + 4.0);
    }
    let middle = f64::midpoint(LEFT, right);
    let _ = writeln!(
        out,
        "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">good versions thrown away, %</text>",
        bottom + 32.0
    );
    let center = f64::midpoint(y(1e5), bottom);
    let _ = writeln!(
        out,
        "<text transform=\"translate(14 {center:.1}) rotate(-90)\" text-anchor=\"middle\">bad responses served, mean</text>"
    );
}

/// Filled where every bad version was found, hollow where some were promoted.
fn mark(out: &mut String, point: &Point) {
    let (at, up, colour) = (x(point.false_rollbacks), y(point.bad), colour(point.family));
    let fill = if point.missed > 0.0 { "white" } else { colour };
    let _ = writeln!(
        out,
        "<circle cx=\"{at:.1}\" cy=\"{up:.1}\" r=\"5\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
        at + 7.0,
        up - 4.0,
        point.number
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
