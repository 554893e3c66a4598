//! Loops, written down point by point or not.

use super::{Compiled, LowerOptions, check_with, contents, levels, lowered_for_16_lanes};
use lazulite_ir::parse_kernel;

/// Loops on either side of the number of points that are written down one by one.
#[test]
fn loops_of_few_points_are_like_others() {
    for (down, across) in [(4usize, 4usize), (4, 5), (1, 16), (17, 1), (3, 3)] {
        for (lanes, ordered) in [("outer", ""), ("outer", " ordered"), ("none", "")] {
            let text = format!(
                "kernel(b0: f32 read, b1: f32 read, b2: f32 write) {{ outer o0 < 2, o1 < 21 lanes {lanes}
                stage i0 < {down}, i1 < {across}{ordered} {{
                    v0 = in_range 0 <= o1 + i1 - 1 < 21 : bool
                    v1 = load b0[o0*21*{down} + i0*21 + o1 + i1 - 1] if v0 : f32
                    v2 = load b1[i0*{across} + i1] : f32
                    v3 = mul v1, v2 : f32
                    v4 = accumulate sum v3 : f32
                }}
                stage {{ store b2[o0*21 + o1] = v4 }} }}"
            );
            check_with(&text, &[2 * 21 * down, down * across, 42], &[]);
        }
    }
}

/// A kernel that reduces columns: `{rows}` of `{columns}`, for each of two matrices.
fn reduction(sum: &str, term: &str, rows: usize, columns: usize) -> String {
    format!(
        "kernel(b0: {term} read, b1: {sum} read, b2: {sum} read, b3: {sum} write, b4: {sum} write) {{
        outer o0 < 2, o1 < {columns} lanes outer
        stage i0 < {rows} {{
            v0 = load b0[o0*{rows}*{columns} + i0*{columns} + o1] : {term}
            v1 = cast v0 : {sum}
            v2 = load b1[o1] : {sum}
            v3 = load b2[i0] : {sum}
            v4 = add v1, v2 : {sum}
            v5 = mul v4, v3 : {sum}
            v6 = accumulate sum v5 : {sum}
            v7 = accumulate max v1 : {sum}
        }}
        stage {{
            v8 = load b1[o1] : {sum}
            v9 = add v6, v8 : {sum}
            store b3[o0*{columns} + o1] = v9
            store b4[o0*{columns} + o1] = v7
        }} }}"
    )
}

/// Columns that are swept row by row, with a rest of rows and of columns, in blocks of rows, with values of columns and of
/// rows, of several accumulators and types: to the bit what they are when they are not swept.
#[test]
fn swept_columns_are_like_others() {
    let types = ["f32", "f64", "i64"].map(|t| (t, t)).into_iter();
    for (sum, term) in types.chain([("i64", "u8"), ("f32", "bf16")]) {
        for (rows, columns) in [(16, 1024), (27, 1056), (21, 2065), (4099, 1030)] {
            if rows > 4096 && (sum, term) != ("f32", "f32") {
                continue;
            }
            let text = reduction(sum, term, rows, columns);
            let kernel = parse_kernel(&text).unwrap();
            let lens = [2 * rows * columns, columns, rows, 2 * columns, 2 * columns];
            let lens = kernel.buffers.iter().zip(lens).enumerate();
            let buffers: Vec<Vec<u8>> = lens
                .map(|(n, (decl, len))| contents(decl.dtype, len, n as u64 + 1))
                .collect();
            for level in levels() {
                let compiled = |large_from| {
                    let options = LowerOptions {
                        large_from: Some(large_from),
                        ..LowerOptions::default()
                    };
                    Compiled::new(&kernel, level, options)
                };
                let (swept, plain) = (compiled(0), compiled(i64::MAX));
                assert!(swept.lowered.lane_multiple >= 512, "{kernel}");
                let expected = plain.run(&buffers, &[], None).buffers;
                for points in [None, Some(1)] {
                    let found = swept.run(&buffers, &[], points).buffers;
                    assert!(
                        found == expected,
                        "{level:?}, parts of {points:?}\n{kernel}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_small_or_dear_or_leaves_no_shares_is_not_swept() {
    let share = |text: &str| lowered_for_16_lanes(text, LowerOptions::default()).lane_multiple;
    let swept = |rows, columns| share(&reduction("f32", "f32", rows, columns));
    assert_eq!((swept(4096, 4096), swept(4096, 1500)), (1024, 512));
    // Too few columns, too few rows, and what lies in the caches.
    for (rows, columns) in [(4096, 1000), (15, 1 << 20), (16, 4096)] {
        assert!(swept(rows, columns) <= 256, "{rows} rows of {columns}");
    }
    let one = |text: &str| text.replace("outer o0 < 2,", "outer o0 < 1,");
    assert!(share(&one(&reduction("f32", "f32", 4096, 2000))) <= 256);
    assert_eq!(share(&one(&reduction("f32", "f32", 4096, 2048))), 512);
    let dear = reduction("f32", "f32", 4096, 4096).replace("v5 = mul v4, v3", "v5 = pow v4, v3");
    assert!(share(&dear) <= 256);
}
