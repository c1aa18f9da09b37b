use proptest::prelude::*;

use super::*;
use crate::pattern::{Options, Pattern};

/// Operators that the prefilter allows.
fn allowed(prefilter: &Prefilter, value: &[u8], operators: usize) -> Vec<usize> {
    let mut words = vec![0; operators.div_ceil(64)];
    prefilter.scan(value, &ByteSet::of(value), &mut words);
    (0..operators).filter(|operator| words[operator / 64] & 1 << (operator % 64) != 0).collect()
}

const NONE: [usize; 0] = [];

fn literals(all: &[&str]) -> Clause {
    Clause::Literals(all.iter().map(|literal| literal.as_bytes().into()).collect())
}

fn fulfilled(needs: &Needs, value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    value.len() >= needs.length
        && needs.clauses.iter().all(|clause| match clause {
            Clause::Bytes(set) => set.meets(&ByteSet::of(value)),
            Clause::Literals(all) => all.iter().any(|literal| memchr::memmem::find(&lower, literal).is_some()),
        })
}

#[test]
fn chooses_by_literals_bytes_and_length() {
    let needs = [
        Some(Needs { clauses: vec![literals(&["select", "union"])], length: 6 }),
        Some(Needs { clauses: vec![literals(&["curl", "'"]), Clause::Bytes(ByteSet::list(b"|;"))], length: 0 }),
        None,
        Some(Needs { clauses: vec![Clause::Bytes(ByteSet::list(b"<"))], length: 3 }),
        Some(Needs { clauses: vec![literals(&["ect"])], length: 0 }),
    ];
    let prefilter = Prefilter::new(&needs);
    let allowed = |value: &str| allowed(&prefilter, value.as_bytes(), needs.len());
    assert_eq!(allowed("red shoes"), NONE);
    assert_eq!(allowed("1 UNION SELECT"), [0, 4]);
    assert_eq!(allowed("union"), NONE, "too short");
    assert_eq!(allowed("; cUrl"), [1]);
    assert_eq!(allowed("curl"), NONE);
    assert_eq!(allowed("';"), [1]);
    assert_eq!(allowed("<a"), NONE);
    assert_eq!(allowed("<a>"), [3]);
}

#[test]
fn many_literals_stay_small_and_are_found() {
    // Words of all bytes, many more than the table has room for.
    let words: Vec<Box<[u8]>> = (0..10_000_u32)
        .map(|number| {
            number.wrapping_mul(2_654_435_761).to_be_bytes().iter().chain(b"tail").map(u8::to_ascii_lowercase).collect()
        })
        .collect();
    let needs: Vec<_> = words
        .chunks(100)
        .map(|chunk| Some(Needs { clauses: vec![Clause::Literals(chunk.to_vec())], length: 8 }))
        .collect();
    let prefilter = Prefilter::new(&needs);
    assert!(prefilter.automaton.size() < 5 << 20, "{} bytes", prefilter.automaton.size());
    for (number, word) in words.iter().enumerate().step_by(997) {
        assert!(allowed(&prefilter, word, needs.len()).contains(&(number / 100)));
    }
}

#[test]
fn more_clauses_than_are_kept_only_allow_more() {
    let needs: Vec<_> = (0..MAX_CLAUSES + 100)
        .map(|number| Some(Needs { clauses: vec![literals(&[&format!("w{number:05}")])], length: 0 }))
        .collect();
    let prefilter = Prefilter::new(&needs);
    assert_eq!(allowed(&prefilter, b"-w00007-", needs.len())[0], 7);
    let last = needs.len() - 1;
    assert!(allowed(&prefilter, format!("w{last:05}").as_bytes(), needs.len()).contains(&last));
}

proptest! {
    #[test]
    fn allows_whatever_fulfils_the_needs(
        operators in proptest::collection::vec(
            (proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec("[ab<]{1,3}|[a-c']{1,12}", 1..4).prop_map(|all| Clause::Literals(
                        all.iter().map(|text| text.as_bytes().into()).collect())),
                    "[abAB<']{1,2}".prop_map(|text| Clause::Bytes(ByteSet::of(text.as_bytes()))),
                ], 1..4), 0..4_usize), 1..80),
        values in proptest::collection::vec("[abcABC<' ]{0,12}", 1..8),
    ) {
        let needs: Vec<_> =
            operators.into_iter().map(|(clauses, length)| Some(Needs { clauses, length })).collect();
        let prefilter = Prefilter::new(&needs);
        for value in values {
            let allowed_here = allowed(&prefilter, value.as_bytes(), needs.len());
            for (operator, needs) in needs.iter().enumerate() {
                prop_assert!(
                    !fulfilled(needs.as_ref().unwrap(), value.as_bytes()) || allowed_here.contains(&operator),
                    "{operator} on {value:?}"
                );
            }
            prop_assert_eq!(allowed_here, allowed(&prefilter, value.to_ascii_lowercase().as_bytes(), needs.len()));
        }
    }
}

