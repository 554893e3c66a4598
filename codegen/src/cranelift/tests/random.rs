//! Random programs of every construct.

use super::{backends, execute};
use crate::vector::arbitrary::{Program, programs};
use proptest::prelude::*;

fn check(program: &Program) {
    let (expected, fault) = program.interpret().unwrap();
    let fault = fault.map(|f| (u64::from(f.fault), f.value, f.bound));
    for (level, backend) in backends().iter().enumerate() {
        let buffers = [program.input.clone(), vec![0; program.output]];
        let (buffers, found) = execute(
            backend,
            &program.function,
            &buffers,
            &program.sizes,
            &[(0, 5), (2, 3)],
        );
        assert_eq!(found, fault, "level {level}");
        if let Some(difference) = program.difference(&buffers[1], &expected) {
            panic!("level {level}: {difference}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn programs_of_four_lanes(program in programs(4)) {
        check(&program);
    }

    #[test]
    fn programs_of_one_lane(program in programs(1)) {
        check(&program);
    }
}
