//! Looking inside: where operations come from, what was done to them, and the forms in which that is shown.

use lazulite::inspect::{
    Format, GraphReport, NodeReport, Report, ReportOptions, SCHEMA, Stage, report, report_text,
};
use lazulite::prelude::*;
use lazulite::{Scope, grad};

fn until(stage: Stage) -> ReportOptions {
    ReportOptions {
        until: stage,
        ..ReportOptions::default()
    }
}

fn all(tensor: &Tensor) -> Report {
    tensor.report(&ReportOptions::default()).unwrap()
}

/// The operations of this kind in the program's graph.
fn found<'g>(graph: &'g GraphReport, op: &str) -> Vec<&'g NodeReport> {
    graph.nodes.iter().filter(|n| n.op == op).collect()
}

fn known(dims: &[usize]) -> Tensor {
    Tensor::ones(dims.to_vec()).realize().unwrap()
}

#[test]
fn operations_know_this_files_lines_up_to_kernels() {
    let x = known(&[64, 32]);
    let exp = (&x * 1.0).exp();
    let line = line!() - 1;
    let y = {
        let _scope = Scope::open("head");
        exp.sum(-1)
    };
    let report = all(&y);
    for stage in [Stage::Trace, Stage::Canon, Stage::Complex, Stage::Schedule] {
        let graph = &report.graphs(stage)[0];
        let exp = found(graph, "exp")[0].source.clone().unwrap();
        assert_eq!((exp.line, &*exp.file), (line, file!()), "{stage}");
        assert_eq!(&*found(graph, "reduce")[0].trail, "head", "{stage}");
    }
}

#[test]
fn equal_operations_keep_all_their_lines() {
    let x = known(&[8]);
    let first = x.exp();
    let second = x.exp();
    let line = line!() - 1;
    let report = all(&(first + second.neg()));
    let exp = report.graphs(Stage::Canon)[0].clone();
    let exp = found(&exp, "exp");
    assert_eq!(exp.len(), 1);
    assert_eq!(
        exp[0].also.iter().map(|s| s.line).collect::<Vec<_>>(),
        [line]
    );
}

#[test]
fn rules_are_named_by_what_they_made() {
    let text = "graph(%0: f32[4]) {\n  %1 = neg %0 : f32[4]\n  %2 = neg %1 : f32[4]\n  \
                %3 = exp %2 : f32[4]\n  return %3\n}\n";
    let report = report_text(text, &until(Stage::Schedule)).unwrap();
    let before = &report.graphs(Stage::Inline)[0];
    assert!(before.nodes.iter().all(|n| n.rules.is_empty()));
    let after = &report.graphs(Stage::Canon)[0];
    assert_eq!(after.nodes.len(), 2);
    // The negations are gone, and what is left of them says by which rule.
    assert_eq!(after.nodes[0].rules.len(), 1, "{:?}", after.nodes[0]);
    let json = report.render(Stage::Canon, Format::Json).unwrap();
    assert!(json.contains(&format!(
        "\"name\":\"{}\",\"why\":\"",
        after.nodes[0].rules[0]
    )));
}

#[test]
fn rules_of_the_egraph_give_their_reasons() {
    let (a, b, c) = (known(&[64, 64]), known(&[64, 64]), known(&[64, 64]));
    let report = all(&(a.matmul(&b) + a.matmul(&c)));
    assert!(report.stages().contains(&Stage::Egraph));
    let graphs = report.graphs(Stage::Egraph);
    let json = report.render(Stage::Egraph, Format::Json).unwrap();
    for rule in graphs[0].nodes.iter().flat_map(|n| &n.rules) {
        assert!(
            !json.contains(&format!("\"name\":\"{rule}\",\"why\":\"\"")),
            "{rule}"
        );
    }
}