/// `cargo test --release prefilter_speed -- --ignored --nocapture`
#[test]
#[ignore = "prints times and asserts nothing; run it by its name, in release"]
fn prefilter_speed() {
    let named = crate::pattern::peer::crs();
    let options = Options { ignore_case: false, backtrack_limit: 1000 };
    let needs: Vec<_> = named
        .iter()
        .map(|(_, source)| {
            Some(Pattern::new(source, options).unwrap().needs()).filter(|needs| !needs.clauses.is_empty())
        })
        .collect();
    let prefilter = Prefilter::new(&needs);
    let literals: usize = needs
        .iter()
        .flatten()
        .flat_map(|needs| &needs.clauses)
        .map(|clause| match clause {
            Clause::Literals(all) => all.len(),
            Clause::Bytes(_) => 0,
        })
        .sum();
    println!("{literals} literals, {} clauses, table of {} bytes", prefilter.ends.len(), prefilter.automaton.size());
    let values = crate::pattern::peer::ORDINARY;
    let bytes: usize = values.iter().map(|value| value.len()).sum();
    let mut words = vec![0; needs.len().div_ceil(64)];
    let mut counts = [0_usize; 4];
    for value in values {
        let mut numbers = Vec::new();
        prefilter.automaton.scan(value.as_bytes(), |number| numbers.push(number));
        counts[0] += numbers.len();
        let present = ByteSet::of(value.as_bytes());
        let by_bytes = (0..prefilter.ends.len()).filter(|clause| {
            present.iter().filter(|byte| prefilter.telling.contains(*byte)).any(|byte| {
                clause / 64 < prefilter.byte_words
                    && prefilter.rows[prefilter.row[byte as usize] as usize + clause / 64] & 1 << (clause % 64) != 0
            })
        });
        let held: std::collections::BTreeSet<usize> =
            numbers.iter().map(|number| *number as usize).chain(by_bytes).collect();
        counts[1] += held.len();
        let begin = |clause: usize| if clause == 0 { 0 } else { prefilter.ends[clause - 1] };
        counts[2] += held.iter().map(|clause| (prefilter.ends[*clause] - begin(*clause)) as usize).sum::<usize>();
        counts[3] += allowed(&prefilter, value.as_bytes(), needs.len()).len();
    }
    println!("findings, clauses held, operators asked, allowed, of {} values: {counts:?}", values.len());
    let mut by_clause = HashMap::<u32, usize>::new();
    for value in values {
        prefilter.automaton.scan(value.as_bytes(), |number| *by_clause.entry(number).or_default() += 1);
    }
    let texts: HashMap<u16, String> = number(&needs)
        .into_iter()
        .map(|(clause, number)| {
            let found: Vec<String> = clause
                .strings
                .iter()
                .filter(|text| {
                    values
                        .iter()
                        .any(|value| memchr::memmem::find(value.to_ascii_lowercase().as_bytes(), text).is_some())
                })
                .map(|text| text.escape_ascii().to_string())
                .collect();
            (number, format!("{} strings, found {found:?}", clause.strings.len()))
        })
        .collect();
    let mut by_clause: Vec<_> = by_clause.into_iter().collect();
    by_clause.sort_by_key(|(number, count)| (std::cmp::Reverse(*count), *number));
    for (number, count) in by_clause.iter().take(40) {
        println!("    found {count} times: {}", texts[&(*number as u16)]);
    }
    let show = |what: &str, work: &mut dyn FnMut(&[u8], &ByteSet)| {
        // The quickest of many short batches: others may use the machine, too.
        let batches = (0..2000).map(|_| {
            let begin = std::time::Instant::now();
            for _ in 0..10 {
                for value in values {
                    work(value.as_bytes(), &ByteSet::of(value.as_bytes()));
                }
            }
            begin.elapsed().as_nanos() as f64 / 10.0
        });
        let spent = batches.fold(f64::MAX, f64::min);
        println!("{what}: {:.0} ns a value, {:.2} ns a byte", spent / values.len() as f64, spent / bytes as f64);
    };
    show("bytes that occur", &mut |_, present| {
        std::hint::black_box(*present);
    });
    show("with the automaton", &mut |value, _| {
        prefilter.automaton.scan(value, |found| {
            std::hint::black_box(found);
        });
    });
    show("with all", &mut |value, present| {
        words.fill(0);
        prefilter.scan(value, present, &mut words);
    });
}
