//! Loops, written down point by point or not.

use super::check_with;

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