#[test]
fn groups_are_kernels_and_say_why_they_end() {
    let (x, w) = (known(&[512, 512]), known(&[512, 512]));
    let scores = x.matmul(&w).exp();
    let sums = scores.sum(0) + 1.0;
    let report = all(&sums);
    let graph = &report.graphs(Stage::Schedule)[0];
    assert_eq!(graph.groups[0].kind, "product");
    let reduce = found(graph, "reduce");
    let groups = |n: &NodeReport| n.scheduled.as_ref().unwrap().groups.clone();
    assert_ne!(groups(reduce[0]), [0]);
    let cuts: Vec<&str> = graph
        .groups
        .iter()
        .flat_map(|g| &g.cuts)
        .map(|c| &*c.why)
        .collect();
    assert!(cuts.iter().any(|why| why.contains("tiles")), "{cuts:?}");
    // Every launch belongs to a group, and every group knows its launches.
    for launch in report.launches() {
        let (at, group) = launch.group.unwrap();
        assert_eq!(at, 0);
        assert!(
            graph.groups[group as usize]
                .launches
                .contains(&launch.number)
        );
        assert!(launch.predicted.unwrap() > 0.0 && launch.bytes.unwrap()[0] > 0);
    }
    let text = report.explain().to_string();
    assert!(
        text.contains("not in product 0: that kernel finishes tiles"),
        "{text}"
    );
    assert!(text.contains("tests/inspection.rs:"), "{text}");
}

#[test]
fn gradients_are_a_stage_of_their_own() {
    let mut x = known(&[4, 3]);
    x.requires_grad_(true);
    let loss = x.exp().sum(..);
    let g = grad(&[&loss], &[&x]).unwrap();
    let report = report(&[&g[0]], &ReportOptions::default()).unwrap();
    let (trace, whole) = (
        &report.graphs(Stage::Trace)[0],
        &report.graphs(Stage::Grad)[0],
    );
    assert!(
        trace.nodes.iter().all(|n| !n.trail.contains("backward")),
        "{trace:?}"
    );
    assert!(trace.nodes.len() < whole.nodes.len());
    assert_eq!(found(trace, "reduce").len(), 1);
    // Without gradients there is none, and the message says so.
    let plain = all(&x.exp());
    let error = plain.render(Stage::Grad, Format::Text).unwrap_err();
    assert!(error.to_string().contains("takes no gradients"), "{error}");
    assert!(plain.notes()[0].contains("no gradients"));
}

#[test]
fn every_stage_has_every_form() {
    let report = all(&known(&[16, 8]).softmax(-1));
    for stage in report.stages() {
        for format in [Format::Text, Format::Dot, Format::Json, Format::Html] {
            let shown = report.render(stage, format).unwrap();
            assert!(!shown.is_empty(), "{stage} {format:?}");
        }
    }
    let native = report.render(Stage::Native, Format::Text).unwrap();
    assert!(native.contains("ret") && native.contains("L1:"), "{native}");
    let kernel = report.render(Stage::Kernel, Format::Text).unwrap();
    assert!(
        kernel.contains("; launch 0: k0(b0, b1), reads 512 bytes, writes 512, predicted"),
        "{kernel}"
    );
}

#[test]
fn kernels_are_measured_on_random_inputs() {
    let text = "graph(%0: f32[n, 64], %1: i64[n]) {\n  %2 = reduce %0 {kind=sum, axes=[1]} : f32[n]\n  \
                %3 = gather %2, %1 {axes=[0]} : f32[n]\n  return %3\n}\n";
    let mut options = ReportOptions {
        measure: true,
        ..ReportOptions::default()
    };
    let error = report_text(text, &options).err().unwrap();
    assert!(error.to_string().contains("a value for n"), "{error}");
    options.sizes = vec![("n".into(), 128)];
    let report = report_text(text, &options).unwrap();
    assert!(
        report
            .launches()
            .iter()
            .all(|l| l.measured.is_some_and(|t| t > 0.0))
    );
    options.sizes = vec![("m".into(), 128)];
    let error = report_text(text, &options).err().unwrap();
    assert!(error.to_string().contains("its sizes are n"), "{error}");
}

/// A model whose weights are packed, beside a product of two values, which packs nothing.
fn model() -> lazulite::Exported {
    let hidden = Tensor::randn([96, 64]).realize().unwrap();
    let output = Tensor::randn([64, 32]).realize().unwrap();
    let spec = lazulite::spec!(f32["n", 96]);
    let exported = lazulite::export(
        |[x]| {
            let y = x.matmul(&hidden).gelu().matmul(&output);
            y.matmul(&y.t()).softmax(-1)
        },
        &[spec],
    );
    exported.unwrap()
}

