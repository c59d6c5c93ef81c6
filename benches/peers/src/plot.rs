//! A plot as SVG: both axes logarithmic, a line for each work, its name at its end.

use std::fmt::Write;

pub struct Line {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 270.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#c0392b", "#2e7d32", "#8e44ad", "#b9770e", "#555555"];

/// Powers of ten around all values.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = values.fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)));
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    (low, if high > low { high } else { low + 1.0 })
}

pub fn plot(title: &str, across: &str, up: &str, lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    if all().next().is_none() {
        return String::new();
    }
    let (x0, x1) = decades(all().map(|p| p.0));
    let (y0, y1) = decades(all().map(|p| p.1.max(0.1)));
    let x = |v: f64| LEFT + (v.log10() - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT);
    let y = |v: f64| HEIGHT - BOTTOM - (v.max(0.1).log10() - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{title}</text>\n\
         <text x=\"{LEFT}\" y=\"{}\">{up}</text>\n<text x=\"{}\" y=\"{}\">{across}</text>\n",
        TOP - 8.0,
        WIDTH - RIGHT + 8.0,
        HEIGHT - BOTTOM + 4.0
    );
    for decade in x0 as i32..=x1 as i32 {
        let value = 10f64.powi(decade);
        grid(&mut svg, (x(value), TOP), (x(value), HEIGHT - BOTTOM));
        label(&mut svg, (x(value), HEIGHT - BOTTOM + 18.0), "middle", value);
    }
    for decade in y0 as i32..=y1 as i32 {
        let value = 10f64.powi(decade);
        grid(&mut svg, (LEFT, y(value)), (WIDTH - RIGHT, y(value)));
        label(&mut svg, (LEFT - 6.0, y(value) + 4.0), "end", value);
    }
    let mut names: Vec<(f64, &str, &str)> = Vec::new();
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points: String = line.points.iter().fold(String::new(), |mut out, (a, b)| {
            let _ = write!(out, "{:.1},{:.1} ", x(*a), y(*b));
            out
        });
        writeln!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>")
            .unwrap();
        for (a, b) in &line.points {
            writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*a), y(*b))
                .unwrap();
        }
        if let Some((_, last)) = line.points.last() {
            names.push((y(*last), line.name, colour));
        }
    }
    // Names that would lie on one another move down.
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut floor = 0.0;
    for (at, name, colour) in names {
        floor = f64::max(at, floor + 15.0);
        let left = WIDTH - RIGHT + 8.0;
        writeln!(svg, "<text x=\"{left}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>", floor + 4.0).unwrap();
    }
    svg + "</svg>\n"
}

fn grid(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let ends = format!("x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"");
    writeln!(svg, "<line {ends} stroke=\"#dddddd\"/>").unwrap();
}

fn label(svg: &mut String, (x, y): (f64, f64), anchor: &str, value: f64) {
    let text = match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e3 => format!("{} k", v / 1e3),
        v => v.to_string(),
    };
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>").unwrap();
}
