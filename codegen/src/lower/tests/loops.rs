//! Loops, written down point by point or not.

use super::{LowerOptions, check_with, lowered_for_16_lanes};

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

/// Columns that are swept row by row: with a rest of rows and of columns, in blocks of rows, with values of columns and of
/// rows, and of several accumulators.
#[test]
fn swept_columns_are_like_others() {
    let kernel = |rows: usize, columns: usize| {
        format!(
            "kernel(b0: f32 read, b1: f32 read, b2: f32 read, b3: f32 write, b4: f32 write) {{
            outer o0 < {columns} lanes outer
            stage i0 < {rows} {{
                v0 = load b0[i0*{columns} + o0] : f32
                v1 = load b1[o0] : f32
                v2 = load b2[i0] : f32
                v3 = add v0, v1 : f32
                v4 = add v3, v2 : f32
                v5 = accumulate sum v4 : f32
                v6 = accumulate max v0 : f32
            }}
            stage {{
                v7 = load b1[o0] : f32
                v8 = add v5, v7 : f32
                store b3[o0] = v8
                store b4[o0] = v6
            }} }}"
        )
    };
    // The sums are exact, in any order.
    for (rows, columns) in [(16, 1024), (27, 1031), (21, 2065), (4099, 1030)] {
        let lens = [rows * columns, columns, rows, columns, columns];
        check_with(&kernel(rows, columns), &lens, &[]);
    }
    let strip = |text: &str| lowered_for_16_lanes(text, LowerOptions::default()).lane_multiple;
    assert_eq!(strip(&kernel(4096, 4096)), 1024);
    assert_eq!(strip(&kernel(4096, 1500)), 512);
    // Too few columns, too few rows, and what lies in the caches.
    for (rows, columns) in [(4096, 1000), (15, 1 << 20), (16, 4096)] {
        let points = strip(&kernel(rows, columns));
        assert!(points <= 256, "{rows} rows of {columns}: {points}");
    }
}