#[test]
fn times_stand_at_the_launches_that_ran() {
    let options = ReportOptions {
        measure: true,
        sizes: vec![("n".into(), 16)],
        ..ReportOptions::default()
    };
    let report = model().report(&options).unwrap();
    let text = report.render(Stage::Memory, Format::Text).unwrap();
    let (run, prepared) = text.split_once("; once, for the weights").unwrap();
    let steps = |plan: &str| {
        let (_, steps) = plan.split_once("  steps {").unwrap();
        let launches = steps
            .lines()
            .filter(|l| l.contains(": k") || l.contains("contract"));
        launches.count()
    };
    let (once, every): (Vec<_>, Vec<_>) =
        { report.launches().into_iter() }.partition(|launch| launch.once);
    assert_eq!(
        (every.len(), once.len()),
        (steps(run), steps(prepared)),
        "{text}"
    );
    assert!(!once.is_empty());
    // What ran has a time, what was done before has none.
    assert!(every.iter().all(|l| l.measured.is_some_and(|t| t > 0.0)));
    assert!(once.iter().all(|l| l.measured.is_none()));
    // Kernels are those of the steps: what the program calls k2 is number 2, and what is done once comes behind.
    let kernels = report.kernels();
    let body = |number: u32| {
        kernels[number as usize]
            .ir
            .lines()
            .nth(1)
            .unwrap()
            .trim()
            .to_owned()
    };
    for launch in &every {
        let Some(number) = launch.kernel else {
            continue;
        };
        let (_, from) = run.split_once(&format!("  k{number} = ")).unwrap();
        assert_eq!(
            from.lines().nth(1).unwrap().trim(),
            body(number),
            "{launch:?}"
        );
        assert!(run.contains(&format!("k{number}(")), "{launch:?}");
    }
    for launch in &once {
        let behind = every.iter().filter_map(|l| l.kernel).max().unwrap();
        assert!(launch.kernel.is_some_and(|k| k > behind), "{launch:?}");
    }
    // All forms say so.
    let kernels = report.render(Stage::Kernel, Format::Text).unwrap();
    let lines: Vec<&str> = kernels
        .lines()
        .filter(|l| l.starts_with("; launch"))
        .collect();
    assert!(
        lines
            .iter()
            .all(|l| l.contains("measured") != l.contains("once, for the weights"))
    );
    for stage in [Stage::Schedule, Stage::Memory] {
        let json = report.render(stage, Format::Json).unwrap();
        assert_eq!(json.matches("\"measured_ns\"").count(), every.len());
        assert_eq!(json.matches("\"once\":true").count(), once.len());
    }
}

#[test]
fn explanations_count_what_runs_and_what_is_done_once() {
    let report = model().report(&until(Stage::Schedule)).unwrap();
    let text = report.explain().to_string();
    let launches = |line: &str, when: &str| -> usize {
        let before = line.split(when).next().filter(|b| b.len() < line.len());
        let words = before.map(|b| b.split_whitespace().rev().nth(1).unwrap());
        words.map_or(0, |count| count.parse().unwrap())
    };
    for when in [" in every run", " once, for the weights"] {
        let all: Vec<usize> = text.lines().map(|line| launches(line, when)).collect();
        assert!(all[0] > 0 && all[0] == all[1..].iter().sum(), "{text}");
    }
    let (once, run): (Vec<_>, Vec<_>) = report.launches().into_iter().partition(|l| l.once);
    assert_eq!(
        launches(text.lines().next().unwrap(), " in every run"),
        run.len()
    );
    assert_eq!(
        launches(text.lines().next().unwrap(), " once, for the weights"),
        once.len()
    );
}

#[test]
fn compiled_and_exported_functions_have_reports() {
    let w = known(&[8, 4]);
    let function = compile(|[x]: [Tensor; 1]| x.matmul(&w).relu());
    let report = function
        .report([&known(&[2, 8])], &ReportOptions::default())
        .unwrap();
    assert_eq!(report.launches().last().unwrap().measured, None);
    let exported = lazulite::export(|[x]| x.matmul(&w), &[lazulite::spec!(f32["n", 8])]).unwrap();
    let report = exported.report(&ReportOptions::default()).unwrap();
    let graph = &report.graphs(Stage::Trace)[0];
    let names: Vec<&str> = graph
        .nodes
        .iter()
        .filter_map(|n| n.name.as_deref())
        .collect();
    assert_eq!(names.len(), 2);
    // Open sizes leave bytes open, but not the formula.
    let launches = report.launches();
    assert!(
        launches
            .iter()
            .any(|l| l.bytes.is_none() && l.bytes_text[0].contains('n'))
    );
}

