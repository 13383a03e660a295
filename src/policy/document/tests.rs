use super::super::vocabulary;
use super::*;

const HEAD: &str = "\
apiVersion: attestry/v1
kind: Policy
metadata: {name: production}
keys:
  team: {publicKey: keys/team.pub}
  release: {publicKeys: [keys/a.pub, keys/b.pub]}
images:
  - match: registry.example/prod/**
";

fn is_type(text: &str) -> bool {
    vocabulary::TYPES.contains(&text) || text.starts_with("https://")
}

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(text.as_bytes(), &is_type, &Limits::default())
}

/// The policy of [`HEAD`] with these demands, which start in line 10.
fn with_demands(demands: &[&str]) -> Result<Policy, PolicyError> {
    let items: String = demands.iter().map(|demand| format!("      - {demand}\n")).collect();
    parse(&format!("{HEAD}    require:\n{items}"))
}

#[track_caller]
fn refused(result: Result<Policy, PolicyError>, expected: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), crate::code::Code::PolicyInvalid);
    let found: Vec<String> = error
        .problems
        .iter()
        .map(|problem| {
            let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}:{}: {}{hint}", problem.line, problem.column, problem.message)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn every_kind_of_demand_is_read() {
    let policy = with_demands(&[
        "attestation: {type: openvex, signedBy: team, threshold: 1, coverage: index, through: index}",
        "attestation: {type: 'https://example.com/review/v1', signedBy: [team, release], threshold: 3}",
        "sbom: {signedBy: team, format: [spdx, cyclonedx], coverage: own}",
        "sbom: {signedBy: team, format: cyclonedx}",
        "provenance: {signedBy: team, coverage: inherited}",
        "vex: {signedBy: team}",
        "signature: {signedBy: release, threshold: 2}",
        "vulnerabilities: {signedBy: team}",
        "vsa: {signedBy: team}",
        "test-result: {signedBy: team}",
    ])
    .unwrap();
    let demands = &policy.images[0].require;
    let ids: Vec<&str> = demands.iter().map(|demand| demand.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "attestation",
            "attestation-2",
            "sbom",
            "sbom-2",
            "provenance",
            "vex",
            "signature",
            "vulnerabilities",
            "vsa",
            "test-result"
        ]
    );
    for demand in demands {
        assert!(demand.id.starts_with(demand.kind.as_str()), "{demand:?}");
    }
    assert_eq!(demands[0].kind, DemandKind::Attestation { type_name: TypeName::new("openvex") });
    assert_eq!((demands[0].coverage, demands[0].through_index), (Some(Coverage::Index), true));
    assert_eq!(demands[0].position, Position { line: 10, column: 9 });
    assert_eq!(demands[1].signed_by.iter().map(SignerName::as_str).collect::<Vec<_>>(), ["team", "release"]);
    assert_eq!((demands[1].threshold.get(), demands[1].through_index), (3, false));
    assert_eq!(demands[2].kind, DemandKind::Sbom { formats: vec![SbomFormat::Spdx, SbomFormat::CycloneDx] });
    assert_eq!(demands[3].kind, DemandKind::Sbom { formats: vec![SbomFormat::CycloneDx] });
    assert_eq!((demands[4].coverage, demands[5].coverage), (Some(Coverage::Inherited), None));
    assert_eq!(demands[5].threshold.get(), 1);
}

#[test]
fn signers_keep_their_paths_and_places() {
    let policy = with_demands(&["vex: {signedBy: team}"]).unwrap();
    assert_eq!(policy.name, "production");
    let release = &policy.signers[&SignerName::parse("release").unwrap()];
    assert_eq!(release.key_paths, ["keys/a.pub", "keys/b.pub"]);
    assert_eq!(release.position, Position { line: 6, column: 3 });
    assert!(policy.images[0].pattern.matches("registry.example/prod/app"));
}

#[test]
fn platforms_are_all_unless_they_are_listed() {
    let with = |platforms: &str| parse(&format!("{HEAD}    {platforms}\n    require: [{{vex: {{signedBy: team}}}}]\n"));
    assert_eq!(with("").unwrap().images[0].platforms, Platforms::All);
    assert_eq!(with("platforms: all").unwrap().images[0].platforms, Platforms::All);
    let listed = with("platforms: [linux/amd64, linux/arm/v6]").unwrap().images[0].platforms.clone();
    assert_eq!(listed, Platforms::Listed(vec!["linux/amd64".parse().unwrap(), "linux/arm/v6".parse().unwrap()]));
    for (platforms, expected) in [
        ("platforms: []", "9:16: `platforms` is empty"),
        (
            "platforms: linux/amd64",
            "9:16: `platforms` is `all` or a list, not `linux/amd64` (such as `[linux/amd64, linux/arm64]`)",
        ),
        ("platforms: [linux]", "9:17: not a platform (os/architecture[/variant]): `linux`"),
        ("platforms: [linux/arm64, linux/arm64/v8]", "9:30: the platform `linux/arm64/v8` is listed twice"),
        ("platforms: [1]", "9:17: a platform has to be text, and YAML reads `1` as a number (put it in quotes)"),
        ("platforms: {linux: amd64}", "9:16: `platforms` has to be a list, found a mapping"),
    ] {
        refused(with(platforms), &[expected]);
    }
}

#[test]
fn conditions_of_a_later_version_are_refused_and_not_passed_over() {
    let hint = "without it the policy would demand less; use a newer attestry";
    for (condition, column) in [
        ("builder: x", 38),
        ("source: x", 38),
        ("sourcePattern: x", 38),
        ("level: 3", 38),
        ("maxAge: 90d", 38),
        ("deny: {licenses: [MIT]}", 38),
        ("failOn: high", 38),
        ("vex: {signedBy: team}", 38),
        ("rego: review.rego", 38),
        ("verifier: x", 38),
        ("keyless: {}", 38),
        ("identity: x", 38),
        ("identityPattern: x", 38),
        ("issuer: x", 38),
    ] {
        let name = condition.split(':').next().unwrap();
        let expected = format!("10:{column}: `{name}` is not supported yet by this version ({hint})");
        refused(with_demands(&[&format!("provenance: {{signedBy: team, {condition}}}")]), &[&expected]);
    }
    let keyless = HEAD.replace("publicKey: keys/team.pub", "keyless: {issuer: x, identity: y}");
    let expected = format!("5:10: `keyless` is not supported yet by this version ({hint})");
    refused(parse(&format!("{keyless}    require: [{{vex: {{signedBy: team, threshold: 7}}}}]\n")), &[&expected]);
}

#[test]
fn a_misspelt_key_is_refused_with_the_one_that_was_meant() {
    refused(
        with_demands(&[
            "sbom: {signedby: team}",
            "sbom: {signedBy: team, treshold: 1}",
            "sbmo: {signedBy: team}",
            "sbom: {signedBy: team, maxage: 1d}",
            "sbom: {signedBy: tam}",
            "attestation: {type: openvx, signedBy: team}",
            "sbom: {signedBy: team, coverage: onw}",
            "sbom: {signedBy: team, format: spdxx}",
        ]),
        &[
            "10:16: unknown key `signedby` in `sbom` (did you mean `signedBy`?)",
            "11:32: unknown key `treshold` in `sbom` (did you mean `threshold`?)",
            "12:9: unknown demand `sbmo` (did you mean `sbom`?)",
            "13:32: unknown key `maxage` in `sbom` (did you mean `maxAge`?)",
            "14:26: `keys` has no `tam` (did you mean `team`?)",
            "15:29: unknown type `openvx` (did you mean `openvex`?)",
            "16:42: `coverage` cannot be `onw` (did you mean `own`?)",
            "17:40: `format` cannot be `spdxx` (did you mean `spdx`?)",
        ],
    );
}

#[test]
fn a_key_in_the_wrong_place_is_refused_with_the_right_place() {
    refused(
        parse(&format!("{HEAD}    coverage: own\n    require: [{{vex: {{signedBy: team, format: spdx}}}}]\nname: x\n")),
        &[
            "9:5: unknown key `coverage` in an entry of `images` (`coverage` belongs into a demand, an item of `require`)",
            "10:38: unknown key `format` in `vex` (`format` belongs into a demand for an `sbom`)",
            "11:1: unknown key `name` in the file (`name` belongs into `metadata`)",
        ],
    );
    refused(
        with_demands(&["signature: {signedBy: team, through: index}", "vex: {signedBy: team, wildly: 1}"]),
        &[
            "10:37: unknown key `through` in `signature` (`through` belongs into a demand other than `signature`)",
            "11:31: unknown key `wildly` in `vex` (`vex` takes `signedBy`, `threshold`, `coverage`, `through`)",
        ],
    );
}

#[test]
fn a_threshold_that_means_nothing_or_cannot_be_reached_is_refused() {
    let reach = "list more keys under `publicKeys`, or lower the threshold";
    for (conditions, expected) in [
        ("team, threshold: 0", "10:42: `threshold` has to be a whole number from 1, found `0`".to_owned()),
        ("team, threshold: -1", "10:42: `threshold` has to be a whole number from 1, found `-1`".to_owned()),
        ("team, threshold: 1.0", "10:42: `threshold` has to be a whole number from 1, found `1.0`".to_owned()),
        ("team, threshold: 0x1", "10:42: `threshold` has to be a whole number from 1, found `0x1`".to_owned()),
        (
            "team, threshold: 99999999999999999999999",
            "10:42: `threshold` has to be a whole number from 1, found `99999999999999999999999`".to_owned(),
        ),
        (
            "team, threshold: \"1\"",
            "10:42: `threshold` has to be a number, found text (leave out the quotes)".to_owned(),
        ),
        ("team, threshold: all", "10:42: `threshold` has to be a whole number from 1, found text".to_owned()),
        ("team, threshold: ", "10:40: `threshold` has to be a whole number from 1, found nothing".to_owned()),
        ("team, threshold: 2", format!("10:42: `threshold` is 2, but `signedBy` leads to 1 key ({reach})")),
        ("release, threshold: 3", format!("10:45: `threshold` is 3, but `signedBy` leads to 2 keys ({reach})")),
    ] {
        refused(with_demands(&[&format!("vex: {{signedBy: {conditions}}}")]), &[&expected]);
    }
    let shared = HEAD.replace("keys/b.pub", "keys/team.pub");
    let expected = format!("9:60: `threshold` is 3, but `signedBy` leads to 2 keys ({reach})");
    refused(
        parse(&format!("{shared}    require: [{{vex: {{signedBy: [team, release], threshold: 3}}}}]\n")),
        &[&expected],
    );
}

#[test]
fn signers_that_are_unknown_doubled_or_missing_are_refused() {
    refused(
        with_demands(&[
            "vex: {signedBy: nobody-known}",
            "vex: {signedBy: [team, team]}",
            "vex: {signedBy: []}",
            "vex: {}",
            "vex",
            "vex:",
            "vex: {signedBy: yes}",
            "vex: {signedBy: {a: b}}",
        ]),
        &[
            "10:25: `keys` has no `nobody-known` (add `nobody-known` to `keys`)",
            "11:32: the signer `team` is listed twice",
            "12:25: `signedBy` is empty",
            "13:14: `vex` has no `signedBy`",
            "14:9: `vex` does not say who has to have signed (write `vex: {signedBy: NAME}`)",
            "15:12: `vex` has to be a mapping, found nothing",
            "16:25: `signedBy` has to be text, and YAML reads `yes` as text or a truth value, depending on its version (put it in quotes)",
            "17:25: `signedBy` has to be a list, found a mapping",
        ],
    );
}

#[test]
fn key_entries_that_name_no_key_are_refused() {
    let with = |entry: &str| {
        let head = HEAD.replace("  team: {publicKey: keys/team.pub}", &format!("  {entry}"));
        parse(&format!("{head}    require: [{{vex: {{signedBy: release}}}}]\n"))
    };
    for (entry, expected) in [
        ("team: {}", "5:9: the signer has no `publicKey` (write `{publicKey: FILE}`)"),
        ("team: keys/team.pub", "5:9: an entry of `keys` has to be a mapping, found text"),
        ("team: {publicKeys: []}", "5:22: `publicKeys` is empty"),
        ("team: {publicKeys: a.pub}", "5:22: `publicKeys` has to be a list, found text"),
        ("team: {publicKey: [a.pub]}", "5:21: the path of a public key has to be text, found a list"),
        ("team: {publicKey: \"\"}", "5:21: the path of a public key is empty"),
        ("team: {publicKeys: [a, b, a]}", "5:29: the key `a` is listed twice"),
        ("team: {publicKey: a, publicKeys: [b]}", "5:36: `publicKey` and `publicKeys` exclude each other"),
        ("team: {publickey: a}", "5:10: unknown key `publickey` in an entry of `keys` (did you mean `publicKey`?)"),
        (
            "\"a b\": {publicKey: a}",
            "5:3: `a b` is no name for a signer (a name is letters, digits, `.`, `_` and `-`, at most 64, starting with a letter or digit)",
        ),
    ] {
        refused(with(entry), &[expected]);
    }
    assert!(with("unused: {publicKey: a}").is_ok());
}

#[test]
fn an_empty_policy_is_no_policy() {
    refused(parse(""), &["1:1: the file is empty"]);
    refused(
        parse("{}"),
        &[
            "1:1: the file has no `apiVersion`",
            "1:1: the file has no `kind`",
            "1:1: the file has no `metadata`",
            "1:1: the file has no `keys`",
            "1:1: the file has no `images`",
        ],
    );
    refused(parse("just text"), &["1:1: a policy file has to be a mapping, found text"]);
    let no_images = HEAD.split("images:").next().unwrap();
    refused(parse(&format!("{no_images}images: []\n")), &["7:9: `images` is empty"]);
    refused(parse(&format!("{no_images}images:\n")), &["7:7: `images` has to be a list, found nothing"]);
    refused(parse(&format!("{HEAD}    require: []\n")), &["9:14: `require` is empty"]);
    refused(parse(HEAD), &["8:5: an entry of `images` has no `require`"]);
    refused(with_demands(&["{}"]), &["10:9: an item of `require` is empty"]);
    let no_keys =
        HEAD.replace("  team: {publicKey: keys/team.pub}\n  release: {publicKeys: [keys/a.pub, keys/b.pub]}\n", "");
    let no_keys = no_keys.replace("keys:", "keys: {}");
    let found = parse(&format!("{no_keys}    require: [{{vex: {{signedBy: team}}}}]\n")).unwrap_err();
    assert_eq!(found.problems[0].message, "`keys` names nobody, so that no demand could be met");
}

#[test]
fn another_version_or_kind_is_refused() {
    let text = HEAD.replace("attestry/v1", "attestry/v2").replace("kind: Policy", "kind: policy");
    refused(
        parse(&format!("{text}    require: [{{vex: {{signedBy: team}}}}]\n")),
        &[
            "1:13: `apiVersion` `attestry/v2` is not supported by this version (write `apiVersion: attestry/v1`)",
            "2:7: `kind` `policy` is not supported by this version (write `kind: Policy`)",
        ],
    );
    let text = HEAD.replace("production", "1.0");
    let expected = "3:18: the name of the policy has to be text, and YAML reads `1.0` as a number (put it in quotes)";
    refused(parse(&format!("{text}    require: [{{vex: {{signedBy: team}}}}]\n")), &[expected]);
}

#[test]
fn a_pattern_that_cannot_match_is_refused_with_its_place() {
    let text = HEAD.replace("registry.example/prod/**", "registry.example/app:1.2");
    let expected = "8:12: `registry.example/app:1.2`: a pattern has no tag and no digest; images are matched by host and repository (such as `registry.example/prod/**`)";
    refused(parse(&format!("{text}    require: [{{vex: {{signedBy: team}}}}]\n")), &[expected]);
}

#[test]
fn two_demands_in_one_item_are_refused() {
    refused(
        with_demands(&["vex: {signedBy: team}\n        sbom: {signedBy: team}"]),
        &[
            "11:9: an item of `require` holds one demand (start each demand with `- `, and indent its conditions below it)",
        ],
    );
    // The usual slip: the conditions are not indented below their demand.
    let found = with_demands(&["vex:\n        signedBy: team"]).unwrap_err().to_string();
    assert!(found.contains("11:9: an item of `require` holds one demand"), "{found}");
}

#[test]
fn unreadable_yaml_of_every_kind_is_refused_and_nothing_is_said_twice() {
    refused(
        with_demands(&[
            "vex: &v {signedBy: team}",
            "vex: *v",
            "vex: !x {signedBy: team}",
            "vex: {<<: {signedBy: team}}",
        ]),
        &[
            "10:14: anchors are not read (write the value where it is needed)",
            "11:14: aliases are not read (write the value where it is needed)",
            "12:14: tags are not read (leave out the word that starts with `!`)",
            "13:14: `vex` has no `signedBy`",
            "13:15: merge keys (`<<`) are not read (write the keys where they are needed)",
        ],
    );
    refused(
        with_demands(&["vex: {signedBy: team, signedBy: release}"]),
        &["10:31: the key `signedBy` is here twice, first in line 10"],
    );
    let two = format!("{HEAD}    require: [{{vex: {{signedBy: team}}}}]\n---\n{HEAD}");
    refused(parse(&two), &["10:1: a second document; a policy file holds one"]);
}

#[test]
fn windows_line_ends_count_as_one_line() {
    let text = format!("{HEAD}    require: [{{vex: {{signedBy: tem}}}}]\n").replace('\n', "\r\n");
    refused(parse(&text), &["9:32: `keys` has no `tem` (did you mean `team`?)"]);
}

#[test]
fn all_problems_of_a_file_come_at_once_and_in_order() {
    let text = "\
apiVersion: attestry/v1
kind: Policies
metadata: {nam: x}
keys:
  team: {publicKey: 7}
images:
  - match: alpine
    require: [{sbom: {signedBy: nobody, level: 3}}]
";
    let error = parse(text).unwrap_err();
    let lines: Vec<usize> = error.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 5, 7, 8, 8]);
    assert_eq!(error.to_string().lines().count(), 6);
    assert!(error.to_string().starts_with("2:7: `kind` `Policies`"));
}

/// A small generator of numbers, so that the test is the same everywhere (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

#[test]
fn changed_bytes_never_panic_and_problems_lie_inside_the_file() {
    let good = format!(
        "{HEAD}    platforms: [linux/amd64]\n    require:\n      - attestation: {{type: openvex, signedBy: [team], threshold: 1, through: index}}\n      - sbom: {{signedBy: team, format: [spdx]}}\n"
    );
    let spice: &[&[u8]] = &[
        b"&a ",
        b"*a",
        b"!!x ",
        b"<<: ",
        b"- ",
        b"? ",
        b": ",
        b"---\n",
        b"|\n",
        b"\"",
        b"'",
        b"{",
        b"[",
        b"\t",
        b"\xff",
        b"\0",
        b"#",
        b"%",
        b"\r",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xae",
    ];
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for _ in 0..4_000 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..=numbers.below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = numbers.below(bytes.len());
            match numbers.below(4) {
                0 => bytes[at] = u8::try_from(numbers.below(256)).unwrap(),
                1 => drop(bytes.remove(at)),
                2 => drop(bytes.splice(at..at, spice[numbers.below(spice.len())].iter().copied())),
                _ => bytes.truncate(at.max(1)),
            }
        }
        if let Err(error) = Policy::parse(&bytes, &is_type, &Limits::default()) {
            assert!(!error.problems.is_empty());
            let lines = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 2;
            for problem in &error.problems {
                assert!((1..=lines).contains(&problem.line) && problem.column >= 1, "{problem:?}");
                assert!(!problem.message.contains(char::is_control), "{problem:?}");
            }
        }
    }
}
