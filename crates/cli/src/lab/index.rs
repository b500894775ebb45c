//! The index of all claims, `docs/claims.toml`: what is claimed, by whom, and what to know about it.

use std::collections::BTreeMap;

const TEXT: &str = include_str!("../../../../docs/claims.toml");

/// An entry of the index.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// Name of the claim and of its experiment.
    pub(crate) id: String,
    pub(crate) family: String,
    /// The sentence as it is told.
    pub(crate) claim: String,
    /// What the experiment finds where the machine has what it needs: `as told` or `told otherwise`.
    pub(crate) verdict: String,
    /// Where it is told.
    pub(crate) source: String,
    /// Background.
    pub(crate) explain: String,
}

/// All claims, in the order of the index.
pub(crate) fn claims() -> Result<Vec<Claim>, String> {
    let mut tables: BTreeMap<String, Vec<BTreeMap<String, String>>> =
        toml::from_str(TEXT).map_err(|error| format!("docs/claims.toml: {error}"))?;
    let entries = tables.remove("claim").unwrap_or_default();
    entries
        .into_iter()
        .map(|mut entry| {
            let id = entry.get("id").cloned().unwrap_or_default();
            let mut take = |key: &str| {
                let text = entry.remove(key).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
                text.filter(|text| !text.is_empty()).ok_or(format!("docs/claims.toml: claim '{id}' has no {key}"))
            };
            Ok(Claim {
                id: take("id")?,
                family: take("family")?,
                claim: take("claim")?,
                verdict: take("verdict")?,
                source: take("source")?,
                explain: take("explain")?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::FAMILIES;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn claims_and_experiments_are_the_same() {
        let claims = claims().unwrap();
        let told: Vec<_> = claims.iter().map(|claim| (claim.family.clone(), claim.id.clone())).collect();
        let made: Vec<_> = FAMILIES
            .iter()
            .flat_map(|family| family.experiments.iter().map(|one| (family.name.to_owned(), one.0.to_owned())))
            .collect();
        assert_eq!(told, made, "the index and the experiments, in order");
        assert_eq!(told.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len(), told.len(), "a name is used twice");
    }

    #[test]
    fn verdicts_are_words_that_exist() {
        for claim in claims().unwrap() {
            assert!(["as told", "told otherwise"].contains(&claim.verdict.as_str()), "{}: {}", claim.id, claim.verdict);
        }
    }

    #[test]
    fn names_of_subjects_are_unique() {
        let names: Vec<_> = FAMILIES.iter().flat_map(|family| family.subjects).map(|(name, _)| *name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