/// A name that would end a script, a label, a string or a comment.
const HOSTILE: &str = "</script><script>alert(1)//\"'\\ --> <!-- & \u{2028}\n";

#[test]
fn pages_stand_alone_and_hostile_names_are_text() {
    let y = {
        let _scope = Scope::open(HOSTILE);
        known(&[4]).exp()
    };
    let report = all(&y).with_title(HOSTILE);
    let page = report.render(Stage::Schedule, Format::Html).unwrap();
    for outside in ["http:", "https:", "src=", "@import", "url(", "//cdn"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("<script>alert"));
    assert_eq!(page.matches("</script>").count(), 2);
    let dot = report.render(Stage::Canon, Format::Dot).unwrap();
    let unescaped = dot.replace("\\\\", "").replace("\\\"", "");
    assert_eq!(unescaped.matches('"').count() % 2, 0, "{dot}");
    let json = report.render(Stage::Canon, Format::Json).unwrap();
    assert!(!json.contains("</script>") && !json.contains('\u{2028}'));
}

const GOLDEN: &str = "\
graph(%0: f32[2, 3] @ \"model.rs\":3:9) {
  %1 = const {value=f32(2.0)} : f32[]
  %2 = reshape %1 {dims=[1, 1]} : f32[1, 1]
  %3 = expand %2 {dims=[2, 3]} : f32[2, 3]
  %4 = mul %0, %3 : f32[2, 3] @ \"model.rs\":4:9 in \"scale\"
  %5 = reduce %4 {kind=sum, axes=[1]} : f32[2] @ \"model.rs\":5:9
  return %5
}
";

#[test]
fn text_reads_back() {
    let report = report_text(GOLDEN, &until(Stage::Trace)).unwrap();
    let text = report.render(Stage::Trace, Format::Text).unwrap();
    let again = report_text(&text, &until(Stage::Trace)).unwrap();
    assert_eq!(text, again.render(Stage::Trace, Format::Text).unwrap());
}

#[test]
fn dot_is_what_it_was() {
    let report = report_text(GOLDEN, &until(Stage::Trace)).unwrap();
    let dot = report.render(Stage::Trace, Format::Dot).unwrap();
    let body: Vec<&str> = dot.lines().skip(3).collect();
    assert_eq!(
        body,
        [
            r#"    n0_0 [label="input\nf32[2, 3]", tooltip="model.rs:3:9"];"#,
            r#"    n0_4 [label="mul 2.0\nf32[2, 3]", tooltip="model.rs:4:9 in scale"];"#,
            r#"    n0_5 [label="reduce\nf32[2]", tooltip="model.rs:5:9"];"#,
            "  n0_0 -> n0_4;",
            "  n0_4 -> n0_5;",
            "  out0_0 [label=\"result 0\", shape=plaintext];",
            "  n0_5 -> out0_0;",
            "}",
        ]
    );
}

#[test]
fn json_is_what_its_description_says() {
    let report = report_text(GOLDEN, &until(Stage::Schedule))
        .unwrap()
        .with_title("golden");
    let json = report.render(Stage::Trace, Format::Json).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        format!(r#"{{"schema":"{SCHEMA}","version":"{version}","title":"golden","#),
        r#""notes":["The program takes no gradients: there is no stage grad."],"versions":[],"sizes":{},"#.into(),
        r#""stages":[{"name":"trace","about":"as it was recorded","rules":[],"graphs":[{"title":"program","nodes":["#.into(),
        r#"{"id":0,"op":"input","class":"parameter","attributes":"index=0, ty=f32[2, 3]","type":"f32[2, 3]","bytes":24,"inputs":[],"source":{"file":"model.rs","line":3,"column":9}},"#.into(),
        r#"{"id":1,"op":"const","class":"leaf","attributes":"value=f32(2.0)","type":"f32[]","bytes":4,"inputs":[],"number":"2.0"},"#.into(),
        r#"{"id":2,"op":"reshape","class":"view","attributes":"dims=[1, 1]","type":"f32[1, 1]","bytes":4,"inputs":[1],"number":"2.0"},"#.into(),
        r#"{"id":3,"op":"expand","class":"view","attributes":"dims=[2, 3]","type":"f32[2, 3]","bytes":24,"inputs":[2],"number":"2.0"},"#.into(),
        r#"{"id":4,"op":"mul","class":"pointwise","type":"f32[2, 3]","bytes":24,"inputs":[0,3],"source":{"file":"model.rs","line":4,"column":9},"trail":"scale"},"#.into(),
        r#"{"id":5,"op":"reduce","class":"aggregate","attributes":"kind=sum, axes=[1]","type":"f32[2]","bytes":8,"inputs":[4],"source":{"file":"model.rs","line":5,"column":9}}"#.into(),
        "],\"outputs\":[5]}]}]}\n".into(),
    ]
    .concat();
    assert_eq!(json, expected);
    let schedule = report.render(Stage::Schedule, Format::Json).unwrap();
    for part in [
        r#""groups":[{"number":0,"kind":"kernel","title":"mul, reduce","members":[5],"launches":[0]}]"#,
        r#""groups":[0],"value":"inline""#,
        r#""groups":[0],"value":"memory","why":"it is a result of the program""#,
        r#""kernels":[{"number":0,"launches":[0],"ir":"kernel("#,
        r#""launches":[{"number":0,"kind":"kernel","text":"k0(b0, b1)","kernel":0,"graph":0,"group":0"#,
    ] {
        assert!(schedule.contains(part), "{part}\n{schedule}");
    }
}

#[test]
fn files_are_described_and_others_refused() {
    let folder = std::env::temp_dir().join(format!("lazulite-inspection-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let model = folder.join("model.lzl");
    let w = Tensor::from_vec(vec![1.0f32, -3.0, 0.0, f32::NAN], [2, 2]);
    let exported = lazulite::export(|[x]| x.matmul(&w), &[lazulite::spec!(f32["batch", 2])]);
    exported.unwrap().save(&model).unwrap();
    let shown = lazulite::inspect::file(&model, true).unwrap().to_string();
    for part in [
        "exported model",
        "f32[batch, 2]",
        "open sizes   batch",
        "-3.0000 to 1.0000",
        "1 zero, 1 NaN",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let other = folder.join("notes.txt");
    std::fs::write(&other, "x").unwrap();
    let error = lazulite::inspect::file(&other, false)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(".safetensors") && error.contains("notes.txt"),
        "{error}"
    );
    let missing = lazulite::inspect::file(folder.join("no.npy"), false).unwrap_err();
    assert!(missing.to_string().contains("no.npy"), "{missing}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn archives_and_executables_can_be_looked_at_and_models_fill_their_files() {
    let folder = std::env::temp_dir().join(format!("lazulite-inspect-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let w = known(&[3, 2]);
    let archive = folder.join("w.npz");
    lazulite::save_tensors(&archive, &[("w", &w)]).unwrap();
    let report = lazulite::inspect::file(&archive, false).unwrap();
    assert_eq!(report.tensors[0].ty, "f32[3, 2]");

    let exported = lazulite::export(|[x]| x.matmul(&w), &[lazulite::spec!(f32["n", 3])]).unwrap();
    let (model, program) = (folder.join("m.lzl"), folder.join("m"));
    exported.save(&model).unwrap();
    exported.build_executable(&program).unwrap();
    let report = lazulite::inspect::file(&program, true).unwrap();
    assert_eq!(report.kind, "executable model");
    assert!(report.to_string().contains("f32[n, 3]"), "{report}");
    assert_eq!(report.tensors.len(), 1);

    let mut bytes = std::fs::read(&model).unwrap();
    bytes.push(0);
    std::fs::write(&model, bytes).unwrap();
    let error = lazulite::Exported::load(&model).map(drop).unwrap_err();
    assert!(error.to_string().contains("behind its end"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}
